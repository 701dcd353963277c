// How much work the worst possible report can make of a set of rules, known when the rules are loaded: a set that could
// hold up the relay is refused there, so that no report ever has to be cut short (F94, F95, F96).

import Configuration
import Models

package enum EvaluationCost {
    /// One step is about a nanosecond: one comparison of a number, a part of a word's look-up. The largest set that is
    /// taken costs the largest report about 10 ms; an ordinary report costs a thousandth of that.
    package static let maxSteps = 10_000_000
    private static let stepsPerWord = 10
    private static let stepsPerPolygonPoint = 4
    private static let stepsPerReadingName = 10
    private static let stepsPerCircle = 200
    private static let stepsPerCitizen = 4

    static func check(_ rules: [Rule]) throws(ConfigurationError) {
        var total = 0
        for (index, rule) in rules.enumerated() {
            total += steps(rule.condition)
            guard total <= maxSteps else {
                throw ConfigurationError(
                    key: "rules[\(index)]",
                    problem: "up to this rule the largest report would need more than \(maxSteps) steps "
                        + "(words and polygons cost most): use fewer rules, or put what they share into one")
            }
        }
    }

    package static func steps(_ condition: Condition) -> Int {
        switch condition {
        case .citizen: ReportLimits.citizens * stepsPerCitizen
        case .reading: ReportLimits.readings * stepsPerReadingName
        case .words: ReportLimits.words * stepsPerWord
        case .insideCircle: stepsPerCircle
        case .insidePolygon(let corners): corners.count * stepsPerPolygonPoint
        case .all(let conditions), .any(let conditions): conditions.reduce(0) { $0 + steps($1) }
        case .not(let condition): steps(condition)
        case .silent: 0
        }
    }
}
