// An authority of a test's own, and certificates of servers below it, as PEM files.

import Certificates
import System

package final class TestAuthority: Sendable {
    package struct ServerFiles: Sendable {
        package let certificate: String
        package let key: String
    }

    private static let hour: Int64 = 3_600

    /// The authority's certificate.
    package let file: String
    private let directory: String
    private let issuer: CertificateIssuer
    private let now: Int64

    package init() throws {
        directory = try FileSystem.makeTemporaryDirectory(prefix: "columba-authority")
        now = SystemTime().wallMicroseconds() / 1_000_000
        issuer = try CertificateIssuer.makeRoot(
            commonName: "Columba tests", notBefore: now - 48 * Self.hour, notAfter: now + 48 * Self.hour)
        file = "\(directory)/ca.crt"
        try FileSystem.writeAtomically(file, Array(issuer.certificate.pem.utf8))
    }

    deinit { try? FileSystem.removeTree(directory) }

    /// - Parameter expired: since an hour.
    package func server(_ name: String, names: [String], expired: Bool = false) throws -> ServerFiles {
        guard let identity = PeerIdentity(uri: "columba://central/\(name)") else {
            preconditionFailure("a test's server has a name that is one")
        }
        let key = try PrivateKey.generate()
        let request = try CertificateRequest.make(identity: identity, key: key)
        let profile = CertificateProfile(
            .server(names: names), identity: identity, notBefore: now - 24 * Self.hour,
            notAfter: expired ? now - Self.hour : now + 24 * Self.hour)
        let files = ServerFiles(certificate: "\(directory)/\(name).crt", key: "\(directory)/\(name).key")
        try FileSystem.writeAtomically(files.certificate, Array(try issuer.issue(request, profile).pem.utf8))
        try FileSystem.writeAtomically(files.key, Array(key.pem.utf8))
        return files
    }
}
