// The query items of an analyst's request, each asked for by name and type; what nobody asked for is an error that
// names it, so that a misspelt filter never gives more than was wanted.

import Models

struct AnalystQuery {
    private var items: [String: String] = [:]
    private var known: [String] = []
    let now: Timestamp

    init(_ queryItems: [(name: String, value: String)], now: Timestamp) throws(Problem) {
        self.now = now
        for (name, value) in queryItems where items.updateValue(value, forKey: name) != nil {
            throw Self.invalid("the query item is given twice; say it once", name)
        }
    }

    static func invalid(_ detail: String, _ field: String) -> Problem {
        Problem(status: 422, code: "invalid_field", detail: detail, field: field)
    }

    /// nil: not given. An empty value counts as none here, and `finish` refuses it.
    mutating func text(_ name: String) -> String? {
        known.append(name)
        return items[name].flatMap { $0.isEmpty ? nil : $0 }
    }

    mutating func integer(_ name: String, in range: ClosedRange<Int>) throws(Problem) -> Int? {
        guard let text = text(name) else { return nil }
        guard let value = Int(text), range.contains(value) else {
            throw Self.invalid("\(name) is a whole number from \(range.lowerBound) to \(range.upperBound)", name)
        }
        return value
    }

    mutating func time(_ name: String) throws(Problem) -> Timestamp? {
        guard let text = text(name) else { return nil }
        guard let time = TimeExpression.parse(text, now: now) else {
            throw Self.invalid("\(name) is \(TimeExpression.description)", name)
        }
        return time
    }

    mutating func choice<Choice: RawRepresentable<String>>(
        _ name: String, of choices: [Choice]
    ) throws(Problem) -> Choice? {
        guard let text = text(name) else { return nil }
        guard let choice = choices.first(where: { $0.rawValue == text }) else {
            throw Self.invalid("\(name) is one of \(choices.map(\.rawValue).joined(separator: ", "))", name)
        }
        return choice
    }

    /// After every item has been asked for.
    func finish() throws(Problem) {
        // Whoever wrote `drone_id=` meant one drone, not all of them.
        if let empty = known.first(where: { items[$0]?.isEmpty == true }) {
            throw Self.invalid("\(empty) is empty: give it a value or leave it out", empty)
        }
        guard let unknown = items.keys.filter({ !known.contains($0) }).min() else { return }
        let field = Identifier.isValidDroneID(unknown) ? unknown : nil
        throw Problem(
            status: 422, code: "unknown_parameter",
            detail: "this address takes \(known.joined(separator: ", ")), and nothing else", field: field)
    }

    /// Asks for it without a check of its value.
    mutating func peek(_ name: String) -> String? {
        known.append(name)
        return items[name]
    }

    /// What nobody has asked for yet.
    var rest: [String: String] { items.filter { !known.contains($0.key) } }
}

/// Times as people write them into an address.
enum TimeExpression {
    static let description =
        "a time such as 2026-11-20T05:00:00Z, a day such as 2026-11-20 (its start), now, or a "
        + "time before now such as -24h, -30m, -7d"

    private static let units: [Character: Int64] = ["s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800]
    private static let farthestSeconds: Int64 = 200 * 366 * 86_400

    static func parse(_ text: String, now: Timestamp) -> Timestamp? {
        if text == "now" { return now }
        if text.hasPrefix("-"), let unit = text.last.flatMap({ units[$0] }),
            let count = Int64(text.dropFirst().dropLast()), (0...(farthestSeconds / unit)).contains(count)
        {
            return Timestamp(microseconds: now.microseconds - count * unit * 1_000_000)
        }
        if text.utf8.count == 10 { return Timestamp(rfc3339: text + "T00:00:00Z") }
        // The plus of an offset arrives as a space where it was not escaped.
        return Timestamp(rfc3339: text.replacing(" ", with: "+"))
    }
}
