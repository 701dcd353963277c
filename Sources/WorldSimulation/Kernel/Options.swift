// What one seed is about: the size of its world and which faults visit it. Everything is drawn from the seed ("swarm
// testing": a seed without partitions reaches states that one with everything never does), so the seed is enough to
// repeat a run.

import Simulation

package struct WorldOptions: Sendable {
    package var seed: UInt64
    package var relays = 3
    package var drones = 9
    /// Virtual hours with faults; then they end and everything must converge.
    package var faultHours = 6.0
    package var convergeHours = 4.0
    package var reportSeconds = 60.0
    package var mutation: Mutation?
    package var keepsLines = false
    package var faults = FaultRates()

    package init(seed: UInt64) { self.seed = seed }

    /// The world of a seed, as `make sim` and CI draw it.
    ///
    /// - Parameter longestHours: worlds that would take longer end their faults then; all else is as drawn.
    package static func drawn(seed: UInt64, longestHours: Double = 72) -> WorldOptions {
        var random = SeededRandom(seed: seed, stream: 1)
        var options = WorldOptions(seed: seed)
        options.relays = 2 + random.index(below: 2)
        options.drones = 3 + random.index(below: 7)
        let hours = random.unit() < 0.1 ? random.between(12, 72) : random.between(1, 5)
        options.faultHours = min(hours, longestHours)
        options.reportSeconds = random.unit() < 0.3 ? 20 : 60
        options.faults = FaultRates(&random)
        return options
    }

    /// A small world in which everything goes wrong, often: what a broken variant must not survive.
    package static func busy(seed: UInt64) -> WorldOptions {
        var options = WorldOptions(seed: seed)
        options.drones = 5
        options.faultHours = 1.5
        options.reportSeconds = 20
        options.convergeHours = 2
        options.faults = .all
        return options
    }

    package var description: String {
        "relays \(relays), drones \(drones), hours \(Int(faultHours * 10) / 10), a report in \(Int(reportSeconds)) s; "
            + faults.description
    }
}

/// Rates are per virtual hour and node (or link) unless they say otherwise; 0: this world does not know the fault.
package struct FaultRates: Sendable {
    package var kills = 0.0
    /// Chance of a kill before each step.
    package var stepKills = 0.0
    package var partitions = 0.0
    package var longPartitions = 0.0
    package var oneWay = 0.0
    package var halfOpen = 0.0
    package var portal = 0.0
    package var overload = 0.0
    package var loss = 0.0
    package var duplication = 0.0
    package var corruption = 0.0
    package var slowLink = false
    package var clockJumps = 0.0
    package var fullDisks = 0.0
    package var fullCentral = 0.0
    package var slowDisks = 0.0
    package var relayDamage = 0.0
    package var streamDamage = 0.0
    package var restores = 0.0
    package var clones = 0.0
    package var storeErrors = 0.0
    package var zombies = 0.0
    package var poison = 0.0
    package var liars = 0.0
    package var resends = 0.0
    package var unsequenced = 0.0
    package var reboots = 0.0
    package var garbage = 0.0

    package init() {}

    /// Everything at once.
    static var all: FaultRates {
        var rates = FaultRates()
        (rates.kills, rates.stepKills, rates.partitions, rates.oneWay, rates.halfOpen) = (2, 0.0005, 1, 1, 1)
        (rates.portal, rates.overload, rates.loss, rates.duplication, rates.corruption) = (2, 0.3, 0.01, 0.03, 0.01)
        (rates.clockJumps, rates.fullDisks, rates.fullCentral, rates.slowDisks) = (0.5, 0.5, 0.4, 0.5)
        (rates.relayDamage, rates.streamDamage, rates.restores, rates.clones) = (0.3, 1, 0.4, 0.3)
        (rates.storeErrors, rates.zombies, rates.poison, rates.liars, rates.resends) = (0.005, 1.5, 0.5, 0.02, 0.15)
        (rates.unsequenced, rates.reboots, rates.garbage) = (0.2, 0.3, 0.02)
        return rates
    }

    init(_ random: inout SeededRandom) {
        func some(_ chance: Double, _ low: Double, _ high: Double) -> Double {
            let isOn = random.unit() < chance
            let rate = random.between(low, high)
            return isOn ? rate : 0
        }
        kills = some(0.6, 0.2, 4)
        stepKills = some(0.6, 0.0001, 0.0015)
        partitions = some(0.5, 0.2, 2)
        longPartitions = some(0.15, 0.02, 0.1)
        oneWay = some(0.4, 0.2, 2)
        halfOpen = some(0.4, 0.2, 2)
        portal = some(0.4, 0.2, 2)
        overload = some(0.4, 0.1, 1)
        loss = some(0.5, 0.001, 0.1)
        duplication = some(0.5, 0.01, 0.1)
        corruption = some(0.3, 0.001, 0.02)
        slowLink = random.unit() < 0.3
        clockJumps = some(0.4, 0.05, 1)
        fullDisks = some(0.4, 0.1, 1)
        fullCentral = some(0.3, 0.1, 0.6)
        slowDisks = some(0.3, 0.1, 1)
        relayDamage = some(0.3, 0.05, 0.5)
        streamDamage = some(0.4, 0.1, 1)
        restores = some(0.35, 0.05, 0.4)
        clones = some(0.25, 0.05, 0.2)
        storeErrors = some(0.4, 0.001, 0.03)
        zombies = some(0.35, 0.1, 1)
        poison = some(0.3, 0.1, 2)
        liars = some(0.4, 0.002, 0.05)
        resends = some(0.6, 0.01, 0.15)
        unsequenced = some(0.4, 0.1, 0.5)
        reboots = some(0.5, 0.05, 0.5)
        garbage = some(0.3, 0.002, 0.05)
    }

    private var named: [(String, Double)] {
        [
            ("kills", kills), ("step-kills", stepKills), ("partitions", partitions), ("days-cut", longPartitions),
            ("one-way", oneWay), ("half-open", halfOpen), ("portal", portal), ("overload", overload), ("loss", loss),
            ("duplication", duplication), ("corruption", corruption), ("slow-link", slowLink ? 1 : 0),
            ("clock-jumps", clockJumps), ("full-disks", fullDisks), ("full-central", fullCentral),
            ("slow-disks", slowDisks), ("relay-damage", relayDamage), ("stream-damage", streamDamage),
            ("restores", restores), ("clones", clones), ("store-errors", storeErrors), ("zombies", zombies),
            ("poison", poison), ("liars", liars), ("resends", resends), ("unsequenced", unsequenced),
            ("reboots", reboots), ("garbage", garbage),
        ]
    }

    package var description: String {
        let on = named.filter { $0.1 > 0 }.map { "\($0.0) \(Double(Int($0.1 * 10_000)) / 10_000)" }
        return on.isEmpty ? "no faults" : on.joined(separator: ", ")
    }
}
