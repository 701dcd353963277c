// A drone: makes a report a minute, keeps it until a relay has said 202, tries the nearest relay first and the others
// when it fails (contract §2). Its memory survives its reboots, and is limited.

import Crypto
import Models
import Simulation

final class Drone {
    private let world: World
    let number: Int
    let id: String
    private var boot = 1
    private var seq: Int64 = 0
    private let hasNumbers: Bool
    private let clockOffset: Double
    /// Reports not acknowledged yet, oldest first.
    private var waiting: [Int] = []
    private var isSending = false
    private var failures = 0
    private var relay: Int
    /// Some of what was acknowledged long ago, to be sent again (F76, F78).
    private var old: [Int] = []
    private static let memory = 20_000
    private static let perRequest = 20

    init(_ world: World, number: Int) {
        self.world = world
        self.number = number
        id = "pw-\(100_000 + number)"
        let faults = world.options.faults
        hasNumbers = world.random.unit() >= faults.unsequenced
        let hasBadClock = faults.clockJumps > 0 && world.random.unit() < 0.1
        clockOffset = hasBadClock ? world.random.between(-400, 400) * 86_400 : 0
        relay = number % world.options.relays
        world.after(world.random.between(0, world.options.reportSeconds)) { self.tick() }
    }

    var isDone: Bool { waiting.isEmpty && !isSending }
    var waitingCount: Int { waiting.count }

    private func tick() {
        guard world.faultsAreOn else { return }
        world.after(world.options.reportSeconds) { self.tick() }
        let faults = world.options.faults
        let hour = world.options.reportSeconds / 3_600
        if world.random.unit() < faults.reboots * hour { reboot() }
        make(repeats: hasNumbers && seq > 0 && world.random.unit() < faults.liars)
        if !old.isEmpty, world.random.unit() < faults.resends {
            waiting.append(old[world.random.index(below: old.count)])
        }
        if world.random.unit() < 0.01 { relay = world.random.index(below: world.relays.count) }
        if waiting.count > Self.memory { waiting.removeFirst(waiting.count - Self.memory) }
        send()
    }

    private func reboot() {
        boot += 1
        seq = 0
    }

    /// `repeats`: under a number that it used already, with other bytes (F77).
    private func make(repeats: Bool) {
        if !repeats { seq += 1 }
        let faults = world.options.faults
        let isBad = world.random.unit() < 0.03
        let isUnstorable = faults.poison > 0 && world.random.unit() < 0.002
        let at = Timestamp(microseconds: world.wallMicroseconds(offset: clockOffset))
        world.reportsMade += 1
        let numbering = hasNumbers ? #""boot":"b\#(boot)","seq":\#(seq),"# : ""
        let text =
            #"{"drone_id":"\#(id)",\#(numbering)"observed_at":"\#(at.rfc3339)","#
            + #""location":{"lat":48.\#(number % 90 + 10),"lon":2.3522},"#
            + #""citizens":[{"name":"Citizen \#(number % 7)","peacescore":\#(isBad ? 7 : 61)}],"#
            + #""words":["\#(isUnstorable ? "x-unstorable" : "rain")"],"readings":{"n":\#(world.reportsMade)}}"#
        let body = Array(text.utf8)
        let identity = hasNumbers ? ReportIdentity(droneID: id, boot: "b\(boot)", seq: seq) : nil
        var alertID: String?
        if isBad, let identity {
            alertID = Alert.identifier(
                rule: World.badScoreRule, droneID: id, boot: identity.boot, seq: identity.seq,
                subject: "Citizen \(number % 7)", sha256: { SHA256.hash($0).bytes })
        }
        let report = world.ledger.made(
            Ledger.Report(
                drone: number, droneID: id, body: body, digest: SHA256.hash(body), identity: identity,
                alertID: alertID, isUnstorable: isUnstorable))
        waiting.append(report)
        world.trace.add(.report, at: world.now, number, report, isBad ? "bad" : "")
    }

    private func send() {
        guard !isSending, !waiting.isEmpty else { return }
        isSending = true
        let reports = Array(waiting.prefix(Self.perRequest))
        let target = world.relays[relay]
        if world.random.unit() < world.options.faults.garbage, world.faultsAreOn { sendGarbage(to: target) }
        world.request(
            over: target.radio, timeout: 30, isUp: { target.isUp },
            deliver: { (reply: @escaping (RelayAnswer) -> Void) in target.post(reports, reply: reply) },
            done: { self.answered($0, reports) })
    }

    /// Bytes that are no report: an error is the only right answer (I8).
    private func sendGarbage(to target: RelayNode) {
        let length = world.random.index(below: 60)
        var bytes = Array(#"{"drone_id":"\#(id)","seq":1,"location":{"lat":1,"lon":2}"#.utf8.prefix(length))
        bytes.append(UInt8(truncatingIfNeeded: world.random.next()))
        world.request(
            over: target.radio, timeout: 30, isUp: { target.isUp },
            deliver: { (reply: @escaping (Int) -> Void) in target.postGarbage(bytes, reply: reply) },
            done: { status in
                guard let status, !(400..<500).contains(status) else { return }
                self.world.ledger.fail("I8", "a relay answers \(status) to bytes that are no report")
            })
    }

    private func answered(_ answer: RelayAnswer?, _ reports: [Int]) {
        isSending = false
        var isRefused = true
        var pause = 0.0
        switch answer {
        case .taken(let accepted):
            let done = Set(accepted)
            waiting.removeAll { done.contains($0) }
            isRefused = accepted.count < reports.count
            remember(accepted)
        case .refused(_, let seconds): pause = min(seconds, 60)
        case nil: break
        }
        guard isRefused else {
            failures = 0
            return send()
        }
        failures += 1
        if world.random.unit() < 0.4 { relay = world.random.index(below: world.relays.count) }
        pause += world.random.unit() * min(60, 0.5 * Double(1 << min(failures, 8)))
        world.after(pause) { self.send() }
    }

    private func remember(_ accepted: [Int]) {
        guard let report = accepted.first, old.count < 200 || world.random.unit() < 0.05 else { return }
        if old.count >= 200 { old.remove(at: world.random.index(below: old.count)) }
        old.append(report)
    }
}
