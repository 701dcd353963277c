// What goes wrong, and when: each kind of fault comes at random times with the rate that the seed drew for it.

import EdgeRelay
import SegmentedLog
import Simulation
import Synchronization

extension World {
    private var faultEnd: Instant { Instant(options.faultHours * 3.6e12) }

    /// `body` at the times of a Poisson process of `perHour`.
    private func often(_ name: String, _ perHour: Double, _ body: @escaping () -> Void) {
        guard perHour > 0 else { return }
        let seconds = exponential(mean: 3_600 / perHour)
        guard now.adding(seconds) < faultEnd else { return }
        after(seconds) {
            guard self.faultsAreOn else { return }
            self.faultCounts[name, default: 0] += 1
            self.trace.add(.fault, at: self.now, name.utf8.count, 0, name)
            body()
            self.often(name, perHour, body)
        }
    }

    private func exponential(mean: Double) -> Double {
        // −ln(u) without the mathematics library: u = 2^(−k) · r, and ln r by its series around 1.
        let unit = max(random.unit(), 1e-12)
        return mean * -Self.naturalLogarithm(unit)
    }

    static func naturalLogarithm(_ value: Double) -> Double {
        let exponent = Double(value.exponent)
        let ratio = (value.significand - 1) / (value.significand + 1)
        let square = ratio * ratio
        var term = ratio
        var sum = 0.0
        for odd in stride(from: 1.0, through: 21, by: 2) {
            sum += term / odd
            term *= square
        }
        return 2 * sum + exponent * 0.693_147_180_559_945_3
    }

    private var anyRelay: RelayNode { relays[random.index(below: relays.count)] }
    private func duration(_ low: Double, _ high: Double) -> Instant { now.adding(random.between(low, high)) }

    func scheduleFaults() {
        scheduleNetworkFaults()
        scheduleDiskFaults()
        let rates = options.faults
        let count = Double(relays.count)
        often("kill relay", rates.kills * count) { self.anyRelay.crash(isPowerCut: self.random.unit() < 0.5) }
        often("kill central", rates.kills) { self.central.crash() }
        often("clock jump", rates.clockJumps * count) { self.jumpClock(self.anyRelay) }
        often("restore", rates.restores * count) { self.planRestore(self.anyRelay) }
        often("clone", rates.clones) { self.clone() }
        often("zombie", rates.zombies) { self.central.zombieIsDue = true }
        often("poison", rates.poison) { self.poison(self.anyRelay) }
    }

    private func scheduleNetworkFaults() {
        let rates = options.faults
        let count = Double(relays.count)
        often("partition", rates.partitions * count) {
            let link = self.random.unit() < 0.7 ? self.anyRelay.uplink : self.anyRelay.radio
            link.requestsCutUntil = self.duration(5, self.random.unit() < 0.3 ? 7_200 : 300)
            link.answersCutUntil = link.requestsCutUntil
        }
        often("days cut", rates.longPartitions * count) {
            let link = self.anyRelay.uplink
            link.requestsCutUntil = self.duration(3_600, 5 * 86_400)
            link.answersCutUntil = link.requestsCutUntil
        }
        often("answers cut", rates.oneWay * count) {
            let link = self.random.unit() < 0.7 ? self.anyRelay.uplink : self.anyRelay.radio
            link.answersCutUntil = self.duration(5, 900)
        }
        often("half open", rates.halfOpen * count) { self.anyRelay.uplink.silentUntil = self.duration(5, 900) }
        often("portal", rates.portal * count) { self.anyRelay.uplink.portalUntil = self.duration(5, 600) }
        often("corruption", rates.corruption * 10 * count) {
            self.anyRelay.uplink.corruptedUntil = self.duration(1, 30)
        }
        often("overload", rates.overload) { self.central.overloadedUntil = self.duration(5, 900) }
    }

