// JSON values for a command's own small answers, with members in the order in which they were written, and for reading
// answers whose shape is not known beforehand (query results).
import FoundationEssentials
import Models

package enum OrderedJSON: Sendable, Equatable {
    case null
    case bool(Bool)
    case integer(Int64)
    case number(Double)
    case string(String)
    case array([OrderedJSON])
    case object([Member])

    package struct Member: Sendable, Equatable {
        let name: String
        let value: OrderedJSON
    }

    package static func object(_ members: KeyValuePairs<String, OrderedJSON>) -> OrderedJSON {
        .object(members.map { Member(name: $0.key, value: $0.value) })
    }

    static func count(_ value: Int) -> OrderedJSON { .integer(Int64(value)) }

    /// Rounded to a thousandth, null if there is none: durations and other measured figures.
    package static func figure(_ value: Double?) -> OrderedJSON {
        guard let value, value.isFinite else { return .null }
        return .number((value * 1_000).rounded() / 1_000)
    }

    package var text: String {
        var bytes: [UInt8] = []
        append(to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }

    private func append(to bytes: inout [UInt8]) {
        switch self {
        case .null: bytes.append(contentsOf: "null".utf8)
        case .bool(let value): bytes.append(contentsOf: (value ? "true" : "false").utf8)
        case .integer(let value): bytes.append(contentsOf: String(value).utf8)
        case .number(let value):
            // 3 rather than 3.0: what a person would write, and what the same figure has in an integer field.
            let isWhole = value == value.rounded() && abs(value) < 1e15
            bytes.append(contentsOf: (isWhole ? String(Int64(value)) : String(value)).utf8)
        case .string(let value): JSONText.appendString(value, to: &bytes)
        case .array(let values):
            bytes.append(UInt8(ascii: "["))
            for (index, value) in values.enumerated() {
                if index > 0 { bytes.append(UInt8(ascii: ",")) }
                value.append(to: &bytes)
            }
            bytes.append(UInt8(ascii: "]"))
        case .object(let members):
            bytes.append(UInt8(ascii: "{"))
            for (index, member) in members.enumerated() {
                if index > 0 { bytes.append(UInt8(ascii: ",")) }
                JSONText.appendString(member.name, to: &bytes)
                bytes.append(UInt8(ascii: ":"))
                member.value.append(to: &bytes)
            }
            bytes.append(UInt8(ascii: "}"))
        }
    }
}

extension OrderedJSON: Decodable {
    /// Decoding goes through dictionaries: members are then in the order of their names.
    package init(from decoder: any Decoder) throws {
        let value = try decoder.singleValueContainer()
        if value.decodeNil() {
            self = .null
        } else if let bool = try? value.decode(Bool.self) {
            self = .bool(bool)
        } else if let integer = try? value.decode(Int64.self) {
            self = .integer(integer)
        } else if let number = try? value.decode(Double.self) {
            self = .number(number)
        } else if let string = try? value.decode(String.self) {
            self = .string(string)
        } else if let array = try? value.decode([OrderedJSON].self) {
            self = .array(array)
        } else {
            let members = try value.decode([String: OrderedJSON].self)
            self = .object(members.sorted { $0.key < $1.key }.map { Member(name: $0.key, value: $0.value) })
        }
    }

    package static func parse(_ bytes: [UInt8]) throws -> OrderedJSON {
        try JSONDecoder().decode(OrderedJSON.self, from: Data(bytes))
    }

    package subscript(name: String) -> OrderedJSON? {
        guard case .object(let members) = self else { return nil }
        return members.first { $0.name == name }?.value
    }

    var stringValue: String? {
        guard case .string(let value) = self else { return nil }
        return value
    }

    var intValue: Int? {
        switch self {
        case .integer(let value): Int(value)
        case .number(let value): Int(exactly: value)
        default: nil
        }
    }

    var doubleValue: Double? {
        switch self {
        case .integer(let value): Double(value)
        case .number(let value): value
        default: nil
        }
    }

    var elements: [OrderedJSON] {
        guard case .array(let values) = self else { return [] }
        return values
    }
}
