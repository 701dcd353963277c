// Times: what is read, what is written, and the far ends.

import Models
import Testing
import TestSupport

@Suite("A timestamp")
struct TimestampTests {
    @Test(
        "is read from RFC 3339 text",
        arguments: [
            ("1970-01-01T00:00:00Z", 0),
            ("2026-11-20T05:00:00.123Z", 1_795_150_800_123_000),
            ("2026-11-20t05:00:00.123z", 1_795_150_800_123_000),
            ("2026-11-20T06:30:00.123+01:30", 1_795_150_800_123_000),
            ("2026-11-19T21:00:00.123-08:00", 1_795_150_800_123_000),
            ("1969-12-31T23:59:59.999999Z", -1),
            ("0001-01-01T00:00:00Z", -62_135_596_800_000_000),
            ("9999-12-31T23:59:59.999999Z", 253_402_300_799_999_999),
            ("2024-02-29T00:00:00Z", 1_709_164_800_000_000),
            ("2000-02-29T00:00:00Z", 951_782_400_000_000),
            ("2016-12-31T23:59:60Z", 1_483_228_800_000_000),
            ("2017-01-01T00:59:60.5+01:00", 1_483_228_800_500_000),
            ("1970-01-01T00:00:00.1Z", 100_000),
            ("1970-01-01T00:00:00.123456Z", 123_456),
            ("1970-01-01T00:00:00.123456999Z", 123_456),
            ("1970-01-01T00:00:00.00000000000000000001Z", 0),
            ("1970-01-01T00:00:00-00:00", 0),
            ("1970-01-01T23:59:00+23:59", 0),
        ] as [(String, Int64)])
    func reads(text: String, microseconds: Int64) {
        #expect(Timestamp(rfc3339: text)?.microseconds == microseconds)
    }

    @Test(
        "is not read from anything else",
        arguments: [
            "", "2026", "2026-11-20", "2026-11-20T05:00Z", "2026-11-20T05:00:00", "2026-11-20 05:00:00Z",
            "2026-11-20T05:00:00.Z", "2026-11-20T05:00:00,5Z", "2026-11-20T24:00:00Z", "2026-11-20T05:60:00Z",
            "2026-11-20T05:00:61Z", "2026-11-20T05:00:60Z", "2016-12-31T22:59:60Z", "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z", "2026-11-00T00:00:00Z", "2026-11-31T00:00:00Z", "2025-02-29T00:00:00Z",
            "1900-02-29T00:00:00Z", "2100-02-29T00:00:00Z", "0000-01-01T00:00:00Z", "0001-01-01T00:00:00+00:01",
            "9999-12-31T23:59:59-00:01", "9999-12-31T23:59:60Z", "10000-01-01T00:00:00Z", "2026-11-20T05:00:00+24:00",
            "2026-11-20T05:00:00+01:60", "2026-11-20T05:00:00+0100", "2026-11-20T05:00:00+1:00", "+026-11-20T05:00:00Z",
            "2026-11-20T05:00:00Z ", " 2026-11-20T05:00:00Z", "2026-11-20T05:00:00ZZ", "2026-1-20T05:00:00Z",
            "２026-11-20T05:00:00Z", "2026-11-20T05:00:00.1234567x", "-001-01-01T00:00:00Z", "2026-W47-5T00:00:00Z",
        ])
    func refuses(text: String) {
        #expect(Timestamp(rfc3339: text) == nil)
    }

    @Test("is written with milliseconds, and with microseconds where there are any")
    func writes() {
        #expect(Timestamp(microseconds: 0).rfc3339 == "1970-01-01T00:00:00.000Z")
        #expect(Timestamp(microseconds: 1_795_150_800_123_000).rfc3339 == "2026-11-20T05:00:00.123Z")
        #expect(Timestamp(microseconds: 1_795_150_800_123_456).rfc3339 == "2026-11-20T05:00:00.123456Z")
        #expect(Timestamp(microseconds: -1).rfc3339 == "1969-12-31T23:59:59.999999Z")
        #expect(Timestamp.earliest.rfc3339 == "0001-01-01T00:00:00.000Z")
        #expect(Timestamp.latest.rfc3339 == "9999-12-31T23:59:59.999999Z")
        #expect(Timestamp(microseconds: 1_795_150_800_123_000).utcDay == "2026-11-20")
        #expect(Timestamp(microseconds: -1).utcDay == "1969-12-31")
    }

    @Test("far outside the calendar is written as the calendar's nearest end, and arithmetic saturates")
    func farOut() {
        #expect(Timestamp(microseconds: .min).rfc3339 == Timestamp.earliest.rfc3339)
        #expect(Timestamp(microseconds: .max).rfc3339 == Timestamp.latest.rfc3339)
        #expect(Timestamp(microseconds: .max).utcDay == "9999-12-31")
        #expect(Timestamp(microseconds: .max).seconds(since: Timestamp(microseconds: .min)) > 1.8e13)
        #expect(Timestamp(microseconds: .max).adding(seconds: 1).microseconds == .max)
        #expect(Timestamp(microseconds: .min).adding(seconds: -1e300).microseconds == .min)
        #expect(Timestamp(microseconds: 0).adding(seconds: .infinity).microseconds == .max)
        #expect(Timestamp(microseconds: 5_000_000).adding(seconds: -1.5).microseconds == 3_500_000)
        #expect(MonotonicInstant(nanoseconds: 5).adding(seconds: -1).nanoseconds == 0)
        #expect(MonotonicInstant(nanoseconds: 5).adding(seconds: 1e300).nanoseconds == .max)
        let early = MonotonicInstant(nanoseconds: 1_000_000_000)
        #expect(early.seconds(since: early.adding(seconds: 2)) == -2)
    }

    @Test("reads back what it writes, for any time of the calendar")
    func roundTrip() {
        let seed = UInt64.random(in: 0 ... .max)
        var random = SeededGenerator(seed: seed)
        let range = Timestamp.earliest.microseconds...Timestamp.latest.microseconds
        for _ in 0..<20_000 {
            let time = Timestamp(microseconds: .random(in: range, using: &random))
            #expect(Timestamp(rfc3339: time.rfc3339) == time, "seed \(seed)")
        }
    }

    @Test("never reads a random text as a crash")
    func total() {
        let seed = UInt64.random(in: 0 ... .max)
        var random = SeededGenerator(seed: seed)
        let start = Array("2026-11-20T05:00:00.123456+01:00".utf8)
        for _ in 0..<20_000 {
            var text = start
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                text[Int.random(in: 0..<text.count, using: &random)] = .random(in: 0 ... .max, using: &random)
            }
            text.removeLast(Int.random(in: 0...3, using: &random))
            if let time = Timestamp(rfc3339: text) {
                #expect(time >= .earliest && time <= .latest, "seed \(seed)")
            }
        }
    }
}
