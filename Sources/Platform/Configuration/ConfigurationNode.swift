// The tree of a JSON5 document: what configuration and rule files are made of.
// Everything typed is read through ConfigurationReader.

/// One value of a JSON5 document. Members keep no order: nothing may depend on it.
package enum ConfigurationNode: Sendable, Equatable {
    case null
    case bool(Bool)
    case number(Double)
    case string(String)
    case array([ConfigurationNode])
    case object([String: ConfigurationNode])

    /// What a person would call this value in an error message.
    package var kind: String {
        switch self {
        case .null: "null"
        case .bool: "a boolean"
        case .number: "a number"
        case .string: "a string"
        case .array: "a list"
        case .object: "an object"
        }
    }
}

/// A configuration that cannot be used. `key` is the path of the value at fault (`buffer.max_bytes`).
package struct ConfigurationError: Error, Equatable, CustomStringConvertible {
    package let key: String
    package let problem: String
    /// Where in the file, if that is known.
    package let place: SourcePlace?

    package init(key: String, problem: String, place: SourcePlace? = nil) {
        self.key = key
        self.problem = problem
        self.place = place
    }

    package var description: String {
        let text = key.isEmpty ? problem : "\(key): \(problem)"
        return place.map { "\($0): \(text)" } ?? text
    }
}

extension ConfigurationNode {
    /// Parses JSON5 (comments, trailing commas, unquoted keys). Errors carry their line and column.
    package static func parse(json5 bytes: [UInt8]) throws(ConfigurationError) -> ConfigurationNode {
        try PlacedDocument(json5: bytes).root
    }
}
