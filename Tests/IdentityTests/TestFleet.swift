// What the identity tests share: an authority with clients of every kind, a TLS server that says who asked, a folder.

import Certificates
import Glibc
import HTTPClient
import HTTPServer
import Identity
import Log
import Synchronization
import System
import TLS

/// A folder that goes with the object.
final class Folder {
    let path: String

    init() throws { path = try FileSystem.makeTemporaryDirectory(prefix: "columba-identity") }
    deinit { try? FileSystem.removeTree(path) }

    func file(_ name: String, _ text: String) throws -> String {
        let file = "\(path)/\(name)"
        try FileSystem.writeAtomically(file, Array(text.utf8), mode: 0o600)
        return file
    }
}

/// An authority, and certificates of it.
struct TestAuthority {
    static let hour: Int64 = 3_600
    let issuer: CertificateIssuer

    static var now: Int64 { SystemTime().wallMicroseconds() / 1_000_000 }

    init(_ name: String = "Test authority") throws {
        issuer = try CertificateIssuer.makeRoot(
            commonName: name, notBefore: Self.now - 2 * Self.hour, notAfter: Self.now + 1_000 * Self.hour)
    }

    init(issuer: CertificateIssuer) { self.issuer = issuer }

    var pem: String { issuer.certificate.pem }

    /// Key and certificate in one text.
    func pair(
        _ uri: String, _ kind: CertificateProfile.Kind = .client, from: Int64 = -TestAuthority.hour,
        until: Int64 = TestAuthority.hour
    ) throws -> String {
        let (key, certificate) = try issue(uri, kind, from: from, until: until)
        return key.pem + certificate.pem
    }

    func issue(
        _ uri: String, _ kind: CertificateProfile.Kind, from: Int64 = -TestAuthority.hour,
        until: Int64 = TestAuthority.hour
    ) throws -> (PrivateKey, Certificate) {
        guard let identity = PeerIdentity(uri: uri) else { throw CertificateError("not an identity: \(uri)") }
        let key = try PrivateKey.generate()
        let request = try CertificateRequest.make(identity: identity, key: key)
        let profile = CertificateProfile(
            kind, identity: identity, notBefore: Self.now + from, notAfter: Self.now + until)
        return (key, try issuer.issue(request, profile))
    }

    /// A relay's intermediate as an authority of its own.
    func intermediate(_ uri: String) throws -> TestAuthority {
        let (key, certificate) = try issue(uri, .intermediate)
        return TestAuthority(issuer: try CertificateIssuer(certificate: certificate, key: key))
    }

    func serverCredentials(trusting authorities: String? = nil) throws -> TLSCredentials {
        let (key, certificate) = try issue("columba://relay/here", .server(names: ["127.0.0.1", "localhost"]))
        return TLSCredentials(
            certificates: certificate.pem, key: key.pem, clientAuthorities: authorities ?? pem)
    }
}

/// Answers every request with the identity of who asked.
struct WhoAmI: HTTPHandler {
    func admit(_ head: HTTPRequestHead) -> HTTPAdmission { .body(limitBytes: 1 << 20) }

    func handle(_ exchange: HTTPExchange) {
        let text = exchange.peerIdentity ?? "nobody"
        exchange.respond(HTTPResponse(status: 200, contentType: "text/plain", body: Array(text.utf8)))
    }
}

/// A TLS server on this machine, and clients of it.
final class TestServer: Sendable {
    let server: HTTPServer
    private let context: Context

    /// What the server's closures reach.
    private final class Context: Sendable {
        let refusals = Mutex<[String]>([])
        let denyList = Mutex(DenyList())
    }

    init(
        _ credentials: TLSCredentials, handshakeTimeoutSeconds: Int = 5, handler: any HTTPHandler = WhoAmI(),
        _ change: (inout HTTPServerConfiguration) -> Void = { _ in }
    ) throws {
        let context = Context()
        self.context = context
        var tls = ServerTLS(
            credentials: credentials,
            admit: { certificate in
                let list = context.denyList.withLock { $0 }
                guard let refusal = PeerPolicy.objection(certificate, list) else { return true }
                context.refusals.withLock { $0.append(refusal.rawValue) }
                return false
            },
            onRefused: { reason, _ in context.refusals.withLock { $0.append(reason) } })
        tls.handshakeTimeoutSeconds = handshakeTimeoutSeconds
        var configuration = HTTPServerConfiguration(tls: tls)
        change(&configuration)
        server = try HTTPServer(configuration, handler: handler)
    }

    var url: String { "https://127.0.0.1:\(server.port)/" }
    var reasons: [String] { context.refusals.withLock { $0 } }

    func deny(_ entry: String) {
        context.denyList.withLock { _ = $0.insert(entry) }
        server.recheckPeers()
    }

    /// The server's answer to this certificate, or nil if it gave none.
    func answer(to pair: String?, trusting authority: String, in folder: Folder) throws -> String? {
        var tls = HTTPClientTLS(authoritiesFile: try folder.file("ca.pem", authority))
        if let pair {
            let file = try folder.file("client.pem", pair)
            tls.certificateFile = file
            tls.keyFile = file
        }
        guard let response = try? HTTPClient().perform(HTTPClientRequest(url: url, timeoutSeconds: 10, tls: tls))
        else { return nil }
        return String(decoding: response.body, as: UTF8.self)
    }
}

/// The distribution's `openssl` and `curl`, for certificates and handshakes that our own code refuses to make.
enum Command {
    /// Nil where the program is not installed.
    static func run(_ name: String, _ arguments: [String], in folder: Folder) throws -> (isSuccess: Bool, text: String)?
    {
        guard let path = ["/usr/bin/\(name)", "/usr/local/bin/\(name)"].first(where: FileSystem.isExecutable) else {
            return nil
        }
        let output = "\(folder.path)/\(name).out"
        var configuration = ChildProcess.Configuration(executable: path, arguments: arguments)
        configuration.standardOutput = .file(output)
        configuration.standardError = .file(output + ".errors")
        let process = try ChildProcess(configuration)
        guard let status = try process.wait(timeoutSeconds: 90) else {
            process.kill()
            return (false, "no end")
        }
        let text = String(decoding: try FileSystem.read(output), as: UTF8.self)
        let errors = String(decoding: try FileSystem.read(output + ".errors"), as: UTF8.self)
        try FileSystem.remove(output)
        try FileSystem.remove(output + ".errors")
        return (status.isSuccess, text + errors)
    }
}

extension LogCapture {
    /// How often an event was logged.
    func count(_ event: String) -> Int { lines.count { $0.contains(" \(event) ") } }
}
