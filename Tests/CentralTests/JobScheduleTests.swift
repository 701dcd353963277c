// Schedules, job files and the scheduler: decided without a clock, so that years pass in a test.

import Central
import FoundationEssentials
import Models
import Testing
import TestSupport

private func time(_ text: String) -> Timestamp {
    Timestamp(rfc3339: text) ?? Timestamp(microseconds: 0)
}

@Suite("job schedules") struct JobScheduleTests {
    static let cases: [(String, String, [String])] = [
        ("every 15m", "2026-11-20T05:01:00Z", ["2026-11-20T05:15:00.000Z", "2026-11-20T05:30:00.000Z"]),
        ("every 1h at :05", "2026-11-20T05:05:00Z", ["2026-11-20T06:05:00.000Z", "2026-11-20T07:05:00.000Z"]),
        ("every 1d at 02:30", "2026-12-31T02:30:00Z", ["2027-01-01T02:30:00.000Z"]),
        ("every 6h at 01:00", "2026-11-20T00:59:59.999999Z", ["2026-11-20T01:00:00.000Z", "2026-11-20T07:00:00.000Z"]),
        // A day whose clocks change in most of Europe and one in most of America: UTC does not notice.
        ("every 1h", "2026-10-25T00:30:00Z", ["2026-10-25T01:00:00.000Z", "2026-10-25T02:00:00.000Z"]),
        ("30 2 * * *", "2027-03-14T00:00:00Z", ["2027-03-14T02:30:00.000Z", "2027-03-15T02:30:00.000Z"]),
        ("*/20 8-9 * * *", "2026-11-20T08:41:00Z", ["2026-11-20T09:00:00.000Z", "2026-11-20T09:20:00.000Z"]),
        ("0 0 29 2 *", "2026-11-20T00:00:00Z", ["2028-02-29T00:00:00.000Z", "2032-02-29T00:00:00.000Z"]),
        ("0 12 31 * *", "2026-11-20T00:00:00Z", ["2026-12-31T12:00:00.000Z", "2027-01-31T12:00:00.000Z"]),
        // 2026-11-20 is a Friday.
        ("0 9 * * mon-fri", "2026-11-20T09:00:00Z", ["2026-11-23T09:00:00.000Z"]),
        ("0 9 * * 7", "2026-11-20T09:00:00Z", ["2026-11-22T09:00:00.000Z"]),
        // Both days given: either will do.
        ("0 0 13 * fri", "2026-11-10T00:00:00Z", ["2026-11-13T00:00:00.000Z", "2026-11-20T00:00:00.000Z"]),
        ("5,35 0 1 jan,jul *", "2026-01-01T00:05:00Z", ["2026-01-01T00:35:00.000Z", "2026-07-01T00:05:00.000Z"]),
        ("10/25 0 * * *", "2026-01-01T00:11:00Z", ["2026-01-01T00:35:00.000Z", "2026-01-02T00:10:00.000Z"]),
        ("@monthly", "2026-12-01T00:00:00Z", ["2027-01-01T00:00:00.000Z"]),
        ("@weekly", "2026-11-20T00:00:00Z", ["2026-11-22T00:00:00.000Z"]),
    ]

    @Test("the next instants are the calendar's", arguments: cases)
    func next(text: String, after: String, expected: [String]) throws {
        let schedule = try JobSchedule(text)
        var now = time(after)
        for instant in expected {
            now = try #require(schedule.next(after: now))
            #expect(now.rfc3339 == instant)
        }
    }

    static let wrong = [
        "", "every", "every 7m", "every 50m", "every 36h", "every 1h at :60", "every 1h at 01:30", "every 15m at :20",
        "every 0m", "every -1h", "every 1h at", "every 1x", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *",
        "* * 0 * *", "* * * 13 *", "* * * * 8", "*/0 * * * *", "5-1 * * * *", "0 0 30 feb *", "a * * * *",
        "1,,2 * * * *",
        "@never", "1-2-3 * * * *", "1/2/3 * * * *",
    ]

    @Test("what is no schedule is refused", arguments: wrong)
    func refused(text: String) {
        #expect(throws: JobFileError.self) { try JobSchedule(text) }
    }

