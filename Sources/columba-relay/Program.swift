// The edge relay's program: reads the configuration, runs the service until a signal says stop.

import EdgeRelay
import Glibc
import Log
import System

@main
struct Program {
    private static let usage = """
        columba-relay: takes reports of drones, raises alerts, keeps everything on disk, forwards it to central

        usage: columba-relay run   --config FILE            run the relay
               columba-relay check --config FILE [--json]   check configuration, rules, folders, ports; change nothing
               columba-relay buffer status|verify|export --config FILE …   look into the buffer (buffer --help)
               columba-relay completion bash                print completions for the shell
               columba-relay --version

        FILE is JSON5. COLUMBA_… variables override its settings (COLUMBA_LISTEN, COLUMBA_BUFFER_MAX_BYTES, …).
        COLUMBA_LOG_FORMAT=json writes the log as JSON, COLUMBA_LOG_LEVEL=debug|info|warning|error says how much.
        COLUMBA_PAGES names the console's folders where they are neither installed nor in the checkout.
        SIGHUP reloads rules and limits (the old ones stay where the new are wrong).
        SIGTERM or SIGINT stops the relay; what it has acknowledged is on disk.

        """

    static func main() {
        let arguments = Array(CommandLine.arguments.dropFirst())
        if arguments.first == "buffer" { buffer(arguments.dropFirst()) }
        if arguments.contains("--help") || arguments.contains("-h") { return StandardStreams.output(usage) }
        if arguments == ["--version"] { return StandardStreams.output("columba-relay \(EdgeRelayService.version)\n") }
        if arguments == ["completion", "bash"] { return StandardStreams.output(completion) }
        let isJSON = arguments.last == "--json" && arguments.first == "check"
        let words = isJSON ? Array(arguments.dropLast()) : arguments
        guard words.count == 3, words[1] == "--config", ["run", "check"].contains(words[0]) else {
            fail(usage, code: 2)
        }
        Signals.blockTermination()
        if words[0] == "check" { return check(path: words[2], isJSON: isJSON) }
        do {
            try run(path: words[2])
        } catch {
            fail("columba-relay: \(error)\n", code: 1)
        }
    }

    private static func check(path: String, isJSON: Bool) {
        let outcome = CheckReport(path: path, environment: Environment.variables)
        if isJSON {
            StandardStreams.output(outcome.json + "\n")
        } else {
            StandardStreams.error(outcome.problems)
            StandardStreams.output(outcome.summary)
        }
        if !outcome.isUsable { exit(1) }
    }

    private static func run(path: String) throws {
        let environment = Environment.variables
        let configuration = try RelayConfiguration.load(path: path, environment: environment)
        let log = Log(
            component: "relay", format: environment["COLUMBA_LOG_FORMAT"] == "json" ? .json : .text,
            minimum: environment["COLUMBA_LOG_LEVEL"].flatMap(LogLevel.init(name:)) ?? .info)
        let granted = OpenFiles.raiseLimit(to: configuration.openFiles)
        if granted < configuration.openFiles {
            log.warning("few_open_files", ["wanted": .int(configuration.openFiles), "granted": .int(granted)])
        }
        let service = try EdgeRelayService(
            configuration, time: SystemTime(), log: log, notifier: ServiceNotifier(environment: environment),
            reload: { try RelayConfiguration.load(path: path, environment: environment) },
            onFatal: { reason in
                // The disk can no longer be trusted: only a fresh start reads back what is really there (F35).
                log.error("fatal", ["reason": .string(reason)])
                // At once: nothing may run on that another answer could come from.
                _exit(1)
            })
        while Signals.wait() == .hangup { service.reload() }
        // A stop that hangs (a stuck disk) loses nothing by being cut short: what was acknowledged is on disk.
        let deadline = WorkerThread(name: "stop-deadline") {
            poll(nil, 0, stopMilliseconds)
            log.warning("stop_cut_short", ["milliseconds": .int(stopMilliseconds)])
            exit(0)
        }
        service.stop()
        withExtendedLifetime(deadline) {}
    }

    private static let stopMilliseconds: Int32 = 4_500

    private static let completion = """
        # bash completion for columba-relay:  columba-relay completion bash > /etc/bash_completion.d/columba-relay
        _columba_relay() {
            local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}
            case $before in
                --config) COMPREPLY=($(compgen -f -- "$word")) ;;
                completion) COMPREPLY=($(compgen -W bash -- "$word")) ;;
                columba-relay|*/columba-relay)
                    COMPREPLY=($(compgen -W "run check completion --help --version" -- "$word")) ;;
                *) COMPREPLY=($(compgen -W "--config --json" -- "$word")) ;;
            esac
        }
        complete -F _columba_relay columba-relay

        """

    private static func buffer(_ arguments: ArraySlice<String>) -> Never {
        if arguments.contains("--help") || arguments.contains("-h") {
            StandardStreams.output(BufferCommand.usage)
            exit(0)
        }
        do {
            exit(try BufferCommand.run(arguments))
        } catch {
            fail("columba-relay: \(error)\n", code: 1)
        }
    }

    private static func fail(_ text: String, code: Int32) -> Never {
        StandardStreams.error(text)
        exit(code)
    }
}
