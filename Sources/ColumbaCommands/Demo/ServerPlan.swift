// A server that is to run on this machine: what starts it, and how to see that it is ready.
import System

package struct ServerPlan: Sendable {
    package enum Program: Sendable {
        /// One of ours, beside this program.
        case sister(String)
        /// Somebody else's.
        case path(String)

        package var executable: String {
            switch self {
            case .sister(let name): Environment.executableDirectory + "/" + name
            case .path(let path): path
            }
        }
    }

    package var name: String
    package var program: Program
    package var arguments: [String]
    /// Added to this process's own.
    package var environment: [String: String] = [:]
    package var workingDirectory: String
    /// Answers 200 when it is ready.
    package var readyURL: String
    package var logFile: String

    package init(
        name: String, program: Program, arguments: [String], environment: [String: String] = [:],
        workingDirectory: String, readyURL: String, logFile: String
    ) {
        self.name = name
        self.program = program
        self.arguments = arguments
        self.environment = environment
        self.workingDirectory = workingDirectory
        self.readyURL = readyURL
        self.logFile = logFile
    }
}

/// Programs of others that a cluster stands on; `make deps` puts them into `.tools`.
package enum ServerTool {
    package static let natsServer = Named("nats-server", folder: "nats", variable: "COLUMBA_NATS_SERVER")
    package static let seaweed = Named("weed", folder: "seaweedfs", variable: "COLUMBA_WEED")

    package struct Named: Sendable {
        package let name: String
        let folder: String
        package let variable: String

        init(_ name: String, folder: String, variable: String) {
            self.name = name
            self.folder = folder
            self.variable = variable
        }

        /// Looks at the variable, then at `.tools/<folder>/<name>` beside the executable or any folder above it or
        /// above the working directory, then in `PATH`.
        package func locate() throws(CommandFailure) -> String {
            if let path = Environment.variable(variable), !path.isEmpty {
                guard FileSystem.isExecutable(path) else { throw CommandFailure("\(variable): \(path) is no program") }
                return path
            }
            for start in [Environment.executableDirectory, Environment.variable("PWD") ?? ""] {
                var above = start
                while above.utf8.count > 1 {
                    let path = "\(above)/.tools/\(folder)/\(name)"
                    if FileSystem.isExecutable(path) { return path }
                    above = FileSystem.parent(of: above)
                }
            }
            for place in (Environment.variable("PATH") ?? "").split(separator: ":") {
                let path = "\(place)/\(name)"
                if FileSystem.isExecutable(path) { return path }
            }
            throw CommandFailure("\(name) was not found; run `make deps`, or set \(variable) to its path")
        }
    }
}
