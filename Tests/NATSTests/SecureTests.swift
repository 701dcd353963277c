// A server that wants certificates, on both sides.

import Certificates
import NATS
import System
import TestSupport
import Testing

@Suite("NATS over TLS", .enabled(if: NATSServers.isAvailable, "nats-server is missing: make deps"))
struct SecureTests {
    /// An authority with a certificate for each side, in files.
    private struct Files {
        let directory: String
        var authorities: String { "\(directory)/ca.crt" }
        func certificate(_ name: String) -> String { "\(directory)/\(name).crt" }
        func key(_ name: String) -> String { "\(directory)/\(name).key" }

        init() throws {
            directory = try FileSystem.makeTemporaryDirectory(prefix: "columba-nats-tls")
            let now = SystemTime().wallMicroseconds() / 1_000_000
            let issuer = try CertificateIssuer.makeRoot(
                commonName: "Test", notBefore: now - 3_600, notAfter: now + 3_600)
            try FileSystem.writeAtomically(authorities, Array(issuer.certificate.pem.utf8))
            for (name, kind) in [("server", CertificateProfile.Kind.server(names: ["localhost"])), ("client", .client)]
            {
                guard let identity = PeerIdentity(uri: "columba://relay/\(name)") else {
                    throw NATSError(.invalid, name)
                }
                let key = try PrivateKey.generate()
                let request = try CertificateRequest.make(identity: identity, key: key)
                let profile = CertificateProfile(
                    kind, identity: identity, notBefore: now - 3_600, notAfter: now + 3_600)
                try FileSystem.writeAtomically(
                    certificate(name), Array(try issuer.issue(request, profile).pem.utf8))
                try FileSystem.writeAtomically(self.key(name), Array(key.pem.utf8))
            }
        }
    }

    private func connect(_ port: UInt16, _ tls: NATSConfiguration.TLS?) throws(NATSError) -> NATSConnection {
        var configuration = NATSConfiguration(
            urls: ["tls://\(NATSServers.user):\(NATSServers.password)@localhost:\(port)"], name: "test")
        configuration.tls = tls
        return try NATSConnection(configuration, events: { _ in })
    }

    @Test("with its certificate and authority a client is let in; without either it is not")
    func certificates() throws {
        let files = try Files()
        defer { try? FileSystem.removeTree(files.directory) }
        let servers = try NATSServers(
            tls: .init(
                certificate: files.certificate("server"), key: files.key("server"), authorities: files.authorities))
        let connection = try connect(
            servers.port(0),
            .init(
                authoritiesFile: files.authorities, certificateFile: files.certificate("client"),
                keyFile: files.key("client")))
        let settings = StreamSettings(
            name: "S", subjects: ["s"], replicas: 1, maxBytes: 1 << 20, maxMessageBytes: 1 << 20)
        #expect(try JetStream(connection).ensure(settings).isNew)
        // The greeting comes before TLS: the version is checked on a secured server as well.
        #expect(try ServerGreeting.checkAll(["tls://localhost:\(servers.port(0))"]).count == 1)
        #expect(throws: NATSError.self) { try connect(servers.port(0), .init(authoritiesFile: files.authorities)) }
        #expect(throws: NATSError.self) { try connect(servers.port(0), .init()) }
        let other = try Files()
        defer { try? FileSystem.removeTree(other.directory) }
        #expect(throws: NATSError.self) {
            try connect(
                servers.port(0),
                .init(
                    authoritiesFile: other.authorities, certificateFile: files.certificate("client"),
                    keyFile: files.key("client")))
        }
        withExtendedLifetime((servers, connection)) {}
    }
}
