// One or three real NATS servers on free loopback ports, with the configuration that deploy/central/nats ships: only
// names, ports and passwords come from here. Killed when the object goes.

import Glibc
import System

package final class NATSServers {
    package struct Unavailable: Error, CustomStringConvertible {
        package let description: String
    }

    private struct Server {
        let name: String
        let port: UInt16
        let monitorPort: UInt16
        let clusterPort: UInt16
        var process: ChildProcess?
    }

    package static let user = "central"
    package static let password = "a-password-for-tests"
    private let directory: String
    private let executable: String
    private let maxFile: String
    private var servers: [Server] = []
    private var file = ""
    private let stores: [Int: String]

    /// The pinned server; nil where `make deps` has not fetched it.
    package static var executable: String? {
        let path = Environment.variable("COLUMBA_NATS_SERVER") ?? "\(root)/.tools/nats/nats-server"
        return access(path, X_OK) == 0 ? path : nil
    }

    /// For `.enabled(if:)`.
    package static let isAvailable = executable != nil
    package static let reason = "nats-server is not in .tools/nats: run `make deps`"

    private static var root: String {
        #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(3).joined(separator: "/")
    }

    /// What a server shows and whom it trusts, as paths of PEM files.
    package struct TLSFiles {
        let certificate: String
        let key: String
        let authorities: String

        package init(certificate: String, key: String, authorities: String) {
            self.certificate = certificate
            self.key = key
            self.authorities = authorities
        }
    }

    /// Starts them and waits until they have leaders.
    /// - Parameters:
    ///   - tls: one server alone, whose clients need a certificate.
    ///   - stores: folders that are there already, for servers that are to keep their streams in them.
    package init(
        count: Int = 1, maxFile: String = "2GB", tls: TLSFiles? = nil, stores: [Int: String] = [:]
    ) throws {
        precondition(count == 1 || count == 3, "deploy/central/nats has one server or three")
        precondition(tls == nil || count == 1, "the servers among themselves are without TLS here")
        guard let executable = Self.executable else { throw Unavailable(description: Self.reason) }
        self.executable = executable
        self.maxFile = maxFile
        self.stores = stores
        directory = try FileSystem.makeTemporaryDirectory(prefix: "columba-nats")
        let ports = try FreePorts.find(3 * count)
        servers = (0..<count).map { index in
            Server(
                name: "n\(index + 1)", port: ports[3 * index], monitorPort: ports[3 * index + 1],
                clusterPort: ports[3 * index + 2])
        }
        file = "\(Self.root)/deploy/central/nats/" + (count == 1 ? "single.conf" : "cluster.conf")
        if let tls { file = try secured(tls) }
        for index in servers.indices { try start(index) }
        guard isReady(within: 20) else { throw Unavailable(description: "the NATS servers do not get ready") }
    }

    deinit {
        for server in servers { server.process?.kill(SIGKILL) }
        for server in servers { _ = try? server.process?.wait(timeoutSeconds: 10) }
        try? FileSystem.removeTree(directory)
    }

    package var count: Int { servers.count }
    package var names: [String] { servers.map(\.name) }
    /// With the password of the account that the configuration makes for central.
    package var urls: [String] { servers.map { "nats://\(Self.user):\(Self.password)@127.0.0.1:\($0.port)" } }
    package func port(_ index: Int) -> UInt16 { servers[index].port }
    package func isRunning(_ index: Int) -> Bool { servers[index].process?.isRunning ?? false }

    /// What a server said on its standard error.
    package func log(_ index: Int) -> String {
        (try? FileSystem.read("\(directory)/\(servers[index].name).log")).map { String(decoding: $0, as: UTF8.self) }
            ?? ""
    }

    // MARK: Faults

    /// As the kernel's out-of-memory killer would; returns when the process is gone.
    package func kill(_ index: Int) throws {
        servers[index].process?.kill(SIGKILL)
        _ = try servers[index].process?.wait(timeoutSeconds: 10)
        servers[index].process = nil
    }

    /// As if its machine were frozen: its connections stay open and nobody answers on them.
    package func freeze(_ index: Int) { servers[index].process?.kill(SIGSTOP) }
    package func thaw(_ index: Int) { servers[index].process?.kill(SIGCONT) }

    /// The disk of a server that does not run is replaced by an empty one.
    package func wipe(_ index: Int) throws {
        precondition(servers[index].process == nil, "a server that runs keeps its disk")
        try FileSystem.removeTree(store(index))
    }

    /// Where a server keeps its streams.
    package func store(_ index: Int) -> String { stores[index] ?? "\(directory)/\(servers[index].name)" }

    package func start(_ index: Int) throws {
        let server = servers[index]
        var configuration = ChildProcess.Configuration(executable: executable, arguments: ["-c", file])
        var environment = Environment.variables
        for (name, value) in variables(of: server, store: store(index)) { environment[name] = value }
        configuration.environment = environment
        configuration.standardError = .file("\(directory)/\(server.name).log")
        configuration.ownProcessGroup = true
        servers[index].process = try ChildProcess(configuration)
    }

    /// The shipped configuration with its `tls` block filled in.
    private func secured(_ tls: TLSFiles) throws -> String {
        let common = try FileSystem.read("\(Self.root)/deploy/central/nats/common.conf")
        try FileSystem.writeAtomically("\(directory)/common.conf", common)
        let text = """
            include ./common.conf
            tls { cert_file: "\(tls.certificate)", key_file: "\(tls.key)", ca_file: "\(tls.authorities)", verify: true }

            """
        try FileSystem.writeAtomically("\(directory)/tls.conf", Array(text.utf8))
        return "\(directory)/tls.conf"
    }

    private func variables(of server: Server, store: String) -> [String: String] {
        func text(_ value: String) -> String { "\"\(value)\"" }
        var variables = [
            "NATS_NAME": text(server.name), "NATS_HOST": text("127.0.0.1"), "NATS_PORT": String(server.port),
            "NATS_MONITOR": text("127.0.0.1:\(server.monitorPort)"),
            "NATS_CLUSTER_PORT": String(server.clusterPort), "NATS_STORE": text(store),
            "NATS_MAX_FILE": maxFile, "NATS_CENTRAL_PASSWORD": text(Self.password),
            "NATS_ADMIN_PASSWORD": text("admin-of-tests"), "NATS_ROUTE_PASSWORD": text("route-of-tests"),
        ]
        for (index, server) in servers.enumerated() {
            variables["NATS_ROUTE_\(index + 1)"] =
                text("nats-route://route:route-of-tests@127.0.0.1:\(server.clusterPort)")
        }
        return variables
    }

    // MARK: Waiting

    /// Every running server is healthy (it has caught up) and, in a cluster, knows the leader of all streams' metadata.
    package func isReady(within seconds: Double) -> Bool {
        eventually(within: seconds, everyMilliseconds: 50) {
            servers.allSatisfy { server in
                guard server.process != nil else { return true }
                guard let health = try? Self.get(server.monitorPort, "/healthz"), health.contains("\"ok\"") else {
                    return false
                }
                guard servers.count > 1 else { return true }
                let state = (try? Self.get(server.monitorPort, "/jsz")) ?? ""
                return state.contains("\"leader\": \"n") && state.contains("\"cluster_size\": \(servers.count)")
            }
        }
    }

    /// The answer to a GET from the monitoring port, headers and all.
    private static func get(_ port: UInt16, _ path: String) throws -> String {
        let descriptor = Loopback.tcpSocket()
        defer { close(descriptor) }
        guard Loopback.connect(descriptor, to: port) else { throw Unavailable(description: "no answer") }
        var limit = timeval(tv_sec: 2, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        let request = Array("GET \(path) HTTP/1.0\r\nHost: localhost\r\n\r\n".utf8)
        guard send(descriptor, request, request.count, Int32(MSG_NOSIGNAL)) == request.count else {
            throw Unavailable(description: "no answer")
        }
        var answer: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 16_384)
        while true {
            let count = recv(descriptor, &piece, piece.count, 0)
            guard count > 0 else { break }
            answer.append(contentsOf: piece[..<count])
        }
        return String(decoding: answer, as: UTF8.self)
    }
}
