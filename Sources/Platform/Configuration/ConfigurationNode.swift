// The tree of a JSON5 document: what configuration and rule files are made of.
// Only the JSON5 reader of Foundation is used from outside; everything typed is read through ConfigurationReader.

import FoundationEssentials

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

    package init(key: String, problem: String) {
        self.key = key
        self.problem = problem
    }

    package var description: String { key.isEmpty ? problem : "\(key): \(problem)" }
}

extension ConfigurationNode {
    /// Parses JSON5 (comments, trailing commas, unquoted keys).
    package static func parse(json5 bytes: [UInt8]) throws(ConfigurationError) -> ConfigurationNode {
        let decoder = JSONDecoder()
        decoder.allowsJSON5 = true
        do {
            return try decoder.decode(ConfigurationNode.self, from: Data(bytes))
        } catch let DecodingError.dataCorrupted(context) {
            throw ConfigurationError(key: "", problem: "not JSON5: \(Self.reason(context))")
        } catch {
            throw ConfigurationError(key: "", problem: "not JSON5: \(error)")
        }
    }

    /// The parser's own words, which name the line and the column.
    private static func reason(_ context: DecodingError.Context) -> String {
        guard let underlying = context.underlyingError else { return context.debugDescription }
        return String(describing: underlying)
    }
}

extension ConfigurationNode: Decodable {
    private struct AnyKey: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }
        init(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }

    package init(from decoder: any Decoder) throws {
        if let members = try? decoder.container(keyedBy: AnyKey.self) {
            var object: [String: ConfigurationNode] = [:]
            for key in members.allKeys {
                object[key.stringValue] = try members.decode(ConfigurationNode.self, forKey: key)
            }
            self = .object(object)
        } else if var elements = try? decoder.unkeyedContainer() {
            var array: [ConfigurationNode] = []
            while !elements.isAtEnd { array.append(try elements.decode(ConfigurationNode.self)) }
            self = .array(array)
        } else {
            let value = try decoder.singleValueContainer()
            if value.decodeNil() {
                self = .null
            } else if let bool = try? value.decode(Bool.self) {
                self = .bool(bool)
            } else if let number = try? value.decode(Double.self) {
                self = .number(number)
            } else {
                self = .string(try value.decode(String.self))
            }
        }
    }
}
