// What keeps a relay alive and can be changed while it runs, made in one place: reload, supervision, the service
// manager's messages. EdgeRelayService wires it to the stages.

import System
import Identity
import Log

struct RelayOperations: Sendable {
    let endpoints = Endpoints()
    let notifier: ServiceNotifier
    let reload: Reload
    let supervision: Supervision
    /// Puts a rule set from central in force, with its limits.
    let apply: @Sendable (RuleSetChange) -> Void
    private let pulse: Pulse
    private let time: any TimeSource

    init(
        _ configuration: RelayConfiguration, time: any TimeSource, log: Log, notifier: ServiceNotifier,
        alerting: Alerting, board: DroneBoard, writer: BufferWriter, identity: RelayIdentity, mqtt: MQTTListener?,
        rules: RelayRules,
        load: @escaping @Sendable () throws -> RelayConfiguration
    ) {
        self.notifier = notifier
        self.time = time
        let (pulse, endpoints) = (Pulse(time: time), endpoints)
        self.pulse = pulse
        reload = Reload(
            configuration, time: time, log: log.component("reload"),
            steps: Self.steps(alerting, board, endpoints, identity, mqtt, rules),
            load: {
                var next = try load()
                next.limits = rules.limits(own: next.limits)
                return next
            })
        apply = { change in
            alerting.replaceRules(change.rules)
            board.update(change.limits)
            endpoints.update(change.limits)
        }
        supervision = Supervision(
            notifier: notifier,
            probes: .init(
                writer: writer.progress, maintenance: pulse, refuseQueued: { writer.refuseQueued() },
                portsAnswer: { endpoints.answer(withinSeconds: $0) }),
            time: time, log: log.component("supervision"))
    }

    /// What a reload puts in force, each checked before any is.
    private static func steps(
        _ alerting: Alerting, _ board: DroneBoard, _ endpoints: Endpoints, _ identity: RelayIdentity,
        _ mqtt: MQTTListener?, _ relayRules: RelayRules
    ) -> [ReloadStep] {
        [
            ReloadStep { next in
                let rules = try relayRules.rules(next)
                return { alerting.replaceRules(rules) }
            },
            // The files' contents; other paths take a restart.
            ReloadStep { next in
                try next.checkCertificates()
                return { identity.look() }
            },
            ReloadStep { next in
                {
                    board.update(next.limits)
                    endpoints.update(next.limits)
                    mqtt?.update(next)
                }
            },
        ]
    }

    /// Maintenance calls it each time round.
    func eachRound(_ summary: @escaping @Sendable () -> String) -> @Sendable () -> Void {
        ServiceStatus(notifier, pulse, time: time, summary: summary).report
    }

    func supervisionThread() -> WorkerThread {
        WorkerThread(name: "supervision") { [supervision] in supervision.run() }
    }

    /// Reads the configuration again and puts rules and limits in force; keeps the old ones where one thing is wrong.
    func runReload() {
        notifier.reloading()
        reload.run()
        notifier.ready(status: reload.figures.lastError.map { "reload refused: \($0)" } ?? "reloaded")
    }
}
