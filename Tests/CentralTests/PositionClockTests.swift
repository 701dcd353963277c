// For how long something has waited, told from the stream's end alone.

import Central
import Testing
import TestSupport

@Suite("how old what waits is")
struct PositionClockTests {
    private static let second: UInt64 = 1_000_000_000

    @Test("the age is that of the first look that saw something beyond the position")
    func age() {
        var clock = PositionClock()
        #expect(clock.secondsSince(beyond: 0, atNanoseconds: 9 * Self.second) == 0)
        for (second, end) in [(1, 10), (2, 10), (3, 25), (4, 40)] as [(UInt64, Int64)] {
            clock.look(end: end, settledThrough: 0, atNanoseconds: second * Self.second)
        }
        let now = 10 * Self.second
        #expect(clock.secondsSince(beyond: 0, atNanoseconds: now) == 9)
        #expect(clock.secondsSince(beyond: 9, atNanoseconds: now) == 9)
        #expect(clock.secondsSince(beyond: 10, atNanoseconds: now) == 7)
        #expect(clock.secondsSince(beyond: 39, atNanoseconds: now) == 6)
        #expect(clock.secondsSince(beyond: 40, atNanoseconds: now) == 0)
    }

    @Test("what is settled is forgotten, and what comes later is told to the second again")
    func settled() {
        var clock = PositionClock()
        clock.look(end: 10, settledThrough: 0, atNanoseconds: Self.second)
        clock.look(end: 20, settledThrough: 10, atNanoseconds: 5 * Self.second)
        #expect(clock.secondsSince(beyond: 0, atNanoseconds: 6 * Self.second) == 1)
        clock.look(end: 20, settledThrough: 20, atNanoseconds: 7 * Self.second)
        #expect(clock.secondsSince(beyond: 0, atNanoseconds: 8 * Self.second) == 0)
    }

    @Test("a day that waits stays bounded, and every age is right to the minute")
    func bounded() {
        let seed = UInt64.random(in: 0 ... .max)
        print("seed \(seed)")
        var generator = SeededGenerator(seed: seed)
        var clock = PositionClock()
        let day = 86_400
        for second in 0...day {
            clock.look(end: Int64(second) * 10, settledThrough: -1, atNanoseconds: UInt64(second) * Self.second)
        }
        for _ in 0..<1_000 {
            let waited = Int.random(in: 1...day, using: &generator)
            // Something came in each second: what came `waited` seconds ago is the first beyond this position.
            let position = Int64(day - waited) * 10 - 1
            let age = clock.secondsSince(beyond: position, atNanoseconds: UInt64(day) * Self.second)
            #expect(age <= Double(waited) && age >= Double(waited) - 60, "\(age) of \(waited)")
        }
    }
}
