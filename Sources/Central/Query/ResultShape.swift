// How a result becomes JSON. DuckDB's own JSON output has bare NaN and Infinity, sums of integers as strings and
// times without the T and the Z; so each row is put together as a JSON object in SQL: `to_json` of every column, with
// the times of a column of any depth rewritten as RFC 3339.

import DuckDB
import Models

/// A type as DuckDB describes it, as far as times inside it matter.
indirect enum DescribedType: Equatable {
    /// Needs no rewriting.
    case plain
    case time
    case list(DescribedType)
    case structure([(name: String, type: DescribedType)])
    case map(DescribedType)

    static func == (left: DescribedType, right: DescribedType) -> Bool {
        switch (left, right) {
        case (.plain, .plain), (.time, .time): true
        case (.list(let left), .list(let right)), (.map(let left), .map(let right)): left == right
        case (.structure(let left), .structure(let right)):
            left.map(\.name) == right.map(\.name) && left.map(\.type) == right.map(\.type)
        default: false
        }
    }

    var holdsTime: Bool {
        switch self {
        case .plain: false
        case .time: true
        case .list(let element), .map(let element): element.holdsTime
        case .structure(let fields): fields.contains { $0.type.holdsTime }
        }
    }

    /// Never fails: what it does not understand is `.plain` and comes out as DuckDB writes it.
    init(_ text: String) {
        var parser = TypeParser(rest: Array(text.utf8)[...])
        self = parser.type() ?? .plain
        if !parser.rest.isEmpty { self = .plain }
    }

    /// SQL that gives `value` with its times as text.
    func rewritten(_ value: String, depth: Int = 0) -> String {
        guard holdsTime else { return value }
        let element = "x\(depth)"
        switch self {
        case .plain: return value
        case .time: return "strftime(\(value)::TIMESTAMP, '%Y-%m-%dT%H:%M:%S.%fZ')"
        case .list(let type):
            return "list_transform(\(value), lambda \(element): \(type.rewritten(element, depth: depth + 1)))"
        case .map(let type):
            let entry = "struct_pack(k := \(element).key, v := \(type.rewritten("\(element).value", depth: depth + 1)))"
            return "map_from_entries(list_transform(map_entries(\(value)), lambda \(element): \(entry)))"
        case .structure(let fields):
            let packed = fields.map { field in
                let name = SQLText.identifier(field.name)
                return "\(name) := \(field.type.rewritten("(\(value)).\(name)", depth: depth + 1))"
            }
            return "case when \(value) is null then null else struct_pack(\(packed.joined(separator: ", "))) end"
        }
    }
}

private struct TypeParser {
    var rest: ArraySlice<UInt8>

    mutating func type() -> DescribedType? {
        guard var type = base() else { return nil }
        while rest.first == UInt8(ascii: "[") {
            guard let close = rest.firstIndex(of: UInt8(ascii: "]")) else { return nil }
            // A fixed-size array does not take list functions; left as it is.
            type = rest[rest.startIndex + 1..<close].isEmpty ? .list(type) : .plain
            rest = rest[(close + 1)...]
        }
        return type
    }

    private mutating func base() -> DescribedType? {
        if take("STRUCT(") {
            var fields: [(name: String, type: DescribedType)] = []
            repeat {
                guard let name = name(), take(" "), let type = type() else { return nil }
                fields.append((name, type))
            } while take(", ")
            return take(")") ? .structure(fields) : nil
        }
        if take("MAP(") {
            guard type() != nil, take(", "), let value = type(), take(")") else { return nil }
            return .map(value)
        }
        if take("TIMESTAMP WITH TIME ZONE") || take("TIMESTAMP_NS") || take("TIMESTAMP_MS") || take("TIMESTAMP_S")
            || take("TIMESTAMP")
        {
            return .time
        }
        // A name of letters, and what it has in parentheses: DECIMAL(18,3), ENUM('a', 'b').
        let ends = Array(",)[(".utf8)
        let name = rest.prefix { !ends.contains($0) }
        guard !name.isEmpty else { return nil }
        rest = rest[name.endIndex...]
        if rest.first == UInt8(ascii: "(") {
            guard name.elementsEqual("DECIMAL".utf8), let close = rest.firstIndex(of: UInt8(ascii: ")")) else {
                return nil
            }
            rest = rest[(close + 1)...]
        }
        return .plain
    }

    private mutating func name() -> String? {
        guard take("\"") else {
            let name = rest.prefix { $0 != UInt8(ascii: " ") && $0 != UInt8(ascii: ",") && $0 != UInt8(ascii: ")") }
            rest = rest[name.endIndex...]
            return name.isEmpty ? nil : String(decoding: name, as: UTF8.self)
        }
        var name: [UInt8] = []
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "\"") && rest.first != UInt8(ascii: "\"") {
                return String(decoding: name, as: UTF8.self)
            }
            if byte == UInt8(ascii: "\"") { rest = rest.dropFirst() }
            name.append(byte)
        }
        return nil
    }

    private mutating func take(_ text: String) -> Bool {
        guard rest.starts(with: text.utf8) else { return false }
        rest = rest.dropFirst(text.utf8.count)
        return true
    }
}

enum ResultShape {
    /// A SELECT that gives each row as one text, a JSON object. `source` is a table expression.
    static func jsonRows(_ columns: [QueryColumn], from source: String, limit: Int? = nil) -> String {
        var parts: [String] = []
        for (index, column) in columns.enumerated() {
            var key: [UInt8] = Array(index == 0 ? "{".utf8 : ",".utf8)
            JSONText.appendString(column.name, to: &key)
            key.append(UInt8(ascii: ":"))
            parts.append(SQLText.literal(String(decoding: key, as: UTF8.self)))
            let value = DescribedType(column.type).rewritten("c\(index)")
            parts.append("coalesce(to_json(\(value))::VARCHAR, 'null')")
        }
        parts.append("'}'")
        let names = columns.indices.map { "c\($0)" }.joined(separator: ", ")
        return
            "select concat(\(parts.joined(separator: ", "))) "
            + "from (select * from \(source)) as q(\(names))" + (limit.map { " limit \($0)" } ?? "")
    }

    /// Replaces the bare words NaN, Infinity and -Infinity, which are not JSON, by null, and joins lines by commas.
    static func rows(fromLines lines: ArraySlice<UInt8>, limit: Int, into output: inout [UInt8]) -> (
        rows: Int, more: Bool
    ) {
        var rows = 0
        var isInString = false
        var index = lines.startIndex
        while index < lines.endIndex {
            let byte = lines[index]
            switch byte {
            case UInt8(ascii: "\n"):
                rows += 1
                let isLast = index + 1 == lines.endIndex
                if rows == limit && !isLast { return (rows, true) }
                if !isLast { output.append(UInt8(ascii: ",")) }
            case UInt8(ascii: "\\") where isInString:
                output.append(byte)
                index += 1
                if index < lines.endIndex { output.append(lines[index]) }
            case UInt8(ascii: "\""):
                isInString.toggle()
                output.append(byte)
            case UInt8(ascii: "N") where !isInString, UInt8(ascii: "I") where !isInString:
                if output.last == UInt8(ascii: "-") { output.removeLast() }
                output.append(contentsOf: "null".utf8)
                while index + 1 < lines.endIndex, isLetter(lines[index + 1]) { index += 1 }
            default:
                output.append(byte)
            }
            index += 1
        }
        return (rows, false)
    }

    private static func isLetter(_ byte: UInt8) -> Bool { (byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x7a }
}
