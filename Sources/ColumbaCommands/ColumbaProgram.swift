// The program `columba`: finds the subcommand, runs it, and turns what went wrong into one line and an exit status.
import Glibc
import System

package enum ColumbaProgram {
    private typealias Command = (
        specification: CommandSpecification, run: @Sendable (ParsedArguments, Console) throws -> CommandResult
    )

    private static let commands: [Command] = [
        (DemoCommand.specification, DemoCommand.run),
        (FlyCommand.specification, FlyCommand.run),
        (SendCommand.specification, SendCommand.run),
        (AlertsCommand.specification, AlertsCommand.run),
        (SQLCommand.specification, SQLCommand.run),
        (StatsCommand.specification, StatsCommand.run),
        (ExportCommand.specification, ExportCommand.run),
        (CompleteCommand.specification, CompleteCommand.run),
        (QuarantineCommand.specification, QuarantineCommand.run),
        (IncidentsCommand.specification, IncidentsCommand.run),
        (JobsCommand.specification, JobsCommand.run),
        (RulesCommand.specification, RulesCommand.run),
        (EnrollCommand.specification, EnrollCommand.run),
    ]

    /// - Parameter arguments: without the program's own name.
    /// - Returns: the exit status: 0 ok, 1 failed, 2 the command line is wrong.
    package static func run(_ arguments: [String]) -> Int32 {
        let console = Console()
        guard let name = arguments.first else {
            console.message(overview)
            return CommandResult.usage.rawValue
        }
        if ["--help", "-h", "help"].contains(name) {
            console.data(overview)
            return CommandResult.ok.rawValue
        }
        guard let command = commands.first(where: { $0.specification.name == name }) else {
            console.message("columba: unknown command \(TerminalText.neutralised(name)); try columba --help")
            return CommandResult.usage.rawValue
        }
        do {
            let parsed = try ParsedArguments(Array(arguments.dropFirst()), command.specification)
            if parsed.wantsHelp {
                console.data(command.specification.help)
                return CommandResult.ok.rawValue
            }
            return try command.run(parsed, console).rawValue
        } catch let error as UsageError {
            console.message("columba \(name): \(TerminalText.neutralised(error.message))")
            return CommandResult.usage.rawValue
        } catch let error as CommandFailure {
            console.message("columba \(name): \(error.message)")
            return CommandResult.failed.rawValue
        } catch {
            console.message("columba \(name): \(TerminalText.neutralised("\(error)"))")
            return CommandResult.failed.rawValue
        }
    }

    package static var overview: String {
        let width = commands.map(\.specification.name.count).max() ?? 0
        let rows = commands.map {
            let name = $0.specification.name
            return "  \(name)\(String(repeating: " ", count: width - name.count))  \($0.specification.summary)\n"
        }
        return "Usage: columba COMMAND [OPTIONS]\n\nCommands:\n\(rows.joined())\n`columba COMMAND --help` says more.\n"
    }
}
