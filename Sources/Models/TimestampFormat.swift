// Timestamp ↔ RFC 3339 text.
//
// Reading is strict: `YYYY-MM-DDThh:mm:ss[.fraction](Z|±hh:mm)`, real calendar days, years 0001…9999 in UTC. A
// fraction may have any number of digits; those past the sixth are dropped. A leap second (:60, only at 23:59 UTC) is
// the first second of the next day, as POSIX counts. Writing gives milliseconds, or microseconds where there are any.

extension Timestamp {
    package init?(rfc3339 text: String) {
        var text = text
        guard let value = text.withUTF8({ Timestamp(rfc3339: $0) }) else { return nil }
        self = value
    }

    package init?(rfc3339 bytes: UnsafeBufferPointer<UInt8>) {
        var reader = RFC3339Reader(bytes: bytes)
        guard let value = reader.read() else { return nil }
        self = value
    }

    package init?(rfc3339 bytes: [UInt8]) {
        guard let value = bytes.withUnsafeBufferPointer({ Timestamp(rfc3339: $0) }) else { return nil }
        self = value
    }

    /// `2026-11-20T05:00:00.123Z`. Times outside the years 0001…9999 are written as the nearest end.
    package var rfc3339: String {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(27)
        appendRFC3339(to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }

    package func appendRFC3339(to output: inout [UInt8]) {
        let clamped = min(max(self, .earliest), .latest).microseconds
        let (day, time) = Self.split(clamped)
        Self.appendDay(day, to: &output)
        output.append(0x54)
        let seconds = time / 1_000_000
        Self.append(seconds / 3600, digits: 2, to: &output)
        output.append(0x3a)
        Self.append(seconds / 60 % 60, digits: 2, to: &output)
        output.append(0x3a)
        Self.append(seconds % 60, digits: 2, to: &output)
        output.append(0x2e)
        let fraction = time % 1_000_000
        if fraction % 1000 == 0 {
            Self.append(fraction / 1000, digits: 3, to: &output)
        } else {
            Self.append(fraction, digits: 6, to: &output)
        }
        output.append(0x5a)
    }

    /// The UTC day, `2026-11-20`: the archive's partition.
    package var utcDay: String {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(10)
        Self.appendDay(Self.split(min(max(self, .earliest), .latest).microseconds).day, to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Days since 1970-01-01 (floor) and microseconds within the day.
    private static func split(_ microseconds: Int64) -> (day: Int64, time: Int64) {
        let perDay: Int64 = 86_400_000_000
        var day = microseconds / perDay
        var time = microseconds % perDay
        if time < 0 {
            day -= 1
            time += perDay
        }
        return (day, time)
    }

    private static func appendDay(_ day: Int64, to output: inout [UInt8]) {
        let (year, month, dayOfMonth) = Calendar.civil(fromDay: day)
        append(year, digits: 4, to: &output)
        output.append(0x2d)
        append(month, digits: 2, to: &output)
        output.append(0x2d)
        append(dayOfMonth, digits: 2, to: &output)
    }

    private static func append(_ value: Int64, digits: Int, to output: inout [UInt8]) {
        var divisor: Int64 = 1
        for _ in 1..<digits { divisor *= 10 }
        var rest = value
        while divisor > 0 {
            output.append(UInt8(truncatingIfNeeded: 0x30 + rest / divisor))
            rest %= divisor
            divisor /= 10
        }
    }
}

/// The proleptic Gregorian calendar in whole days since 1970-01-01.
/// Source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
enum Calendar {
    static func day(year: Int64, month: Int64, day: Int64) -> Int64 {
        let shifted = month <= 2 ? year - 1 : year
        let era = (shifted >= 0 ? shifted : shifted - 399) / 400
        let yearOfEra = shifted - era * 400
        let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        return era * 146_097 + dayOfEra - 719_468
    }

    static func civil(fromDay day: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let shifted = day + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthShifted = (5 * dayOfYear + 2) / 153
        let month = monthShifted < 10 ? monthShifted + 3 : monthShifted - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        return (year, month, dayOfYear - (153 * monthShifted + 2) / 5 + 1)
    }

    static func days(inMonth month: Int64, year: Int64) -> Int64 {
        switch month {
        case 4, 6, 9, 11: 30
        case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
        default: 31
        }
    }
}

/// Reads one RFC 3339 time from the left to the right; any surprise gives nil.
private struct RFC3339Reader {
    let bytes: UnsafeBufferPointer<UInt8>
    var position = 0

    init(bytes: UnsafeBufferPointer<UInt8>) { self.bytes = bytes }

    mutating func read() -> Timestamp? {
        guard let year = number(digits: 4), skip(0x2d), let month = number(digits: 2), skip(0x2d),
            let day = number(digits: 2), skip(0x54) || skip(0x74),
            let hour = number(digits: 2), skip(0x3a), let minute = number(digits: 2), skip(0x3a),
            let second = number(digits: 2), let fraction = fraction(), let offset = offsetSeconds(),
            position == bytes.count
        else { return nil }
        guard (1...12).contains(month), day >= 1, day <= Calendar.days(inMonth: month, year: year),
            hour <= 23, minute <= 59, second <= 60
        else { return nil }
        let days = Calendar.day(year: year, month: month, day: day)
        let minuteStart = days * 86_400 + hour * 3600 + minute * 60 - offset
        if second == 60 {
            let secondOfDay = ((minuteStart % 86_400) + 86_400) % 86_400
            guard secondOfDay == 86_340 else { return nil }
        }
        let value = Timestamp(microseconds: (minuteStart + second) * 1_000_000 + fraction)
        return value < .earliest || value > .latest ? nil : value
    }

    private mutating func skip(_ character: UInt8) -> Bool {
        guard position < bytes.count, bytes[position] == character else { return false }
        position += 1
        return true
    }

    private mutating func digit() -> Int64? {
        guard position < bytes.count, bytes[position] >= 0x30, bytes[position] <= 0x39 else { return nil }
        defer { position += 1 }
        return Int64(bytes[position] - 0x30)
    }

    private mutating func number(digits: Int) -> Int64? {
        var value: Int64 = 0
        for _ in 0..<digits {
            guard let digit = digit() else { return nil }
            value = value * 10 + digit
        }
        return value
    }

    /// Microseconds; 0 where there is no fraction, nil where a point has no digit after it.
    private mutating func fraction() -> Int64? {
        guard skip(0x2e) else { return 0 }
        guard let first = digit() else { return nil }
        var value = first
        var count = 1
        while let next = digit() {
            count += 1
            if count <= 6 { value = value * 10 + next }
        }
        while count < 6 {
            value *= 10
            count += 1
        }
        return value
    }

    /// Seconds east of UTC.
    private mutating func offsetSeconds() -> Int64? {
        if skip(0x5a) || skip(0x7a) { return 0 }
        let sign: Int64
        if skip(0x2b) { sign = 1 } else if skip(0x2d) { sign = -1 } else { return nil }
        guard let hour = number(digits: 2), skip(0x3a), let minute = number(digits: 2), hour <= 23, minute <= 59
        else { return nil }
        return sign * (hour * 3600 + minute * 60)
    }
}
