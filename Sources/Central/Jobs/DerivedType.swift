// Types of derived tables, as Delta's `schemaString` and as DuckDB call them. A job's result may have any type DuckDB
// knows; what Delta's first version lacks is cast to the nearest it has, once, before the file is written.

import FoundationEssentials

indirect enum DerivedType: Equatable {
    /// Both names of a type without parts.
    case plain(delta: String, duckDB: String)
    case array(DerivedType)
    case map(DerivedType, DerivedType)
    case structure([DerivedColumn])

    private static let names = [
        ("string", "VARCHAR"), ("long", "BIGINT"), ("integer", "INTEGER"), ("short", "SMALLINT"), ("byte", "TINYINT"),
        ("float", "FLOAT"), ("double", "DOUBLE"), ("boolean", "BOOLEAN"), ("date", "DATE"),
        ("timestamp", "TIMESTAMP WITH TIME ZONE"), ("binary", "BLOB"),
    ]
    /// DuckDB's others. A sum of integers is a HUGEINT: one beyond 64 bits is an error of the run, not a wrong number.
    private static let nearest = [
        "TIMESTAMPTZ": "TIMESTAMP WITH TIME ZONE", "TIMESTAMP": "TIMESTAMP WITH TIME ZONE",
        "TIMESTAMP_S": "TIMESTAMP WITH TIME ZONE", "TIMESTAMP_MS": "TIMESTAMP WITH TIME ZONE",
        "TIMESTAMP_NS": "TIMESTAMP WITH TIME ZONE", "HUGEINT": "BIGINT", "UHUGEINT": "BIGINT", "UBIGINT": "BIGINT",
        "UINTEGER": "BIGINT", "USMALLINT": "INTEGER", "UTINYINT": "SMALLINT",
    ]

    /// A type without parts that DuckDB calls `name`; what has no counterpart (UUID, ENUM, INTERVAL, …) becomes text.
    static func plain(duckDB name: String) -> DerivedType {
        if name.hasPrefix("DECIMAL(") { return .plain(delta: "decimal" + name.dropFirst(7), duckDB: name) }
        let name = nearest[name] ?? name
        let found = names.first { $0.1 == name } ?? ("string", "VARCHAR")
        return .plain(delta: found.0, duckDB: found.1)
    }

    static func plain(delta name: String) -> DerivedType? {
        if name.hasPrefix("decimal("), name.dropFirst(8).allSatisfy({ $0.isNumber || ",)".contains($0) }) {
            return .plain(delta: name, duckDB: "DECIMAL" + name.dropFirst(7))
        }
        return names.first { $0.0 == name }.map { .plain(delta: $0.0, duckDB: $0.1) }
    }

    var duckDBName: String {
        switch self {
        case .plain(_, let name): name
        case .array(let element): "\(element.duckDBName)[]"
        case .map(let key, let value): "MAP(\(key.duckDBName), \(value.duckDBName))"
        case .structure(let columns):
            "STRUCT(" + columns.map { "\(quoted($0.name)) \($0.type.duckDBName)" }.joined(separator: ", ") + ")"
        }
    }

    var deltaJSON: String {
        switch self {
        case .plain(let name, _): "\"\(name)\""
        case .array(let element): #"{"type":"array","elementType":\#(element.deltaJSON),"containsNull":true}"#
        case .map(let key, let value):
            #"{"type":"map","keyType":\#(key.deltaJSON),"valueType":\#(value.deltaJSON),"valueContainsNull":true}"#
        case .structure(let columns): DerivedColumn.deltaJSON(columns)
        }
    }

    private func quoted(_ name: String) -> String { "\"" + name.replacing("\"", with: "\"\"") + "\"" }
}

struct DerivedColumn: Equatable {
    var name: String
    var type: DerivedType

    /// `schemaString` of a table with these columns.
    static func deltaJSON(_ columns: [DerivedColumn]) -> String {
        let fields = columns.map { column -> String in
            // The name was checked: letters, digits and _ need no escape.
            precondition(isPlain(column.name), "a derived table's column has a plain name")
            return #"{"name":"\#(column.name)","type":\#(column.type.deltaJSON),"nullable":true,"metadata":{}}"#
        }
        return #"{"type":"struct","fields":["# + fields.joined(separator: ",") + "]}"
    }

    /// Every engine can read such a name without quotes, and Delta without column mapping.
    static func isPlain(_ name: String) -> Bool {
        let bytes = name.utf8
        guard let first = bytes.first, bytes.count <= 128, isLetter(first) else { return false }
        return bytes.allSatisfy { isLetter($0) || (0x30...0x39).contains($0) }
    }

    private static func isLetter(_ byte: UInt8) -> Bool {
        (0x61...0x7a).contains(byte | 0x20) || byte == UInt8(ascii: "_")
    }
}

// MARK: - DuckDB's description of a type

extension DerivedType {
    /// Never fails: what it does not understand is written as text.
    init(duckDB text: String) {
        var rest = Array(text.utf8)[...]
        let type = Self.parse(&rest)
        self = rest.isEmpty ? type ?? .plain(duckDB: "VARCHAR") : .plain(duckDB: "VARCHAR")
    }

