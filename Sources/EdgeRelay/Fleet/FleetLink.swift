// What ties a relay to central beside the forwarder: the rules in force, and the reporter. Made in one place;
// EdgeRelayService wires it.

import AlertRules
import Log
import System

struct FleetLink: Sendable {
    let rules: RelayRules
    let bell: ReporterBell
    /// In force at the start: the relay's own or central's.
    let ruleSet: RuleSet
    /// With central's limits, where it set any.
    let configuration: RelayConfiguration
    private let log: Log

    init(_ own: RelayConfiguration, log: Log) throws {
        self.log = log
        rules = RelayRules(own, log: log.component("rules"))
        ruleSet = try rules.rules(own)
        configuration = own.with(rules.limits(own: own.limits))
        bell = ReporterBell(rules: rules)
    }

    /// nil: stand-alone.
    func reporter(
        _ storage: RelayStorage, _ forwarder: Forwarder?, _ operations: RelayOperations, _ writer: BufferWriter,
        time: any TimeSource, figures: @escaping @Sendable () -> RelayFigures
    ) -> RelayReporter? {
        guard let forwarder else { return nil }
        let builder = ReportBuilder(
            relayID: configuration.relayID, store: storage.store, forwarder: forwarder, rules: rules,
            figures: figures, records: { writer.snapshot.records }, time: time)
        return RelayReporter(
            relayID: configuration.relayID, builder: builder, rules: rules, bell: bell,
            hooks: .init(
                apply: operations.apply, lost: { forwarder.status.missing },
                quiet: { forwarder.status.waiting == 0 ? writer.snapshot.records : nil },
                central: { forwarder.status.central }),
            tls: configuration.centralTLS, time: time, log: log.component("reporter"))
    }
}
