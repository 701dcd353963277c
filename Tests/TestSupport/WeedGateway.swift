// A second S3 server of SeaweedFS in front of a running one, that speaks TLS with a certificate of the test's choice.
// What is written through one is read through the other.

import Glibc
import System

package final class WeedGateway: Sendable {
    /// One with a certificate for `localhost` of `authority`, for all tests of a process.
    package static func shared() throws -> WeedGateway { try common.get().gateway }
    package static func sharedAuthority() throws -> TestAuthority { try common.get().authority }

    private static let common = Result<(gateway: WeedGateway, authority: TestAuthority), any Error> {
        let authority = try TestAuthority()
        let files = try authority.server("s3", names: ["localhost"])
        return (try WeedGateway(before: try WeedServer.shared(), files), authority)
    }

    package let port: UInt16
    private let folder: String
    private let process: ChildProcess

    /// Returns when it listens.
    package init(before server: WeedServer, _ files: TestAuthority.ServerFiles) throws {
        guard let program = WeedServer.program else { throw SystemError(operation: "start weed", errno: ENOENT) }
        folder = try FileSystem.makeTemporaryDirectory(prefix: "columba-gateway")
        let port = try WeedServer.ports(1)[0]
        self.port = port
        var configuration = ChildProcess.Configuration(
            executable: program,
            arguments: [
                "-logdir=\(folder)", "s3", "-filer=127.0.0.1:\(server.filerPort)", "-port=\(port)", "-ip=127.0.0.1",
                "-ip.bind=127.0.0.1", "-port.iceberg=0", "-port.lance=0", "-localSocket=\(folder)/s3.sock",
                "-cert.file=\(files.certificate)", "-key.file=\(files.key)",
            ])
        configuration.environment = Environment.variables.merging([
            "AWS_ACCESS_KEY_ID": WeedServer.accessKey, "AWS_SECRET_ACCESS_KEY": WeedServer.secretKey,
            "TMPDIR": folder, "HOME": folder,
        ]) { $1 }
        configuration.workingDirectory = folder
        configuration.standardOutput = .file("\(folder)/log")
        configuration.standardError = .file("\(folder)/log")
        configuration.diesWithStartingThread = true
        process = try WeedServer.startOnLastingThread(configuration)
        let isUp = eventually(within: 30, everyMilliseconds: 20) {
            ListeningSocket.answers(host: "127.0.0.1", port: port, timeoutSeconds: 1)
        }
        guard isUp else {
            let log = (try? FileSystem.read("\(folder)/log")).map { String(decoding: $0, as: UTF8.self) } ?? ""
            throw SystemError(
                operation: "start weed s3", path: folder, errno: ETIMEDOUT, detail: String(log.suffix(2_000)))
        }
    }

    deinit {
        process.kill()
        _ = try? process.wait(timeoutSeconds: 60)
        try? FileSystem.removeTree(folder)
    }

    /// By the name in its certificate.
    package var endpoint: String { "https://localhost:\(port)" }
}
