// Command lines: options declared once give both the parser and the help text. Pure.
// `--name value`, `--name=value`, `--flag`, `-o value`, `--` ends the options, `-` is an operand (standard input).

package struct OptionSpecification: Sendable {
    let name: String
    /// What stands for the value in the help; nil for a flag.
    let value: String?
    let help: String

    package init(_ name: String, _ value: String? = nil, _ help: String) {
        self.name = name
        self.value = value
        self.help = help
    }
}

package struct CommandSpecification: Sendable {
    let name: String
    let summary: String
    /// How the operands look in the usage line; empty if there are none.
    let operands: String
    let options: [OptionSpecification]
    let examples: [String]

    package init(
        name: String, summary: String, operands: String, options: [OptionSpecification], examples: [String] = []
    ) {
        self.name = name
        self.summary = summary
        self.operands = operands
        self.options = options
        self.examples = examples
    }

    package var help: String {
        var text = "Usage: columba \(name)"
        if !options.isEmpty { text += " [OPTIONS]" }
        if !operands.isEmpty { text += " \(operands)" }
        text += "\n\n\(summary)\n\nOptions:\n"
        let rows =
            options.map { (($0.name.count == 1 ? "-" : "--") + $0.name + ($0.value.map { " \($0)" } ?? ""), $0.help) }
            + [("--help", "This text")]
        let width = rows.map(\.0.count).max() ?? 0
        for (left, right) in rows {
            text += "  \(left)\(String(repeating: " ", count: width - left.count))  \(right)\n"
        }
        if !examples.isEmpty { text += "\nExamples:\n" + examples.map { "  \($0)\n" }.joined() }
        return text
    }
}

/// The command line is wrong: exit status 2.
package struct UsageError: Error, Equatable {
    package let message: String

    package init(_ message: String) { self.message = message }
}

package struct ParsedArguments: Sendable {
    private(set) var values: [String: String] = [:]
    private(set) var flags: Set<String> = []
    package private(set) var operands: [String] = []
    package private(set) var wantsHelp = false

    package init(_ arguments: [String], _ specification: CommandSpecification) throws(UsageError) {
        var rest = arguments[...]
        while let argument = rest.popFirst() {
            if argument == "--" {
                operands += rest
                return
            }
            guard argument.hasPrefix("-"), argument != "-" else {
                operands.append(argument)
                continue
            }
            if argument == "--help" || argument == "-h" {
                wantsHelp = true
                continue
            }
            let name = String(argument.drop { $0 == "-" }.prefix { $0 != "=" })
            guard argument.hasPrefix("--") || name.count == 1,
                let option = specification.options.first(where: { $0.name == name })
            else {
                throw UsageError(
                    "unknown option \(argument.prefix { $0 != "=" }); try columba \(specification.name) --help")
            }
            let attached = argument.firstIndex(of: "=").map { String(argument[argument.index(after: $0)...]) }
            if option.value == nil {
                guard attached == nil else { throw UsageError("--\(name) takes no value") }
                flags.insert(name)
            } else {
                guard values[name] == nil else { throw UsageError("--\(name) is given twice") }
                guard let value = attached ?? rest.popFirst() else { throw UsageError("--\(name) needs a value") }
                values[name] = value
            }
        }
    }

    package func has(_ flag: String) -> Bool { flags.contains(flag) }

    package func string(_ name: String) -> String? { values[name] }

    package func required(_ name: String) throws(UsageError) -> String {
        guard let value = values[name], !value.isEmpty else { throw UsageError("--\(name) is required") }
        return value
    }

    package func integer(_ name: String, in range: ClosedRange<Int>) throws(UsageError) -> Int? {
        guard let text = values[name] else { return nil }
        guard let value = Int(text), range.contains(value) else {
            throw UsageError("--\(name) is a whole number from \(range.lowerBound) to \(range.upperBound)")
        }
        return value
    }

    package func number(_ name: String, in range: ClosedRange<Double>) throws(UsageError) -> Double? {
        guard let text = values[name] else { return nil }
        guard let value = Double(text), range.contains(value) else {
            throw UsageError("--\(name) is a number from \(range.lowerBound) to \(range.upperBound)")
        }
        return value
    }

    package func choice(_ name: String, of choices: [String]) throws(UsageError) -> String? {
        guard let value = values[name] else { return nil }
        guard choices.contains(value) else {
            throw UsageError("--\(name) is one of \(choices.joined(separator: ", "))")
        }
        return value
    }

    /// One address, without a slash at its end.
    package func address(_ name: String) throws(UsageError) -> String {
        let all = try addresses(name)
        guard all.count == 1, let first = all.first else { throw UsageError("--\(name) is one address") }
        return first
    }

    /// Addresses separated by commas, each `http://…` or `https://…`.
    package func addresses(_ name: String) throws(UsageError) -> [String] {
        try required(name).split(separator: ",").map { part throws(UsageError) in
            guard part.hasPrefix("http://") || part.hasPrefix("https://") else {
                throw UsageError("--\(name) is an address such as http://127.0.0.1:8080")
            }
            return part.hasSuffix("/") ? String(part.dropLast()) : String(part)
        }
    }
}