    private static func parse(_ rest: inout ArraySlice<UInt8>) -> DerivedType? {
        guard var type = base(&rest) else { return nil }
        while rest.first == UInt8(ascii: "[") {
            guard let close = rest.firstIndex(of: UInt8(ascii: "]")) else { return nil }
            rest = rest[(close + 1)...]
            type = .array(type)
        }
        return type
    }

    private static func base(_ rest: inout ArraySlice<UInt8>) -> DerivedType? {
        if take("STRUCT(", &rest) {
            var columns: [DerivedColumn] = []
            repeat {
                guard let name = name(&rest), take(" ", &rest), let type = parse(&rest) else { return nil }
                columns.append(DerivedColumn(name: name, type: type))
            } while take(", ", &rest)
            return take(")", &rest) && columns.allSatisfy { DerivedColumn.isPlain($0.name) }
                ? .structure(columns) : nil
        }
        if take("MAP(", &rest) {
            guard let key = parse(&rest), take(", ", &rest), let value = parse(&rest), take(")", &rest) else {
                return nil
            }
            return .map(key, value)
        }
        var end = rest.startIndex
        while end < rest.endIndex, !",)[(".utf8.contains(rest[end]) { end += 1 }
        guard end > rest.startIndex else { return nil }
        if end < rest.endIndex, rest[end] == UInt8(ascii: "(") {
            guard rest[rest.startIndex..<end].elementsEqual("DECIMAL".utf8),
                let close = rest[end...].firstIndex(of: UInt8(ascii: ")"))
            else { return nil }
            end = close + 1
        }
        let name = String(decoding: rest[rest.startIndex..<end], as: UTF8.self)
        rest = rest[end...]
        return .plain(duckDB: name)
    }

    private static func name(_ rest: inout ArraySlice<UInt8>) -> String? {
        if take("\"", &rest) {
            guard let close = rest.firstIndex(of: UInt8(ascii: "\"")) else { return nil }
            defer { rest = rest[(close + 1)...] }
            return String(decoding: rest[rest.startIndex..<close], as: UTF8.self)
        }
        let name = rest.prefix { $0 != UInt8(ascii: " ") }
        rest = rest[name.endIndex...]
        return name.isEmpty ? nil : String(decoding: name, as: UTF8.self)
    }

    private static func take(_ text: String, _ rest: inout ArraySlice<UInt8>) -> Bool {
        guard rest.starts(with: text.utf8) else { return false }
        rest = rest.dropFirst(text.utf8.count)
        return true
    }
}

// MARK: - Delta's description of a table

/// A node of `schemaString`: a name of a type, or an object.
private enum DeltaTypeNode: Decodable {
    case name(String)
    case object(DeltaTypeObject)

    init(from decoder: any Decoder) throws {
        if let name = try? decoder.singleValueContainer().decode(String.self) {
            self = .name(name)
        } else {
            self = .object(try DeltaTypeObject(from: decoder))
        }
    }

    var type: DerivedType? {
        switch self {
        case .name(let name): return DerivedType.plain(delta: name)
        case .object(let object):
            switch object.type {
            case "array": return object.elementType.first?.type.map { .array($0) }
            case "map":
                guard let key = object.keyType.first?.type, let value = object.valueType.first?.type else { return nil }
                return .map(key, value)
            case "struct": return object.columns.map { .structure($0) }
            default: return nil
            }
        }
    }
}

private struct DeltaTypeObject: Decodable {
    struct Field: Decodable {
        var name: String
        var type: DeltaTypeNode
    }

    var type: String
    // Lists of at most one: a structure cannot hold itself directly.
    var elementType: [DeltaTypeNode] = []
    var keyType: [DeltaTypeNode] = []
    var valueType: [DeltaTypeNode] = []
    var fields: [Field] = []

    private enum Key: String, CodingKey { case type, elementType, keyType, valueType, fields }

    init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: Key.self)
        type = try container.decode(String.self, forKey: .type)
        func one(_ key: Key) throws -> [DeltaTypeNode] {
            try container.decodeIfPresent(DeltaTypeNode.self, forKey: key).map { [$0] } ?? []
        }
        elementType = try one(.elementType)
        keyType = try one(.keyType)
        valueType = try one(.valueType)
        fields = try container.decodeIfPresent([Field].self, forKey: .fields) ?? []
    }

    var columns: [DerivedColumn]? {
        var columns: [DerivedColumn] = []
        for field in fields {
            guard let type = field.type.type else { return nil }
            columns.append(DerivedColumn(name: field.name, type: type))
        }
        return columns
    }
}

extension DerivedColumn {
    /// nil if the text is no schema, or has a type that is none of Delta's first version.
    static func columns(schemaString: String) -> [DerivedColumn]? {
        guard let node = try? JSONDecoder().decode(DeltaTypeNode.self, from: Data(schemaString.utf8)),
            case .structure(let columns)? = node.type, !columns.isEmpty
        else { return nil }
        return columns
    }
}
