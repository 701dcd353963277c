// A whole cluster on this machine: three NATS servers, an object store, centrals; their files and addresses. Loopback
// only, so without TLS. The demo runs it, and so do the tests and the benchmark.
import System

package struct ClusterPlan: Sendable {
    package struct Central: Sendable {
        package let server: ServerPlan
        package let intakeURL: String
        package let analystURL: String
    }

    package struct Options: Sendable {
        package var centrals = 3
        package var natsServers = 3
        package var partitions = 8
        package var maxWaitSeconds = 1.0
        package var streamBytes = 2 << 30
        /// Each central's `roles`; nil: all.
        package var roles: [[String]]?

        package init() {}
    }

    package let folder: String
    package let nats: [ServerPlan]
    package let natsURLs: [String]
    package let store: ServerPlan
    package let storeURL: String
    package let centrals: [Central]

    /// What must be ready before the next stage begins.
    package var stages: [[ServerPlan]] { [nats + [store], centrals.map(\.server)] }

    private static let user = (access: "columba-demo", secret: "only-on-this-machine")
    private static let bucket = "columba"

    package static func portsNeeded(_ options: Options = Options()) -> Int {
        portsPerNATSServer * options.natsServers + portsOfStore + portsPerCentral * options.centrals
    }

    private static let portsPerNATSServer = 3
    private static let portsOfStore = 10
    private static let portsPerCentral = 2

    /// Writes all files into the folder.
    /// - Parameter ports: free ones, as many as `portsNeeded` says. Found all at once, so that no two are the same.
    package init(folder: String, options: Options = Options(), ports: [UInt16]) throws {
        precondition(ports.count == Self.portsNeeded(options), "a cluster gets exactly the ports it needs")
        self.folder = folder
        let natsServer = try ServerTool.natsServer.locate()
        let weed = try ServerTool.seaweed.locate()
        for name in ["logs", "object-store"] { try FileSystem.makeDirectories("\(folder)/\(name)") }
        try Self.write(Self.user.access, "\(folder)/s3-access")
        try Self.write(Self.user.secret, "\(folder)/s3-secret")
        var free = ports[...]
        func take(_ count: Int) -> [UInt16] {
            defer { free = free.dropFirst(count) }
            return Array(free.prefix(count))
        }
        let natsPorts = take(Self.portsPerNATSServer * options.natsServers)
        (nats, natsURLs) = try Self.natsServers(options.natsServers, natsServer, folder, natsPorts)
        (store, storeURL) = Self.objectStore(weed, folder, take(Self.portsOfStore))
        var centrals: [Central] = []
        for index in 0..<options.centrals {
            let ports = take(Self.portsPerCentral)
            centrals.append(try Self.central(index, options, folder, natsURLs, storeURL, ports))
        }
        self.centrals = centrals
    }

    private static func write(_ text: String, _ path: String) throws {
        try FileSystem.writeAtomically(path, Array((text + "\n").utf8), mode: 0o600)
    }

    // MARK: Engines

    private static func natsServers(
        _ count: Int, _ executable: String, _ folder: String, _ ports: [UInt16]
    ) throws -> ([ServerPlan], [String]) {
        let routes = (0..<count).map { "nats-route://127.0.0.1:\(ports[3 * $0 + 2])" }.joined(separator: ", ")
        var plans: [ServerPlan] = []
        for index in 0..<count {
            let name = "nats-\(index + 1)"
            let (client, monitor, cluster) = (ports[3 * index], ports[3 * index + 1], ports[3 * index + 2])
            try write(
                """
                server_name: \(name)
                listen: 127.0.0.1:\(client)
                http: 127.0.0.1:\(monitor)
                jetstream {store_dir: "\(folder)/\(name)", max_mem: 64MB, max_file: 8GB, sync_interval: always}
                cluster {name: columba-demo, listen: 127.0.0.1:\(cluster), routes: [\(routes)]}
                """, "\(folder)/\(name).conf")
            plans.append(
                ServerPlan(
                    name: name, program: .path(executable), arguments: ["-c", "\(folder)/\(name).conf"],
                    workingDirectory: folder, readyURL: "http://127.0.0.1:\(monitor)/healthz",
                    logFile: "\(folder)/logs/\(name).log"))
        }
        return (plans, (0..<count).map { "nats://127.0.0.1:\(ports[3 * $0])" })
    }

    /// `weed mini`: every part of SeaweedFS in one process. It calls nobody (telemetry off) and shows no page.
    private static func objectStore(
        _ executable: String, _ folder: String, _ ports: [UInt16]
    ) -> (ServerPlan, String) {
        let parts = ["master", "volume", "filer", "s3", "admin"]
        let portArguments = parts.enumerated().flatMap { index, part in
            ["-\(part).port=\(ports[2 * index])", "-\(part).port.grpc=\(ports[2 * index + 1])"]
        }
        let url = "http://127.0.0.1:\(ports[6])"
        let plan = ServerPlan(
            name: "object-store", program: .path(executable),
            arguments: [
                "-logdir=\(folder)/logs", "mini", "-dir=\(folder)/object-store", "-ip=127.0.0.1",
                "-ip.bind=127.0.0.1", "-s3.port.iceberg=0", "-s3.port.lance=0", "-webdav=false", "-admin.ui=false",
                "-master.telemetry=false", "-filer.localSocket=\(folder)/filer.sock", "-bucket=\(bucket)",
            ] + portArguments,
            environment: ["AWS_ACCESS_KEY_ID": user.access, "AWS_SECRET_ACCESS_KEY": user.secret],
            workingDirectory: folder, readyURL: "\(url)/healthz", logFile: "\(folder)/logs/object-store.log")
        return (plan, url)
    }

    // MARK: Centrals

    private static func central(
        _ index: Int, _ options: Options, _ folder: String, _ natsURLs: [String], _ storeURL: String,
        _ ports: [UInt16]
    ) throws -> Central {
        let name = "central-\(index + 1)"
        let roles = options.roles.map { "roles: [\($0[index].map { "\"\($0)\"" }.joined(separator: ", "))],\n  " } ?? ""
        let urls = natsURLs.map { "\"\($0)\"" }.joined(separator: ", ")
        try write(
            """
            {
              node_id: "\(name)",
              \(roles)listen: "127.0.0.1:\(ports[0])",          // relays
              analyst_listen: "127.0.0.1:\(ports[1])",  // analysts
              data_dir: "\(name)",
              lake: "s3://\(bucket)/lake",
              vault: "s3://\(bucket)/vault",
              s3: {endpoint: "\(storeURL)", access_key_file: "s3-access", secret_key_file: "s3-secret"},
              stream: {nats: [\(urls)], replicas: \(min(3, natsURLs.count)), max_bytes: \(options.streamBytes)},
              archive: {partitions: \(options.partitions), max_wait_s: \(options.maxWaitSeconds)},
            }
            """, "\(folder)/\(name).json5")
        return Central(
            server: ServerPlan(
                name: name, program: .sister("columba-central"),
                arguments: ["run", "--config", "\(folder)/\(name).json5"], workingDirectory: folder,
                readyURL: "http://127.0.0.1:\(ports[1])/readyz", logFile: "\(folder)/logs/\(name).log"),
            intakeURL: "http://127.0.0.1:\(ports[0])", analystURL: "http://127.0.0.1:\(ports[1])")
    }
}