    private func scheduleDiskFaults() {
        let rates = options.faults
        let count = Double(relays.count)
        often("full disk", rates.fullDisks * count) {
            let relay = self.anyRelay
            relay.disk.otherBytes = Int(Double(relay.disk.capacity) * self.random.between(0.6, 1))
            self.after(self.random.between(30, 1_800)) { relay.disk.otherBytes = 0 }
        }
        often("full central", rates.fullCentral) {
            self.central.fullUntil = self.duration(30, 900)
            self.faults.state.withLock { $0.isCentralFull = true }
            self.after(self.random.between(30, 900)) { self.faults.state.withLock { $0.isCentralFull = false } }
        }
        often("slow disk", rates.slowDisks * count) { self.anyRelay.slowDiskUntil = self.duration(10, 300) }
        often("relay damage", rates.relayDamage * count) { self.damage(self.anyRelay) }
        often("stream damage", rates.streamDamage) { self.central.damageStream() }
    }

    /// A year ahead, a year back, 1970, or an hour (F55).
    private func jumpClock(_ relay: RelayNode) {
        let year = 31_536_000.0
        let sinceEpoch = Double(Self.startMicroseconds) / 1e6
        let choices = [year, -year, -sinceEpoch, 3_600, -3_600, 0]
        relay.wallOffset = choices[random.index(below: choices.count)]
    }

    /// An image of the disk is taken now and put back later, over whatever has been written meanwhile (F72).
    private func planRestore(_ relay: RelayNode) {
        let image = relay.disk
        after(random.between(10, 5_400)) {
            guard self.faultsAreOn else { return }
            relay.crash(isPowerCut: true)
            self.destroyed(relay, keeping: image)
            relay.disk = image
            relay.disk.otherBytes = 0
            self.trace.add(.fault, at: self.now, relay.number, 1, "restored")
        }
    }

    /// Tells the oracle which records exist no more.
    private func destroyed(_ relay: RelayNode, keeping image: RelayDisk) {
        for epoch in relay.disk.epochs {
            let kept = image.epochs.first { $0.name == epoch.name }?.log.lastPosition ?? 0
            for segment in epoch.log.segments {
                for entry in segment.entries where entry.position > kept {
                    ledger.destroyed(relay.source(epoch.name), entry.position)
                }
            }
        }
    }

    /// The disk is copied into a second machine, and both go on as the same relay (F74).
    private func clone() {
        guard relays.count < 6 else { return }
        let original = anyRelay
        var disk = original.disk
        disk.otherBytes = 0
        let copy = RelayNode(self, number: relays.count, relayID: original.relayID, disk: disk)
        add(copy)
        copy.start()
    }

    /// A record of an earlier life is unreadable at the next start: it must be missed by name (C14), never in silence.
    private func damage(_ relay: RelayNode) {
        relay.crash(isPowerCut: false)
        guard let index = relay.disk.epochs.indices.randomElement(using: &random) else { return }
        let name = relay.disk.epochs[index].name
        guard let entry = relay.disk.epochs[index].log.damage({ self.random.index(below: $0) }) else { return }
        ledger.destroyed(relay.source(name), entry.position)
    }

    /// A record that central cannot read, as an older or newer version might have written it.
    private func poison(_ relay: RelayNode) {
        relay.guarded { life in
            let bodies = [#"{"junk":1}"#, #"{"alert_id":5}"#, "[]", #"{"junk""#]
            let post = PendingPost(receivedAt: relay.wallMicroseconds, reply: { _ in })
            post.reports.append(
                PendingPost.Item(
                    number: -1, header: nil, payload: Array(bodies[random.index(below: bodies.count)].utf8),
                    kind: BufferKind.alert, alerts: [], isPoison: true))
            life.waiting.append(post)
            relay.write()
        }
    }

    /// The second phase: nothing goes wrong any more, and nobody lends a hand (I11).
    func healEverything() {
        endFaults()
        for relay in relays {
            relay.uplink.heal()
            relay.radio.heal()
            relay.disk.otherBytes = 0
            relay.wallOffset = 0
            relay.slowDiskUntil = 0
            relay.start()
        }
        central.overloadedUntil = 0
        central.fullUntil = 0
        central.zombieIsDue = false
        central.start()
    }
}
