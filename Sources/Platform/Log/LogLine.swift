// How an event becomes a line. Escaping is the point: see `appendEscaped`.

struct LogLine {
    let microseconds: Int64
    let level: LogLevel
    let component: String
    let event: String
    let values: KeyValuePairs<String, LogValue>

    /// A longer value is cut: one event must not push others out of a journal.
    static let maxValueBytes = 4096

    /// `2026-11-20T05:00:00.123Z info relay.buffer opened segments=3 path=/var/lib/columba`
    func text() -> [UInt8] {
        var line: [UInt8] = []
        line.reserveCapacity(160)
        appendTime(to: &line)
        line.append(contentsOf: " \(level.name) ".utf8)
        appendWord(component, to: &line)
        line.append(UInt8(ascii: " "))
        appendWord(event, to: &line)
        for (key, value) in values {
            line.append(UInt8(ascii: " "))
            appendWord(key, to: &line)
            line.append(UInt8(ascii: "="))
            switch value {
            case .string(let text): appendWord(text, to: &line)
            case .int(let number): line.append(contentsOf: String(number).utf8)
            case .double(let number): line.append(contentsOf: "\(number)".utf8)
            case .bool(let flag): line.append(contentsOf: (flag ? "true" : "false").utf8)
            }
        }
        line.append(UInt8(ascii: "\n"))
        return line
    }

    /// `{"time":"…","level":"info","component":"relay","event":"opened","segments":3}`
    func json() -> [UInt8] {
        var line: [UInt8] = []
        line.reserveCapacity(200)
        line.append(contentsOf: #"{"time":""#.utf8)
        appendTime(to: &line)
        line.append(contentsOf: #"","level":"\#(level.name)","component":"#.utf8)
        appendQuoted(component, to: &line)
        line.append(contentsOf: #","event":"#.utf8)
        appendQuoted(event, to: &line)
        for (key, value) in values {
            line.append(UInt8(ascii: ","))
            appendQuoted(key, to: &line)
            line.append(UInt8(ascii: ":"))
            switch value {
            case .string(let text): appendQuoted(text, to: &line)
            case .int(let number): line.append(contentsOf: String(number).utf8)
            // JSON has no NaN and no infinity.
            case .double(let number): line.append(contentsOf: (number.isFinite ? "\(number)" : "null").utf8)
            case .bool(let flag): line.append(contentsOf: (flag ? "true" : "false").utf8)
            }
        }
        line.append(contentsOf: "}\n".utf8)
        return line
    }

    /// Bare if nothing in it could be taken for a separator, quoted otherwise.
    private func appendWord(_ text: String, to line: inout [UInt8]) {
        let bare =
            !text.isEmpty && text.utf8.count <= LogLine.maxValueBytes
            && text.utf8.allSatisfy { (0x21...0x7E).contains($0) && $0 != 0x22 && $0 != 0x3D && $0 != 0x5C }
        if bare { line.append(contentsOf: text.utf8) } else { appendQuoted(text, to: &line) }
    }

    private func appendQuoted(_ text: String, to line: inout [UInt8]) {
        line.append(0x22)
        var room = LogLine.maxValueBytes
        for scalar in text.unicodeScalars {
            room -= scalar.utf8.count
            guard room >= 0 else {
                line.append(contentsOf: "…".utf8)
                break
            }
            LogLine.appendEscaped(scalar, to: &line)
        }
        line.append(0x22)
    }

    /// Escaped: controls (C0, DEL, C1: line breaks and terminal sequences), U+2028 and U+2029 (line breaks to some
    /// readers), and the marks that turn the direction of writing (they can make a line look like another).
    private static func appendEscaped(_ scalar: Unicode.Scalar, to line: inout [UInt8]) {
        switch scalar.value {
        case 0x22, 0x5C:
            line.append(0x5C)
            line.append(UInt8(scalar.value))
        case 0x0A: line.append(contentsOf: "\\n".utf8)
        case 0x0D: line.append(contentsOf: "\\r".utf8)
        case 0x09: line.append(contentsOf: "\\t".utf8)
        case 0..<0x20, 0x7F...0x9F, 0x061C, 0x200E, 0x200F, 0x2028...0x202E, 0x2066...0x2069, 0xFEFF:
            let digits = String(scalar.value, radix: 16)
            line.append(contentsOf: "\\u".utf8)
            line.append(contentsOf: repeatElement(UInt8(ascii: "0"), count: 4 - digits.utf8.count))
            line.append(contentsOf: digits.utf8)
        default: line.append(contentsOf: scalar.utf8)
        }
    }

    /// RFC 3339, UTC, milliseconds.
    private func appendTime(to line: inout [UInt8]) {
        let milliseconds = microseconds.floorDivided(by: 1000)
        let days = milliseconds.floorDivided(by: 86_400_000)
        let ofDay = milliseconds - days * 86_400_000
        let (year, month, day) = LogLine.civilDate(daysSince1970: days)
        appendPadded(year, 4, to: &line)
        for (separator, number, width) in [
            ("-", month, 2), ("-", day, 2), ("T", ofDay / 3_600_000, 2), (":", ofDay / 60_000 % 60, 2),
            (":", ofDay / 1000 % 60, 2), (".", ofDay % 1000, 3),
        ] {
            line.append(contentsOf: separator.utf8)
            appendPadded(number, width, to: &line)
        }
        line.append(UInt8(ascii: "Z"))
    }

    private func appendPadded(_ number: Int64, _ width: Int, to line: inout [UInt8]) {
        let digits = String(number)
        line.append(contentsOf: repeatElement(UInt8(ascii: "0"), count: max(0, width - digits.utf8.count)))
        line.append(contentsOf: digits.utf8)
    }

    /// Days since 1970-01-01 → Gregorian date (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
    private static func civilDate(daysSince1970: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let shifted = daysSince1970 + 719_468
        let era = shifted.floorDivided(by: 146_097)
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * monthFromMarch + 2) / 5 + 1)
    }
}

extension Int64 {
    fileprivate func floorDivided(by divisor: Int64) -> Int64 {
        let quotient = self / divisor
        return self % divisor < 0 ? quotient - 1 : quotient
    }
}
