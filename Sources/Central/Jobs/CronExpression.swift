// Five cron fields: minute, hour, day of the month, month, day of the week (0 and 7 are Sunday), each `*`, a number, a
// range, a list, or one of these with a step; months and days also by their English names. Where both days are given,
// either will do, as in every cron. In UTC.

import Models

struct CronExpression: Hashable, Sendable {
    private var minutes: Set<Int>
    private var hours: Set<Int>
    private var days: Set<Int>
    private var months: Set<Int>
    private var weekdays: Set<Int>
    private var anyDay: Bool
    private var anyWeekday: Bool

    private static let minutesPerDay: Int64 = 1_440
    /// Leap days come at most eight years apart.
    private static let horizonDays: Int64 = 366 * 9
    private static let shortcuts = [
        "@hourly": "0 * * * *", "@daily": "0 0 * * *", "@weekly": "0 0 * * 0", "@monthly": "0 0 1 * *",
        "@yearly": "0 0 1 1 *",
    ]
    private static let monthNames = [
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
    ]
    private static let dayNames = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]

    init(_ words: [String]) throws(JobFileError) {
        var words = words
        if words.count == 1, let meaning = Self.shortcuts[words[0]] {
            words = meaning.split(separator: " ").map(String.init)
        }
        guard words.count == 5 else {
            throw JobFileError("the schedule is neither `every …` nor five cron fields (minute hour day month weekday)")
        }
        minutes = try Self.field(words[0], 0...59, "minute")
        hours = try Self.field(words[1], 0...23, "hour")
        days = try Self.field(words[2], 1...31, "day")
        months = try Self.field(words[3], 1...12, "month", names: Self.monthNames, firstName: 1)
        weekdays = Set(
            try Self.field(words[4], 0...7, "weekday", names: Self.dayNames, firstName: 0).map { $0 % 7 })
        anyDay = words[2].hasPrefix("*")
        anyWeekday = words[4].hasPrefix("*")
    }

    private static func field(
        _ text: String, _ range: ClosedRange<Int>, _ name: String, names: [String] = [], firstName: Int = 0
    ) throws(JobFileError) -> Set<Int> {
        func number(_ text: Substring) throws(JobFileError) -> Int {
            if let index = names.firstIndex(of: String(text)) { return index + firstName }
            guard let number = Int(text), range.contains(number), text.allSatisfy(\.isNumber) else {
                throw JobFileError(
                    "the schedule's \(name) is \(range.lowerBound) to \(range.upperBound), a list, a range or a step")
            }
            return number
        }
        var found: Set<Int> = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let pieces = part.split(separator: "/", omittingEmptySubsequences: false)
            guard pieces.count <= 2 else { throw JobFileError("the schedule's \(name) has two steps") }
            var step = 1
            if pieces.count == 2 {
                guard let given = Int(pieces[1]), given > 0 else {
                    throw JobFileError("the schedule's \(name) has a step that is no number above 0")
                }
                step = given
            }
            let bounds = pieces[0].split(separator: "-", omittingEmptySubsequences: false)
            var (low, high) = (range.lowerBound, range.upperBound)
            if pieces[0] != "*" {
                guard bounds.count <= 2, let first = bounds.first, let last = bounds.last else {
                    throw JobFileError("the schedule's \(name) is empty")
                }
                low = try number(first)
                // `5/10` is from 5 to the end.
                high = bounds.count == 2 ? try number(last) : pieces.count == 2 ? high : low
            }
            guard low <= high else { throw JobFileError("the schedule's \(name) has a range that runs backwards") }
            found.formUnion(stride(from: low, through: high, by: step))
        }
        return found
    }

    /// Microseconds since 1970 of the first instant after this whole minute since 1970.
    func next(afterMinute minute: Int64) -> Int64? {
        let first = JobSchedule.floor(minute + 1, by: Self.minutesPerDay)
        for day in first...(first + Self.horizonDays) where matches(day: day) {
            let start = day == first ? minute + 1 - day * Self.minutesPerDay : 0
            if let found = times.first(where: { $0 >= start }) { return microseconds(day, found) }
        }
        return nil
    }

    /// Of the last instant up to and with this minute.
    func latest(throughMinute minute: Int64) -> Int64? {
        let last = JobSchedule.floor(minute, by: Self.minutesPerDay)
        for day in ((last - Self.horizonDays)...last).reversed() where matches(day: day) {
            let end = day == last ? minute - day * Self.minutesPerDay : Self.minutesPerDay
            if let found = times.last(where: { $0 <= end }) { return microseconds(day, found) }
        }
        return nil
    }

    /// Minutes of a day, in order.
    private var times: [Int64] {
        hours.flatMap { hour in minutes.map { Int64(hour * 60 + $0) } }.sorted()
    }

    private func microseconds(_ day: Int64, _ minute: Int64) -> Int64 {
        (day * Self.minutesPerDay + minute) * 60_000_000
    }

    private func matches(day: Int64) -> Bool {
        let date = Timestamp(microseconds: day * Self.minutesPerDay * 60_000_000).utcDay.split(separator: "-")
        guard date.count == 3, let month = Int(date[1]), let dayOfMonth = Int(date[2]) else { return false }
        guard months.contains(month) else { return false }
        // 1970-01-01 was a Thursday.
        let weekday = Int(((day + 4) % 7 + 7) % 7)
        let (byDay, byWeekday) = (days.contains(dayOfMonth), weekdays.contains(weekday))
        if anyDay || anyWeekday { return byDay && byWeekday }
        return byDay || byWeekday
    }
}
