// Reads a rule file (JSON5). Every mistake is an error with its place (`rules[2].when.citizen.peacescore`):
// a rule that silently never fires is worse than a relay that refuses it.

package import Configuration
import Models

package enum RuleFile {
    package static let maxRules = 1_000
    /// Nesting of all/any/not: enough for any rule a person can read, and a bound on the evaluation's stack.
    package static let maxDepth = 8
    package static let maxWords = 10_000
    package static let maxPolygonPoints = 10_000

    /// Channels that one rule may name.
    package static let maxChannels = 64
    /// Of a silence that is not told its grace: a tenth, and at most so many seconds.
    package static let defaultGraceShare = 0.1
    package static let defaultGraceSeconds = 30.0

    /// - Parameter targets: the names that `channels` may hold; nil: any.
    package static func parse(
        json5 bytes: [UInt8], targets: Set<String>? = nil
    ) throws(ConfigurationError) -> RuleSet {
        let document = try PlacedDocument(json5: bytes)
        do throws(ConfigurationError) {
            let rules = try rules(document.root)
            if let targets, let unknown = rules.unknownChannel(targets: targets) {
                let known = targets.isEmpty ? "none is configured" : targets.sorted().joined(separator: ", ")
                throw ConfigurationError(
                    key: unknown.place, problem: "no delivery target has the name \(unknown.channel); known: \(known)")
            }
            return rules
        } catch {
            throw document.located(error)
        }
    }

    private static func rules(_ root: ConfigurationNode) throws(ConfigurationError) -> RuleSet {
        var reader = try ConfigurationReader(root)
        let version = try reader.integer("version", in: 0...Int(Int32.max)) ?? 0
        let nodes = try reader.array("rules") ?? []
        try reader.finish()
        guard nodes.count <= maxRules else {
            throw ConfigurationError(key: "rules", problem: "\(nodes.count) rules; at most \(maxRules)")
        }
        var rules: [Rule] = []
        var names: Set<String> = []
        for (index, node) in nodes.enumerated() {
            let rule = try rule(node, path: "rules[\(index)]")
            guard names.insert(rule.name).inserted else {
                throw ConfigurationError(key: "rules[\(index)].name", problem: "another rule has the name \(rule.name)")
            }
            rules.append(rule)
        }
        try EvaluationCost.check(rules)
        return RuleSet(version: version, rules: rules)
    }

    private static func rule(_ node: ConfigurationNode, path: String) throws(ConfigurationError) -> Rule {
        var reader = try ConfigurationReader(node, path: path)
        let name = try reader.requiredString("name")
        guard Identifier.isValidDroneID(name) else {
            throw ConfigurationError(key: "\(path).name", problem: "must be 1…64 of A-Z a-z 0-9 . _ -")
        }
        let severityText = try reader.requiredString("severity")
        guard let severity = AlertSeverity(rawValue: severityText) else {
            throw ConfigurationError(key: "\(path).severity", problem: "must be info, warning or critical")
        }
        guard let when = reader.node("when") else {
            throw ConfigurationError(key: "\(path).when", problem: "is required")
        }
        let forReports = try reader.integer("for_reports", in: 1...10_000) ?? 1
        let cooldown = try reader.number("cooldown_s", in: 0...31_536_000) ?? 0
        let channels = try channels(&reader)
        try reader.finish()
        let condition = try condition(when, path: "\(path).when", depth: 1)
        if case .silent = condition, forReports > 1 {
            throw ConfigurationError(key: "\(path).for_reports", problem: "has no meaning with silent_for_s")
        }
        return Rule(
            name: name, severity: severity, condition: condition, forReports: forReports, cooldownSeconds: cooldown,
            channels: channels)
    }

    /// Whether the names are those of targets is known only where the targets are: `RuleSet.unknownChannel`.
    private static func channels(_ reader: inout ConfigurationReader) throws(ConfigurationError) -> [String]? {
        guard let channels = try reader.strings("channels") else { return nil }
        let key = reader.keyPath("channels")
        guard channels.count <= maxChannels, Set(channels).count == channels.count else {
            throw ConfigurationError(key: key, problem: "names a target twice, or more than \(maxChannels)")
        }
        return channels
    }

    private static func condition(
        _ node: ConfigurationNode, path: String, depth: Int
    ) throws(ConfigurationError) -> Condition {
        guard depth <= maxDepth else {
            throw ConfigurationError(key: path, problem: "nested deeper than \(maxDepth)")
        }
        var reader = try ConfigurationReader(node, path: path)
        let kinds = ["citizen", "reading", "words", "inside", "all", "any", "not", "silent_for_s"]
        guard reader.has("silent_for_s") || !reader.has("grace_s") else {
            throw ConfigurationError(key: reader.keyPath("grace_s"), problem: "goes with silent_for_s only")
        }
        let present = kinds.filter { reader.has($0) }
        for kind in kinds where !present.contains(kind) { _ = reader.node(kind) }
        guard let kind = present.first, present.count == 1 else {
            try reader.finish()
            throw ConfigurationError(
                key: path, problem: "must hold exactly one of \(kinds.joined(separator: ", ")); combine with all or any"
            )
        }
        let condition: Condition
        switch kind {
        case "citizen": condition = try citizen(reader.object("citizen"))
        case "reading": condition = try reading(reader.object("reading"), node: reader.node("reading"))
        case "words": condition = try words(reader.object("words"))
        case "inside": condition = try inside(reader.object("inside"))
        case "all": condition = .all(try conditions(reader.array("all"), path: "\(path).all", depth: depth))
        case "any": condition = .any(try conditions(reader.array("any"), path: "\(path).any", depth: depth))
        case "not":
            condition = .not(try Self.condition(reader.node("not") ?? .null, path: "\(path).not", depth: depth + 1))
        default:
            guard depth == 1 else {
                throw ConfigurationError(key: "\(path).silent_for_s", problem: "must be a rule's whole condition")
            }
            let seconds = try reader.number("silent_for_s", in: 1...31_536_000) ?? 0
            let grace = try reader.number("grace_s", in: 0...31_536_000)
            condition = .silent(
                seconds: seconds, graceSeconds: grace ?? min(seconds * defaultGraceShare, defaultGraceSeconds))
        }
        try reader.finish()
        return condition
    }

    private static func conditions(
        _ nodes: [ConfigurationNode]?, path: String, depth: Int
    ) throws(ConfigurationError) -> [Condition] {
        guard let nodes, !nodes.isEmpty else { throw ConfigurationError(key: path, problem: "is empty") }
        var conditions: [Condition] = []
        for (index, node) in nodes.enumerated() {
            conditions.append(try condition(node, path: "\(path)[\(index)]", depth: depth + 1))
        }
        return conditions
    }

    private static func threshold(_ reader: ConfigurationReader) throws(ConfigurationError) -> Threshold {
        var reader = reader
        let everything = -Double.greatestFiniteMagnitude...Double.greatestFiniteMagnitude
        let below = try reader.number("below", in: everything)
        let above = try reader.number("above", in: everything)
        try reader.finish()
        guard below != nil || above != nil else {
            throw ConfigurationError(key: reader.path, problem: "needs below or above")
        }
        if let below, let above, below > above {
            throw ConfigurationError(
                key: reader.path, problem: "every number is below \(below) or above \(above): it would always hold")
        }
        return Threshold(below: below, above: above)
    }

    private static func citizen(_ reader: ConfigurationReader) throws(ConfigurationError) -> Condition {
        var reader = reader
        guard reader.has("peacescore") else {
            try reader.finish()
            throw ConfigurationError(key: reader.keyPath("peacescore"), problem: "is required")
        }
        let peacescore = try threshold(reader.object("peacescore"))
        let confidence = try reader.number("min_confidence", in: 0...1)
        try reader.finish()
        return .citizen(peacescore: peacescore, minimumConfidence: confidence)
    }

    private static func reading(
        _ reader: ConfigurationReader, node: ConfigurationNode?
    ) throws(ConfigurationError) -> Condition {
        var reader = reader
        guard case .object(let members)? = node, let name = members.keys.first, members.count == 1 else {
            throw ConfigurationError(
                key: reader.path, problem: "must name exactly one reading, such as {battery_pct: {below: 15}}")
        }
        return .reading(name: name, try threshold(reader.object(name)))
    }

    private static func words(_ reader: ConfigurationReader) throws(ConfigurationError) -> Condition {
        var reader = reader
        let words = try reader.strings("any_of") ?? []
        try reader.finish()
        guard !words.isEmpty, words.count <= maxWords else {
            throw ConfigurationError(key: reader.keyPath("any_of"), problem: "needs 1…\(maxWords) words")
        }
        return .words(anyOf: WordSet(words))
    }

    private static func inside(_ reader: ConfigurationReader) throws(ConfigurationError) -> Condition {
        var reader = reader
        let hasCircle = reader.has("circle")
        guard hasCircle != reader.has("polygon") else {
            _ = (reader.node("circle"), reader.node("polygon"))
            try reader.finish()
            throw ConfigurationError(key: reader.path, problem: "needs either circle or polygon")
        }
        let condition: Condition
        if hasCircle {
            var circle = try reader.object("circle")
            let latitude = try circle.number("lat", in: -90...90)
            let longitude = try circle.number("lon", in: -180...180)
            let radius = try circle.number("radius_m", in: 0.001...20_100_000)
            try circle.finish()
            guard let latitude, let longitude, let radius else {
                throw ConfigurationError(key: circle.path, problem: "needs lat, lon and radius_m")
            }
            condition = .insideCircle(
                center: GeographicPoint(latitude: latitude, longitude: longitude), radiusMeters: radius)
        } else {
            condition = .insidePolygon(try polygon(reader.array("polygon") ?? [], path: reader.keyPath("polygon")))
        }
        try reader.finish()
        return condition
    }

    /// A list of {lat, lon}; the last point joins the first.
    private static func polygon(
        _ nodes: [ConfigurationNode], path: String
    ) throws(ConfigurationError) -> [GeographicPoint] {
        guard (3...maxPolygonPoints).contains(nodes.count) else {
            throw ConfigurationError(key: path, problem: "needs 3…\(maxPolygonPoints) points")
        }
        var points: [GeographicPoint] = []
        for (index, node) in nodes.enumerated() {
            var point = try ConfigurationReader(node, path: "\(path)[\(index)]")
            let latitude = try point.number("lat", in: -90...90)
            let longitude = try point.number("lon", in: -180...180)
            try point.finish()
            guard let latitude, let longitude else {
                throw ConfigurationError(key: point.path, problem: "needs lat and lon")
            }
            points.append(GeographicPoint(latitude: latitude, longitude: longitude))
        }
        return points
    }
}
