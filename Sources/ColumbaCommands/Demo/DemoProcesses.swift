// Central and the relays as child processes: started, watched, stopped. They never outlive the demo: the kernel kills
// them when the starting thread ends, and that is the main thread.
import DroneClient
import Glibc
import Simulation
import System

final class DemoProcesses {
    private struct Server {
        let plan: ServerPlan
        let process: ChildProcess

        var name: String { plan.name }
    }

    private static let startSeconds = 60.0
    private static let stopSeconds = 10.0

    private var stages: [[Server]] = []
    private var servers: [Server] { stages.flatMap { $0 } }

    /// Starts servers side by side, and waits until all are ready.
    func start(_ plans: [ServerPlan]) throws {
        stages.append([])
        for plan in plans { try launch(plan) }
        for plan in plans { try waitUntilReady(plan.name, plan.readyURL) }
    }

    private func launch(_ plan: ServerPlan) throws {
        let executable = plan.program.executable
        guard FileSystem.isExecutable(executable) else {
            throw CommandFailure("\(executable) is missing; build it with: make build")
        }
        var settings = ChildProcess.Configuration(executable: executable, arguments: plan.arguments)
        settings.workingDirectory = plan.workingDirectory
        if !plan.environment.isEmpty {
            settings.environment = Environment.variables.merging(plan.environment) { $1 }
        }
        settings.standardOutput = .file(plan.logFile)
        settings.standardError = .file(plan.logFile)
        // Ctrl-C reaches only the demo, which then stops its servers in order.
        settings.ownProcessGroup = true
        settings.diesWithStartingThread = true
        let server = Server(plan: plan, process: try ChildProcess(settings))
        stages[stages.count - 1].append(server)
    }

    private func waitUntilReady(_ name: String, _ url: String) throws {
        let transport = HTTPTransport()
        let time = SystemTime()
        let deadline = time.monotonicNanoseconds() + UInt64(Self.startSeconds * 1e9)
        var last = "no answer"
        while time.monotonicNanoseconds() < deadline {
            try check()
            do {
                let response = try transport.exchange(TransportRequest("GET", url, timeoutSeconds: 2))
                if response.status == 200 { return }
                last = "it answered \(response.status)"
            } catch {
                last = error.reason
            }
            Waiting.pause(seconds: 0.02)
        }
        throw CommandFailure("\(name) is not ready after \(Int(Self.startSeconds)) s: \(last)\(tail(of: name))")
    }

    /// Throws if a server has ended by itself.
    func check() throws {
        for server in servers where !server.process.isRunning {
            let status = try server.process.wait(timeoutSeconds: 0)
            throw CommandFailure(
                "\(server.name) \(status?.description ?? "ended")\(tail(of: server.name))")
        }
    }

    /// Relays first, as in the flow: what stops accepting comes before what it sends to.
    func stop() {
        for stage in stages.reversed() {
            for server in stage { server.process.kill(SIGTERM) }
            for server in stage {
                if case .some(.some) = try? server.process.wait(timeoutSeconds: Self.stopSeconds) { continue }
                server.process.kill()
                _ = try? server.process.wait(timeoutSeconds: Self.stopSeconds)
            }
        }
        stages.removeAll()
    }

    /// The last lines of a server's log, for the person who must find out why it ended.
    private func tail(of name: String) -> String {
        guard let server = servers.first(where: { $0.name == name }),
            let log = try? FileSystem.read(server.plan.logFile), !log.isEmpty
        else { return "" }
        let lines = String(decoding: log.suffix(4_096), as: UTF8.self).split(separator: "\n").suffix(5)
        return "; its log ends:\n" + lines.map { "  " + TerminalText.neutralised(String($0)) }.joined(separator: "\n")
    }
}
