// Central's program: reads the configuration, runs the service until a signal says stop.

import Central
import Glibc
import Log
import System

@main
struct Program {
    private static let usage = """
        columba-central: takes the batches of relays, archives every report once, answers SQL

        usage: columba-central run   --config FILE   run central
               columba-central check --config FILE   check the configuration, change nothing
               columba-central compact|verify|vacuum --config FILE …   see columba-central lake --help
               columba-central ca …                make certificates; see columba-central ca --help
               columba-central --version

        FILE is JSON5. COLUMBA_… variables override its settings (COLUMBA_LISTEN, COLUMBA_ARCHIVE_MAX_WAIT_S, …).
        With stream: {nats: […]}, roles and node_id it is a node of a cluster: docs/central/cluster.md.
        COLUMBA_DUCKDB names the DuckDB command where it is not in .tools or in the PATH.
        COLUMBA_LOG_FORMAT=json writes the log as JSON.
        SIGTERM or SIGINT stops central; what it has acknowledged is on disk.

        """

    static func main() {
        let arguments = Array(CommandLine.arguments.dropFirst())
        if arguments.first == "ca" { exit(CertificateAuthorityCommand.run(Array(arguments.dropFirst()))) }
        if let first = arguments.first, LakeCommand.names.contains(first) {
            exit(LakeCommand.run(first, Array(arguments.dropFirst())))
        }
        if arguments.contains("--help") || arguments.contains("-h") { return StandardStreams.output(usage) }
        if arguments == ["--version"] { return StandardStreams.output("columba-central \(CentralService.version)\n") }
        guard arguments.count == 3, arguments[1] == "--config", ["run", "check"].contains(arguments[0]) else {
            fail(usage, code: 2)
        }
        Signals.blockTermination()
        do {
            let configuration = try CentralConfiguration.load(path: arguments[2], environment: Environment.variables)
            if arguments[0] == "check" {
                try configuration.checkCertificates()
                try configuration.checkStorage()
                return StandardStreams.output("ok: lake \(configuration.lake)\n")
            }
            try run(configuration)
        } catch {
            fail("columba-central: \(error)\n", code: 1)
        }
    }

    private static func run(_ configuration: CentralConfiguration) throws {
        let format: LogFormat = Environment.variable("COLUMBA_LOG_FORMAT") == "json" ? .json : .text
        let log = Log(component: "central", format: format)
        let service = try CentralService(configuration, time: SystemTime(), log: log) { reason in
            // Only a fresh start reads back what is really on disk.
            log.error("fatal", ["reason": .string(reason)])
            exit(1)
        }
        while Signals.wait() == .hangup {
            service.reloadCertificates()
            log.warning("reloaded_certificates_only", ["hint": "restart to load new settings"])
        }
        service.stop()
    }

    private static func fail(_ text: String, code: Int32) -> Never {
        StandardStreams.error(text)
        exit(code)
    }
}
