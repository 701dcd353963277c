// columba-bench: loads a relay with reports and measures what it acknowledges, how fast, and how soon alerts come.
import Glibc
import System

@main
struct Program {
    static let usage = """
        columba-bench: loads a relay or central and measures it

        usage: columba-bench load   --relay URL [options]   acknowledged reports per second and their latency
               columba-bench alerts --relay URL [options]   the same, and the time from a report to its alert
               columba-bench archive --central URL [--reports N] [--batch N]
                                                            batches ready-made; reports archived per second
               columba-bench archive --prepare DIR --reports N
                                                            writes the corpus of make bench-archive
               columba-bench archive --central URL --from DIR
                                                            sends it, and waits until all is archived

          --relay URL          http://address:port of the relay (numeric address or localhost)
          --connections N      keep-alive connections, one report at a time on each (64)
          --seconds S          measured time (10)
          --warmup S           time before that which isn't counted (1)
          --rate R             reports per second, sent when they are due whether or not earlier ones are answered;
                               latency counts from when a report was due (load: as fast as answers come; alerts: 1000)
          --citizens N         citizens in each report (8)
          --drones N           drones the reports come from (10000)
          --alert-share X      alerts: share of reports with a citizen below 20 (0.01)
          --pid PID            also sample this process's CPU time and memory
          --cert, --key, --ca  load: PEM files for a relay at https://…
          --json               print one JSON object instead of a table

        Exit status: 0 measured, 1 errors or lost alerts, 2 usage.

        """

    static func main() {
        // A relay that closes a connection must not end the measurement.
        signal(SIGPIPE, SIG_IGN)
        do {
            let arguments = Array(CommandLine.arguments.dropFirst())
            if arguments.first == "archive" { return print(try ArchiveLoad(arguments: arguments.dropFirst()).run()) }
            let options = try Options(arguments: arguments)
            let generator = try LoadGenerator(options)
            let summary = try generator.run()
            print(options.json ? summary.json : summary.table)
            exit(summary.isClean ? 0 : 1)
        } catch Options.Problem.help {
            print(usage, terminator: "")
        } catch let problem as Options.Problem {
            fail("\(problem)\nTry columba-bench --help", status: 2)
        } catch {
            fail("\(error)", status: 1)
        }
    }

    private static func fail(_ text: String, status: Int32) -> Never {
        let line = Array("columba-bench: \(text)\n".utf8)
        _ = write(STDERR_FILENO, line, line.count)
        exit(status)
    }
}
