// What a rule set from central changes in a relay that runs.

package import AlertRules

package struct RuleSetChange: Sendable {
    package let rules: RuleSet
    package let limits: RelayConfiguration.Limits
}
