// Smallest and largest values of a Parquet file's columns, gathered while its rows are written: Delta's `stats`, by
// which readers (and our own digest look-ups) skip files. Every column here is never null in the rows that are
// counted.

import FoundationEssentials
import Models

/// The range of values seen; nil before the first.
struct ValueRange<Value: Comparable & Sendable>: Sendable {
    var smallest: Value?
    var largest: Value?

    mutating func include(_ value: Value) {
        guard let smallest, let largest else {
            self.smallest = value
            self.largest = value
            return
        }
        if value < smallest { self.smallest = value }
        if value > largest { self.largest = value }
    }
}

package struct FileStatistics: Sendable {
    var rows = 0
    private(set) var strings: [String: ValueRange<String>] = [:]
    private(set) var integers: [String: ValueRange<Int64>] = [:]
    private(set) var numbers: [String: ValueRange<Double>] = [:]
    private(set) var timestamps: [String: ValueRange<Int64>] = [:]
    private var nulls: [String: Int] = [:]

    mutating func include(_ column: String, _ value: String) { strings[column, default: .init()].include(value) }
    mutating func include(_ column: String, _ value: Int64) { integers[column, default: .init()].include(value) }
    mutating func include(_ column: String, _ value: Double) { numbers[column, default: .init()].include(value) }
    mutating func include(_ column: String, _ value: Timestamp) {
        timestamps[column, default: .init()].include(value.microseconds)
    }
    mutating func set(_ column: String, _ range: ValueRange<String>) { strings[column] = range }
    mutating func set(_ column: String, _ range: ValueRange<Int64>) { integers[column] = range }
    mutating func set(_ column: String, _ range: ValueRange<Double>) { numbers[column] = range }
    mutating func set(timestamps column: String, _ range: ValueRange<Int64>) { timestamps[column] = range }
    mutating func setNulls(_ column: String, _ count: Int) { nulls[column] = count }

    /// The `stats` string. Timestamps have milliseconds only, so the largest is rounded up: a reader that trusts it
    /// must not skip a file whose last row lies a few microseconds later.
    package var json: String {
        var smallest: [(String, String)] = []
        var largest: [(String, String)] = []
        func add(_ column: String, _ low: String?, _ high: String?) {
            guard let low, let high else { return }
            smallest.append((column, low))
            largest.append((column, high))
        }
        for (column, range) in strings { add(column, range.smallest.map(quoted), range.largest.map(quoted)) }
        for (column, range) in integers { add(column, range.smallest.map { "\($0)" }, range.largest.map { "\($0)" }) }
        for (column, range) in numbers { add(column, range.smallest.map(number), range.largest.map(number)) }
        for (column, range) in timestamps {
            add(
                column, range.smallest.map { milliseconds($0, up: false) },
                range.largest.map { milliseconds($0, up: true) })
        }
        let nullCounts = Set(smallest.map(\.0)).union(nulls.keys).map { ($0, "\(nulls[$0] ?? 0)") }
        return #"{"numRecords":\#(rows),"minValues":\#(object(smallest)),"maxValues":\#(object(largest)),"#
            + #""nullCount":\#(object(nullCounts))}"#
    }

    private func object(_ members: [(String, String)]) -> String {
        let sorted = members.sorted { $0.0 < $1.0 }
        return "{" + sorted.map { "\"\($0.0)\":\($0.1)" }.joined(separator: ",") + "}"
    }

    private func quoted(_ text: String) -> String {
        var output: [UInt8] = []
        JSONText.appendString(text, to: &output)
        return String(decoding: output, as: UTF8.self)
    }

    private func number(_ value: Double) -> String {
        var output: [UInt8] = []
        JSONText.appendNumber(value, to: &output)
        return String(decoding: output, as: UTF8.self)
    }

    private func milliseconds(_ microseconds: Int64, up: Bool) -> String {
        var whole = microseconds / 1000
        let rest = microseconds % 1000
        if rest > 0 && up { whole += 1 }
        if rest < 0 && !up { whole -= 1 }
        return "\"" + Timestamp(microseconds: whole * 1000).rfc3339 + "\""
    }
}

/// What is read back from a log: enough to count rows and to pass over files.
package struct RecordedStatistics: Decodable, Hashable, Sendable {
    struct Keys: Decodable, Hashable, Sendable {
        var drone_id: String?
        var seq: Int64?
        var relay_id: String?
        var relay_seq: Int64?
        /// Microseconds since 1970.
        var observedAt: Int64?
        var receivedAt: Int64?

        private enum CodingKeys: CodingKey {
            case drone_id, seq, relay_id, relay_seq, observed_at, received_at
        }

        package init(from decoder: any Decoder) throws {
            let values = try decoder.container(keyedBy: CodingKeys.self)
            drone_id = try values.decodeIfPresent(String.self, forKey: .drone_id)
            seq = try values.decodeIfPresent(Int64.self, forKey: .seq)
            relay_id = try values.decodeIfPresent(String.self, forKey: .relay_id)
            relay_seq = try values.decodeIfPresent(Int64.self, forKey: .relay_seq)
            func time(_ key: CodingKeys) throws -> Int64? {
                try values.decodeIfPresent(String.self, forKey: key).flatMap { Timestamp(rfc3339: $0)?.microseconds }
            }
            observedAt = try time(.observed_at)
            receivedAt = try time(.received_at)
        }
    }

    package var numRecords: Int
    var minValues: Keys?
    var maxValues: Keys?

    /// nil if there are none or they make no sense: the file is then never passed over.
    init?(json: String?) {
        guard let json, let read = try? JSONDecoder().decode(RecordedStatistics.self, from: Data(json.utf8)) else {
            return nil
        }
        self = read
    }
}
