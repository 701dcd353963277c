// A slow clock must not silence an alarm, and a replay must not raise it again: how the two are told apart.

import AlertRules
import Models
import Testing

@Suite("a drone's clock") struct DroneClockTests {
    /// Reports as (seconds of arrival, seconds of observation), and which of them are late.
    private func late(_ reports: [(arrived: Double, observed: Double)], boot: String = "b") -> [Bool] {
        var clock = DroneClock()
        return reports.map { isLate($0.arrived, $0.observed, boot, &clock) }
    }

    private func isLate(_ arrived: Double, _ observed: Double, _ boot: String, _ clock: inout DroneClock) -> Bool {
        let start = Timestamp(microseconds: 1_795_150_800_000_000)
        return clock.isLate(
            observedAt: start.adding(seconds: observed), receivedAt: start.adding(seconds: arrived), boot: boot)
    }

    private func minutes(_ range: ClosedRange<Int>) -> [Double] { range.map { Double($0) * 60 } }

    @Test(
        "however slow or fast the clock, reports once a minute are live from the first on",
        arguments: [
            -90_000.0, -3_600, 0, 299, 301, 3_600, 86_000, 90_000, 1e9,
        ])
    func steady(_ behind: Double) {
        // Up to 3 s on the way.
        let reports = minutes(0...30).enumerated().map { ($1 + Double($0 % 4), $1 - behind) }
        #expect(!late(reports).contains(true))
    }

    @Test("what a drone with a right clock replays is late, in any order, also beside live reports")
    func replayOfAKnownDrone() {
        let before = minutes(0...3).map { ($0, $0) }
        let oldestFirst = minutes(4...60).enumerated().map { (3_660 + Double($0) * 0.01, $1) }
        // The last five minutes of the outage are as good as now.
        for replay in [oldestFirst, zip(oldestFirst, oldestFirst.reversed()).map { ($0.0, $1.1) }] {
            let verdicts = late(before + replay)
            #expect(verdicts.prefix(before.count) == [false, false, false, false])
            #expect(verdicts.count { $0 } == 53, "\(verdicts)")
        }
        let expected = before.map { _ in false } + oldestFirst.indices.map { $0 < 53 }
        #expect(late(before + oldestFirst) == expected)
        // Live ones between: the backlog stays late, they stay live.
        let mixed = minutes(61...80).enumerated().flatMap { index, now in [(now, now), (now + 1, Double(index) * 60)] }
        #expect(late(before + mixed).dropFirst(4).enumerated().allSatisfy { $1 == ($0 % 2 == 1) })
    }

    @Test("of what an unknown drone replays only the first report counts as live")
    func replayOfAnUnknownDrone() {
        let replay = minutes(0...60).enumerated().map { (7_200 + Double($0) * 0.01, $1) }
        #expect(late(replay) == [false] + Array(repeating: true, count: 60))
        // Its clock is right, and that shows with its first live report.
        let verdicts = late(replay + [(7_210, 7_209), (7_211, 600), (7_270, 7_269)])
        #expect(verdicts.suffix(3) == [false, true, false])
    }

    @Test("what a drone with a slow clock replays is late: its age stands out from the clock's")
    func replayWithASlowClock() {
        let behind = 1_800.0
        let before = minutes(0...5).map { ($0, $0 - behind) }
        let replay = minutes(6...60).enumerated().map { (3_660 + Double($0) * 0.01, $1 - behind) }
        let after = minutes(62...65).map { ($0, $0 - behind) }
        let verdicts = late(before + replay + after)
        #expect(!verdicts.prefix(6).contains(true) && !verdicts.suffix(4).contains(true))
        #expect(verdicts.dropFirst(6).prefix(49).allSatisfy { $0 }, "\(verdicts)")
    }

    @Test("a clock that loses its time is believed at once after a restart, else from the second report on")
    func lostTime() {
        var clock = DroneClock()
        for minute in minutes(0...3) { #expect(!isLate(minute, minute, "first", &clock)) }
        #expect(!isLate(300, 300 - 40_000, "second", &clock))
        #expect(!isLate(360, 360 - 40_000, "second", &clock))
        // What waited from before the restart is no third boot.
        #expect(!isLate(365, 365 - 40_000, "first", &clock), "as old as the new clock: in doubt live")
        #expect(isLate(366, 366 - 41_000, "first", &clock))

        #expect(
            late([(0, 0), (60, 60), (120, -5_000), (180, -4_940), (240, -4_880)]) == [false, false, true, false, false])
    }

    @Test("one report from the far future does not make the following ones late")
    func farFuture() {
        #expect(!late([(0, 1e9), (60, 60), (120, 120), (180, 0)]).contains(true))
    }

    @Test("the same report sent again is no steady pace")
    func sentAgain() {
        let again = (1...20).map { (3_600 + Double($0) * 6, 600.0) }
        #expect(late([(0, 0)] + again).dropFirst().allSatisfy { $0 })
    }
}