    @Test("next and latest agree at random times: no instant is skipped, none is made up")
    func agreement() throws {
        let seed = UInt64.random(in: 0 ... .max)
        print("seed \(seed)")
        var random = SeededGenerator(seed: seed)
        for (text, _, _) in Self.cases where text != "0 0 29 2 *" {
            let schedule = try JobSchedule(text)
            for _ in 0..<20 {
                let now = Timestamp(microseconds: .random(in: 0...2_000_000_000_000_000, using: &random))
                let next = try #require(schedule.next(after: now))
                let latest = try #require(schedule.latest(through: now))
                #expect(latest <= now && now < next)
                #expect(schedule.next(after: latest) == next)
                #expect(schedule.latest(through: next) == next)
                #expect(schedule.latest(through: Timestamp(microseconds: next.microseconds - 1)) == latest)
            }
        }
    }
}

@Suite("job files") struct JobFileTests {
    private func problem(_ text: String, name: String = "job") -> String? {
        do throws(JobFileError) {
            _ = try JobDefinition(name: name, text: text)
            return nil
        } catch {
            return error.description
        }
    }

    @Test("a file with a header and a statement is a job")
    func right() {
        #expect(
            problem(
                "-- A title\n--\n-- schedule: every 1h at :05\n-- table: t\n-- mode: append\n-- retries: 0\n"
                    + "-- timeout: 10m\n-- catch_up: all\n-- inputs: reports, derived.other\n\nSELECT 1 AS x; -- end\n")
                == nil)
        #expect(problem("-- schedule: @daily\r\n-- csv: a/b-c\r\nSELECT 1 AS x") == nil)
    }

    static let wrong: [(String, String)] = [
        ("SELECT 1", "schedule is missing"),
        ("-- schedule: @daily\nSELECT 1", "one output is wanted"),
        ("-- schedule: @daily\n-- table: t\n-- csv: x\nSELECT 1", "one output is wanted"),
        ("-- schedule: @daily\n-- table: T-1\nSELECT 1", "line 2: a table is named"),
        ("-- schedule: @daily\n-- table: t\n-- mode: upsert\nSELECT 1", "line 3: mode is"),
        ("-- schedule: @daily\n-- csv: x\n-- mode: append\nSELECT 1", "line 3: mode is for tables"),
        ("-- schedule: @daily\n-- csv: ../x\nSELECT 1", "line 2: a folder is relative"),
        ("-- schedule: @daily\n-- csv: /etc\nSELECT 1", "line 2: a folder is relative"),
        ("-- schedule: @daily\n-- table: t\n-- colour: red\nSELECT 1", "line 3: colour is no key"),
        ("-- schedule: @daily\n-- schedule: @daily\n-- table: t\nSELECT 1", "line 2: schedule is there twice"),
        ("-- schedule: every 7m\n-- table: t\nSELECT 1", "line 1: a period divides a day"),
        ("-- schedule: @daily\n-- table: t\n-- retries: 21\nSELECT 1", "line 3: retries is 0 to 20"),
        ("-- schedule: @daily\n-- table: t\n-- timeout: 2\nSELECT 1", "line 3: timeout is a duration"),
        ("-- schedule: @daily\n-- table: t\n-- catch_up: some\nSELECT 1", "line 3: catch_up is last, all, none"),
        ("-- schedule: @daily\n-- table: t\n-- inputs: a b\nSELECT 1", "line 3: inputs are views"),
        ("-- schedule: @daily\n-- table: t\n-- inputs: derived.t\nSELECT 1", "does not read the table it writes"),
        ("-- schedule: @daily\n-- table: t\n", "there is no statement"),
        ("-- schedule: @daily\n-- table: t\n ;\n", "there is no statement"),
    ]

    @Test("what is wrong is said, with its line", arguments: wrong)
    func refused(text: String, expected: String) throws {
        let found = try #require(problem(text))
        #expect(found.contains(expected), "\(found)")
    }

    @Test("a job's name is the file's, and plain", arguments: ["", "Upper", "a-b", "1a", "a.b", "../a"])
    func names(name: String) {
        #expect(problem("-- schedule: @daily\n-- table: t\nSELECT 1 AS x", name: name) != nil)
    }
}
