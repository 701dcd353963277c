// A real S3 server for tests: `weed mini` (SeaweedFS) in a folder of its own, on loopback ports nobody uses, telemetry
// off. `make deps` installs it; without it the tests that need it say that they are skipped.

import Glibc
import Synchronization
import System

package final class WeedServer: Sendable {
    package static let accessKey = "columba-tests"
    package static let secretKey = "columba/tests+secret=0123456789"
    package static let bucket = "columba"
    package static let missing: String = "no .tools/seaweedfs/weed: make deps"

    /// The program; nil if it is not installed.
    package static let program: String? = {
        let root = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
        let paths = [Environment.variable("COLUMBA_WEED") ?? "", "/\(root)/.tools/seaweedfs/weed"]
        return paths.first { FileSystem.isExecutable($0) }
    }()

    package static var isInstalled: Bool { program != nil }

    /// One for all tests of a process that need not kill it; it ends with the process.
    package static func shared() throws -> WeedServer { try common.get() }

    private static let common = Result<WeedServer, any Error> {
        let server = try WeedServer()
        try server.start()
        return server
    }

    package let folder: String
    package let port: UInt16
    private let ports: [UInt16]
    /// Other S3 servers stand before it (`WeedGateway`).
    var filerPort: UInt16 { ports[2] }
    private let process = Mutex<ChildProcess?>(nil)

    package init() throws {
        folder = try FileSystem.makeTemporaryDirectory(prefix: "columba-weed")
        ports = try Self.ports(5)
        port = ports[3]
        try FileSystem.makeDirectories("\(folder)/data")
        try FileSystem.makeDirectories("\(folder)/tmp")
    }

    deinit { end() }

    package var endpoint: String { "http://127.0.0.1:\(port)" }
    package var log: String {
        (try? FileSystem.read("\(folder)/log")).map { String(decoding: $0, as: UTF8.self) } ?? ""
    }

    /// Every service has a second port 10,000 above its own; both lie below those that the kernel hands out.
    static func ports(_ count: Int) throws -> [UInt16] {
        var found: [UInt16] = []
        for _ in 0..<1000 where found.count < count {
            let port = UInt16.random(in: 12_000..<20_000)
            let isFree = [port, port + 10_000].allSatisfy {
                ListeningSocket.obstacle(host: "127.0.0.1", port: $0) == nil
            }
            if isFree, !found.contains(port) { found.append(port) }
        }
        guard found.count == count else { throw SystemError(operation: "find free ports", errno: EADDRINUSE) }
        return found
    }

    /// Starts it and waits until its bucket is there.
    package func start() throws {
        guard let program = Self.program else { throw SystemError(operation: "start weed", errno: ENOENT) }
        var configuration = ChildProcess.Configuration(
            executable: program,
            arguments: [
                "-logdir=\(folder)/tmp", "mini", "-dir=\(folder)/data", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
                "-master.port=\(ports[0])", "-volume.port=\(ports[1])", "-filer.port=\(ports[2])",
                "-s3.port=\(ports[3])", "-admin.port=\(ports[4])", "-s3.port.iceberg=0", "-s3.port.lance=0",
                "-webdav=false", "-admin.ui=false", "-master.telemetry=false", "-bucket=\(Self.bucket)",
            ])
        configuration.environment = Environment.variables.merging([
            "AWS_ACCESS_KEY_ID": Self.accessKey, "AWS_SECRET_ACCESS_KEY": Self.secretKey, "TMPDIR": "\(folder)/tmp",
            "HOME": folder,
        ]) { $1 }
        configuration.workingDirectory = folder
        configuration.standardOutput = .file("\(folder)/log")
        configuration.standardError = .file("\(folder)/log")
        configuration.diesWithStartingThread = true
        let child = try Self.startOnLastingThread(configuration)
        process.withLock { $0 = child }
        let isUp = eventually(within: 30, everyMilliseconds: 20) {
            ListeningSocket.answers(host: "127.0.0.1", port: self.port, timeoutSeconds: 1) && self.hasBucket
        }
        guard isUp else {
            throw SystemError(operation: "start weed", path: folder, errno: ETIMEDOUT, detail: "\(log.suffix(2000))")
        }
    }

    /// The filer, whose port asks nobody who he is, knows.
    private var hasBucket: Bool {
        let descriptor = Loopback.tcpSocket()
        defer { close(descriptor) }
        guard Loopback.connect(descriptor, to: ports[2]) else { return false }
        let request = Array("GET /buckets/\(Self.bucket)/?limit=1 HTTP/1.0\r\n\r\n".utf8)
        guard send(descriptor, request, request.count, Int32(MSG_NOSIGNAL)) == request.count else { return false }
        var answer = [UInt8](repeating: 0, count: 15)
        let count = recv(descriptor, &answer, answer.count, Int32(MSG_WAITALL))
        return count == answer.count && String(decoding: answer, as: UTF8.self).hasSuffix("200 OK")
    }

    /// The kernel kills the server when this process ends, however it does: the thread lasts as long.
    static func startOnLastingThread(_ configuration: ChildProcess.Configuration) throws -> ChildProcess {
        let started = Monitor(Result<ChildProcess, any Error>?.none)
        _ = WorkerThread(name: "weed") {
            let result = Result { try ChildProcess(configuration) }
            started.update { $0 = result }
            while true { pause() }
        }
        guard let result = started.wait(until: { $0 }) else {
            preconditionFailure("a wait without a limit has a result")
        }
        return try result.get()
    }

    /// SIGKILL: nothing is flushed by the server itself.
    package func kill() {
        process.withLock { process in
            process?.kill()
            _ = try? process?.wait(timeoutSeconds: 60)
            process = nil
        }
    }

    package func end() {
        kill()
        try? FileSystem.removeTree(folder)
    }
}
