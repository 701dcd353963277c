// When a job is due: `every 1h at :05` or five cron fields. Instants are UTC's, so there is no hour twice and none
// missing in a year; a schedule is a set of instants on the wall clock, whoever looks at it and whenever.

package import Models

package struct JobSchedule: Hashable, Sendable {
    enum Kind: Hashable, Sendable {
        /// Whole seconds; the first instant of a UTC day is `offset` after midnight, or of 1970 for whole days.
        case every(seconds: Int64, offset: Int64)
        case cron(CronExpression)
    }

    let kind: Kind
    /// As written.
    package let text: String

    private static let secondsPerDay: Int64 = 86_400

    /// The first instant after `time`; nil beyond the calendar's end.
    package func next(after time: Timestamp) -> Timestamp? {
        let seconds = Self.floor(time.microseconds, by: 1_000_000)
        switch kind {
        case .every(let period, let offset):
            let periods = Self.floor(seconds - offset, by: period) + 1
            return Self.instant(periods * period + offset)
        case .cron(let expression):
            return expression.next(afterMinute: Self.floor(seconds, by: 60)).map { Timestamp(microseconds: $0) }
        }
    }

    /// The last instant up to and with `time`.
    package func latest(through time: Timestamp) -> Timestamp? {
        let seconds = Self.floor(time.microseconds, by: 1_000_000)
        switch kind {
        case .every(let period, let offset):
            return Self.instant(Self.floor(seconds - offset, by: period) * period + offset)
        case .cron(let expression):
            return expression.latest(throughMinute: Self.floor(seconds, by: 60)).map { Timestamp(microseconds: $0) }
        }
    }

    private static func instant(_ seconds: Int64) -> Timestamp? {
        let time = Timestamp(microseconds: seconds * 1_000_000)
        return time < .earliest || time > .latest ? nil : time
    }

    static func floor(_ value: Int64, by divisor: Int64) -> Int64 {
        let quotient = value / divisor
        return value % divisor < 0 ? quotient - 1 : quotient
    }
}

/// What is wrong with a job file, for whoever writes it.
package struct JobFileError: Error, Hashable, Sendable, CustomStringConvertible {
    package var line: Int?
    package var problem: String

    package init(_ problem: String, line: Int? = nil) {
        self.problem = problem
        self.line = line
    }

    package var description: String { line.map { "line \($0): \(problem)" } ?? problem }
}

extension JobSchedule {
    /// `every 15m`, `every 1h at :05`, `every 1d at 02:30`, `@daily`, or `5 * * * *`.
    package init(_ text: String) throws(JobFileError) {
        let words = text.lowercased().split(separator: " ").map(String.init)
        self.text = words.joined(separator: " ")
        if words.first == "every" {
            kind = try Self.every(Array(words.dropFirst()))
        } else {
            let expression = try CronExpression(words)
            kind = .cron(expression)
            let start = Timestamp(microseconds: 0)
            guard next(after: start) != nil else { throw JobFileError("the schedule names a day that never comes") }
        }
    }

    private static func every(_ words: [String]) throws(JobFileError) -> Kind {
        let example = "write it as every 15m, every 1h at :05, every 1d at 02:30, or as five cron fields"
        guard let first = words.first, let period = seconds(first), period > 0 else {
            throw JobFileError("the schedule has no period; \(example)")
        }
        guard period >= secondsPerDay ? period % secondsPerDay == 0 : secondsPerDay % period == 0 else {
            throw JobFileError("a period divides a day, or is whole days: 5m, 15m, 1h, 6h, 1d, 7d")
        }
        var offset: Int64 = 0
        if words.count > 1 {
            guard words.count == 3, words[1] == "at", let found = Self.offset(words[2]) else {
                throw JobFileError("after the period comes at :MM or at HH:MM; \(example)")
            }
            guard found < period else { throw JobFileError("at \(words[2]) is beyond the period") }
            offset = found
        }
        return .every(seconds: period, offset: offset)
    }

    /// `90s`, `15m`, `2h`, `7d`.
    static func seconds(_ text: String) -> Int64? {
        let units: [Character: Int64] = ["s": 1, "m": 60, "h": 3600, "d": secondsPerDay]
        guard let last = text.last, let unit = units[last], let count = Int64(text.dropLast()), count > 0,
            count <= 1_000_000
        else { return nil }
        return count * unit
    }

    /// `:05` is minutes past the hour, `02:30` hours and minutes.
    private static func offset(_ text: String) -> Int64? {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, parts[1].count == 2, let minutes = Int64(parts[1]), (0...59).contains(minutes) else {
            return nil
        }
        guard !parts[0].isEmpty else { return minutes * 60 }
        guard parts[0].count <= 2, let hours = Int64(parts[0]), (0...23).contains(hours) else { return nil }
        return hours * 3600 + minutes * 60
    }
}
