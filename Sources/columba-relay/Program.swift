// The edge relay's program: reads the configuration, runs the service until a signal says stop.

import AlertRules
import EdgeRelay
import Glibc
import Log
import System

@main
struct Program {
    private static let usage = """
        columba-relay: takes reports of drones, raises alerts, keeps everything on disk, forwards it to central

        usage: columba-relay run   --config FILE   run the relay
               columba-relay check --config FILE   check the configuration and the rules, change nothing
               columba-relay --version

        FILE is JSON5. COLUMBA_… variables override its settings (COLUMBA_LISTEN, COLUMBA_BUFFER_MAX_BYTES, …).
        COLUMBA_LOG_FORMAT=json writes the log as JSON.
        SIGTERM or SIGINT stops the relay; what it has acknowledged is on disk.

        """

    static func main() {
        let arguments = Array(CommandLine.arguments.dropFirst())
        if arguments.contains("--help") || arguments.contains("-h") { return StandardStreams.output(usage) }
        if arguments == ["--version"] { return StandardStreams.output("columba-relay \(EdgeRelayService.version)\n") }
        guard arguments.count == 3, arguments[1] == "--config", ["run", "check"].contains(arguments[0]) else {
            fail(usage, code: 2)
        }
        Signals.blockTermination()
        do {
            let configuration = try RelayConfiguration.load(path: arguments[2], environment: Environment.variables)
            if arguments[0] == "check" {
                let rules = try configuration.loadRules()
                try configuration.checkCertificates()
                return StandardStreams.output(
                    "ok: relay \(configuration.relayID), \(rules.rules.count) rules, version \(rules.version)\n")
            }
            try run(configuration)
        } catch {
            fail("columba-relay: \(error)\n", code: 1)
        }
    }

    private static func run(_ configuration: RelayConfiguration) throws {
        let format: LogFormat = Environment.variable("COLUMBA_LOG_FORMAT") == "json" ? .json : .text
        let log = Log(component: "relay", format: format)
        let service = try EdgeRelayService(configuration, time: SystemTime(), log: log) { reason in
            // The disk can no longer be trusted: only a fresh start reads back what is really there (F35).
            log.error("fatal", ["reason": .string(reason)])
            exit(1)
        }
        while Signals.wait() == .hangup {
            log.warning("reload_not_available", ["hint": "restart to load new settings"])
        }
        service.stop()
    }

    private static func fail(_ text: String, code: Int32) -> Never {
        StandardStreams.error(text)
        exit(code)
    }
}
