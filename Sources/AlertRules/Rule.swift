// What a station's rules say, as values: which condition a report must meet, how often, how grave it is.

package import Models

/// A bound that a number is compared with; both may be given, then the number must lie beyond either.
package struct Threshold: Sendable, Equatable {
    package var below: Double?
    package var above: Double?

    package init(below: Double? = nil, above: Double? = nil) {
        self.below = below
        self.above = above
    }

    /// The bound that `value` broke, or nil where it kept within them.
    @inline(__always)
    package func broken(by value: Double) -> Double? {
        if let below, value < below { return below }
        if let above, value > above { return above }
        return nil
    }
}

package struct GeographicPoint: Sendable, Equatable {
    package let latitude: Double
    package let longitude: Double

    package init(latitude: Double, longitude: Double) {
        self.latitude = latitude
        self.longitude = longitude
    }
}

package indirect enum Condition: Sendable, Equatable {
    /// Every citizen whose peacescore breaks the threshold, and whose confidence is at least `minimumConfidence`
    /// (an absent confidence passes: a machine that gives none must not silence an alert).
    case citizen(peacescore: Threshold, minimumConfidence: Double?)
    case reading(name: String, Threshold)
    /// At least one of the words, byte for byte: case and accents count.
    case words(anyOf: WordSet)
    case insideCircle(center: GeographicPoint, radiusMeters: Double)
    case insidePolygon([GeographicPoint])
    case all([Condition])
    case any([Condition])
    case not(Condition)
    /// Lost contact: nothing heard from the drone for so many seconds, and for `graceSeconds` more, in which data that
    /// was only late may still come. Only as a rule's whole condition.
    case silent(seconds: Double, graceSeconds: Double)
}

package struct Rule: Sendable, Equatable {
    package let name: String
    package let severity: AlertSeverity
    package let condition: Condition
    /// Raise only when the condition held in so many consecutive reports of the drone.
    package let forReports: Int
    /// Seconds after an alert during which the same rule, drone and subject raise no other.
    package let cooldownSeconds: Double
    /// Names of the delivery targets that get the rule's alerts; nil: all of them, empty: none (the list and the stream
    /// show every alert).
    package let channels: [String]?

    package init(
        name: String, severity: AlertSeverity, condition: Condition, forReports: Int = 1, cooldownSeconds: Double = 0,
        channels: [String]? = nil
    ) {
        self.name = name
        self.severity = severity
        self.condition = condition
        self.forReports = forReports
        self.cooldownSeconds = cooldownSeconds
        self.channels = channels
    }

    /// Rules without memory need no lock and no state per drone.
    package var needsState: Bool { forReports > 1 || cooldownSeconds > 0 }
}

package struct RuleSet: Sendable, Equatable {
    package let version: Int
    package let rules: [Rule]
    /// The same rules: critical before warning before info, otherwise in the file's order. If a report raises more
    /// alerts than one report may, the least grave are those left out.
    package let gravestFirst: [Rule]
    package let hasStatefulRules: Bool

    package init(version: Int, rules: [Rule]) {
        self.version = version
        self.rules = rules
        gravestFirst = AlertSeverity.allCases.reversed().flatMap { severity in rules.filter { $0.severity == severity }
        }
        hasStatefulRules = rules.contains(where: \.needsState)
    }

    /// A channel that no target has the name of, with the rule's place; nil where all are known.
    package func unknownChannel(targets: Set<String>) -> (place: String, channel: String)? {
        for (index, rule) in rules.enumerated() {
            for (number, channel) in (rule.channels ?? []).enumerated() where !targets.contains(channel) {
                return ("rules[\(index)].channels[\(number)]", channel)
            }
        }
        return nil
    }

    package static let empty = RuleSet(version: 0, rules: [])

    package func rule(named name: String) -> Rule? { rules.first { $0.name == name } }
}
