// Central and the relays as child processes: started, watched, stopped. They never outlive the demo: the kernel kills
// them when the starting thread ends, and that is the main thread.
import DroneClient
import Glibc
import Simulation
import System

final class DemoProcesses {
    private struct Server {
        let name: String
        let process: ChildProcess
        let logFile: String
    }

    private static let startSeconds = 20.0
    private static let stopSeconds = 10.0

    private var servers: [Server] = []

    /// Starts a program that stands beside this one, and waits until it is ready.
    func start(_ program: String, name: String, configuration: String, readyURL: String, logFile: String) throws {
        let executable = Environment.executableDirectory + "/" + program
        guard FileSystem.isExecutable(executable) else {
            throw CommandFailure("\(executable) is missing; build it with: make build")
        }
        var settings = ChildProcess.Configuration(
            executable: executable, arguments: ["run", "--config", configuration])
        settings.workingDirectory = FileSystem.parent(of: configuration)
        settings.standardOutput = .file(logFile)
        settings.standardError = .file(logFile)
        // Ctrl-C reaches only the demo, which then stops its servers in order.
        settings.ownProcessGroup = true
        settings.diesWithStartingThread = true
        servers.append(Server(name: name, process: try ChildProcess(settings), logFile: logFile))
        try waitUntilReady(name, readyURL)
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
        for server in servers.reversed() { server.process.kill(SIGTERM) }
        for server in servers.reversed() {
            if case .some(.some) = try? server.process.wait(timeoutSeconds: Self.stopSeconds) { continue }
            server.process.kill()
            _ = try? server.process.wait(timeoutSeconds: Self.stopSeconds)
        }
        servers.removeAll()
    }

    /// The last lines of a server's log, for the person who must find out why it ended.
    private func tail(of name: String) -> String {
        guard let server = servers.first(where: { $0.name == name }),
            let log = try? FileSystem.read(server.logFile), !log.isEmpty
        else { return "" }
        let lines = String(decoding: log.suffix(4_096), as: UTF8.self).split(separator: "\n").suffix(5)
        return "; its log ends:\n" + lines.map { "  " + TerminalText.neutralised(String($0)) }.joined(separator: "\n")
    }
}
