// Reads typed values out of a configuration tree, remembers which keys were asked for, and refuses the others:
// a misspelt key is an error that names it, never a setting silently ignored.

/// Reads one object of a document. Every accessor names the key's full path in its errors; `finish()` refuses keys
/// nobody read.
package struct ConfigurationReader {
    package let path: String
    private var members: [String: ConfigurationNode]
    private var known: Set<String> = []
    private let environment: [String: String]

    /// - Parameter environment: variables named `COLUMBA_` + the key's path in capitals with `_` override scalar
    ///   values:
    ///   `COLUMBA_BUFFER_MAX_BYTES` overrides `buffer.max_bytes`. Pass an empty dictionary for documents that no
    ///   variable may change.
    package init(
        _ node: ConfigurationNode, path: String = "", environment: [String: String] = [:]
    ) throws(ConfigurationError) {
        guard case .object(let members) = node else {
            throw ConfigurationError(key: path, problem: "expected an object, found \(node.kind)")
        }
        self.path = path
        self.members = members
        self.environment = environment
    }

    package func keyPath(_ key: String) -> String { path.isEmpty ? key : "\(path).\(key)" }

    private func failure(_ key: String, _ problem: String) -> ConfigurationError {
        ConfigurationError(key: keyPath(key), problem: problem)
    }

    private func override(_ key: String) -> String? {
        let name = "COLUMBA_" + keyPath(key).map { $0 == "." ? "_" : String($0).uppercased() }.joined()
        return environment[name]
    }

    /// The raw value of a key, or nil where it is absent or null. No variable overrides it.
    package mutating func node(_ key: String) -> ConfigurationNode? {
        known.insert(key)
        guard let node = members[key], node != .null else { return nil }
        return node
    }

    package mutating func string(_ key: String) throws(ConfigurationError) -> String? {
        let node = node(key)
        if let text = override(key) { return text }
        guard let node else { return nil }
        guard case .string(let text) = node else { throw failure(key, "expected a string, found \(node.kind)") }
        return text
    }

    package mutating func requiredString(_ key: String) throws(ConfigurationError) -> String {
        guard let text = try string(key) else { throw failure(key, "is required") }
        return text
    }

    package mutating func number(_ key: String, in range: ClosedRange<Double>) throws(ConfigurationError) -> Double? {
        let node = node(key)
        let value: Double
        if let text = override(key) {
            guard let parsed = Double(text) else { throw failure(key, "expected a number in its environment variable") }
            value = parsed
        } else if let node {
            guard case .number(let parsed) = node else { throw failure(key, "expected a number, found \(node.kind)") }
            value = parsed
        } else {
            return nil
        }
        guard value.isFinite, range.contains(value) else {
            throw failure(key, "\(value) is not between \(range.lowerBound) and \(range.upperBound)")
        }
        return value
    }

    package mutating func integer(_ key: String, in range: ClosedRange<Int>) throws(ConfigurationError) -> Int? {
        let limits = Double(range.lowerBound)...Double(range.upperBound)
        guard let value = try number(key, in: limits) else { return nil }
        guard value == value.rounded(), let whole = Int(exactly: value) else {
            throw failure(key, "expected a whole number, found \(value)")
        }
        return whole
    }

    package mutating func bool(_ key: String) throws(ConfigurationError) -> Bool? {
        let node = node(key)
        if let text = override(key) {
            switch text.lowercased() {
            case "true", "1", "yes": return true
            case "false", "0", "no": return false
            default: throw failure(key, "expected true or false in its environment variable")
            }
        }
        guard let node else { return nil }
        guard case .bool(let value) = node else { throw failure(key, "expected true or false, found \(node.kind)") }
        return value
    }

    /// A list of strings; a variable gives them separated by commas.
    package mutating func strings(_ key: String) throws(ConfigurationError) -> [String]? {
        let node = node(key)
        if let text = override(key) { return text.split(separator: ",").map(String.init) }
        guard let node else { return nil }
        guard case .array(let elements) = node else { throw failure(key, "expected a list, found \(node.kind)") }
        var strings: [String] = []
        for (index, element) in elements.enumerated() {
            guard case .string(let text) = element else {
                throw failure("\(key)[\(index)]", "expected a string, found \(element.kind)")
            }
            strings.append(text)
        }
        return strings
    }

    package mutating func array(_ key: String) throws(ConfigurationError) -> [ConfigurationNode]? {
        guard let node = node(key) else { return nil }
        guard case .array(let elements) = node else { throw failure(key, "expected a list, found \(node.kind)") }
        return elements
    }

    /// The reader of an inner object. An absent one reads as empty, so that variables and defaults apply to it as well.
    package mutating func object(_ key: String) throws(ConfigurationError) -> ConfigurationReader {
        let node = node(key) ?? .object([:])
        return try ConfigurationReader(node, path: keyPath(key), environment: environment)
    }

    package func has(_ key: String) -> Bool {
        guard let node = members[key] else { return false }
        return node != .null
    }

    /// Refuses the keys that nobody asked for.
    package func finish() throws(ConfigurationError) {
        guard let unknown = members.keys.filter({ !known.contains($0) }).sorted().first else { return }
        let near = known.sorted().joined(separator: ", ")
        throw failure(unknown, "unknown key; known here: \(near)")
    }
}
