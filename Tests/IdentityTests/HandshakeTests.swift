// Who is let in over TLS and who is not (F99, F106, F109–F111): a real server, real OpenSSL clients.

import Certificates
import Glibc
import HTTPClient
import HTTPServer
import Identity
import System
import Testing
import TestSupport

@Suite("TLS with client certificates")
struct HandshakeTests {
    private let folder: Folder
    private let authority: TestAuthority
    private let server: TestServer

    init() throws {
        folder = try Folder()
        authority = try TestAuthority()
        server = try TestServer(try authority.serverCredentials())
    }

    private func answer(_ pair: String?) throws -> String? {
        try server.answer(to: pair, trusting: authority.pem, in: folder)
    }

    @Test("a drone, a relay and an operator are let in under the one URI of their certificate")
    func letIn() throws {
        for uri in ["columba://drone/d-1", "columba://relay/north-3", "columba://operator/ada", "columba://analyst/b"] {
            #expect(try answer(authority.pair(uri)) == uri)
        }
    }

    @Test("without a certificate, with another authority's or a self-signed one, nobody is let in")
    func strangers() throws {
        #expect(try answer(nil) == nil)
        let other = try TestAuthority()
        #expect(try answer(other.pair("columba://drone/d-1")) == nil)
        #expect(server.reasons.contains("unknown_authority"))
        // The authority itself has no URI.
        #expect(try answer(authority.issuer.key.pem + authority.pem) == nil)
        #expect(try answer(other.issuer.key.pem + other.pem) == nil)
    }

    @Test("an expired certificate and one that is not valid yet are refused, with the reason in the log")
    func dates() throws {
        let hour = TestAuthority.hour
        #expect(try answer(authority.pair("columba://drone/d-1", from: -2 * hour, until: -1)) == nil)
        #expect(server.reasons.contains("certificate_expired"))
        #expect(try answer(authority.pair("columba://drone/d-1", from: hour / 2, until: hour)) == nil)
        #expect(server.reasons.contains("certificate_not_yet_valid"))
    }

    @Test("a relay's intermediate makes drones, and nothing else")
    func intermediates() throws {
        let intermediate = try authority.intermediate("columba://relay/north-3")
        let chain = intermediate.pem
        #expect(try answer(intermediate.pair("columba://drone/d-1") + chain) == "columba://drone/d-1")
        for uri in [
            "columba://relay/south", "columba://operator/ada", "columba://analyst/eve", "columba://relay/north-3",
        ] {
            #expect(try answer(intermediate.pair(uri) + chain) == nil, "\(uri)")
        }
        #expect(server.reasons.contains("wrong_issuer"))
        // Not sent along, it is nobody the server knows; a drone's certificate signs nothing; nor does an intermediate
        // of an intermediate.
        #expect(try answer(intermediate.pair("columba://drone/d-1")) == nil)
        let (key, drone) = try authority.issue("columba://drone/d-7", .client)
        #expect(throws: CertificateError.self) { try CertificateIssuer(certificate: drone, key: key) }
        let deeper = try intermediate.intermediate("columba://relay/deep")
        #expect(try answer(deeper.pair("columba://drone/d-1") + deeper.pem + chain) == nil)
        // The intermediate of another fleet.
        let foreign = try TestAuthority().intermediate("columba://relay/north-3")
        #expect(try answer(foreign.pair("columba://drone/d-1") + foreign.pem) == nil)
    }

    @Test("a certificate that is for servers only is no client's")
    func purpose() throws {
        guard let pair = try forged("subjectAltName=URI:columba://drone/d-1\nextendedKeyUsage=serverAuth") else {
            return
        }
        #expect(try answer(pair) == nil)
        #expect(server.reasons.contains("not_a_client_certificate"))
    }

    @Test(
        "tricks with names get nobody in: only exactly one URI counts, the distinguished name never",
        arguments: [
            "extendedKeyUsage=clientAuth",
            "subjectAltName=DNS:columba://drone/d-1",
            "subjectAltName=email:d-1@columba.example",
            "subjectAltName=URI:columba://drone/*",
            "subjectAltName=URI:columba://drone/d-1,URI:columba://drone/d-2",
            "subjectAltName=URI:columba://drone/d-1,email:d-1@columba.example",
            "subjectAltName=URI:columba://drone/d-1/",
            "subjectAltName=URI:columba://drone/",
            "subjectAltName=URI:COLUMBA://drone/d-1",
            "subjectAltName=URI:columba://Drone/d-1",
            "subjectAltName=URI:columba://drone/d-1?as=d-2",
            "subjectAltName=URI:columba://drone/d%2d1",
            "subjectAltName=URI:columba://drone/../relay/x",
            "subjectAltName=URI:columba://admin/root",
            "subjectAltName=URI:https://columba/drone/d-1",
            // SEQUENCE { [6] "columba://drone/d-1" NUL "x" }
            "subjectAltName=DER:30:17:86:15:63:6f:6c:75:6d:62:61:3a:2f:2f:64:72:6f:6e:65:2f:64:2d:31:00:78",
        ])
    func nameTricks(_ extensions: String) throws {
        guard let pair = try forged(extensions) else { return }
        #expect(try answer(pair) == nil)
        #expect(!server.reasons.isEmpty)
    }

    @Test("the same forger's honest certificate is let in: the tricks above fail for their names alone")
    func honestForgery() throws {
        guard let pair = try forged("subjectAltName=URI:columba://drone/d-1") else { return }
        #expect(try answer(pair) == "columba://drone/d-1")
    }

    /// Signed by the true authority with whatever OpenSSL's command line can be told. The subject claims to be d-1
    /// twice. Nil, with a note, where there is no `openssl`.
    private func forged(_ extensions: String) throws -> String? {
        let key = try PrivateKey.generate()
        let keyFile = try folder.file("forged.key", key.pem)
        let extensionFile = try folder.file("extensions", extensions + "\n")
        let authorityFile = try folder.file("authority.pem", authority.issuer.key.pem + authority.pem)
        let (request, certificate) = ("\(folder.path)/forged.csr", "\(folder.path)/forged.pem")
        let subject = "/CN=columba:\\/\\/drone\\/d-1/CN=d-1"
        guard
            try Command.run(
                "openssl", ["req", "-new", "-key", keyFile, "-subj", subject, "-out", request], in: folder) != nil
        else {
            Issue.record("skipped: openssl is not installed (apt-get install openssl)")
            return nil
        }
        let signed = try Command.run(
            "openssl",
            [
                "x509", "-req", "-in", request, "-CA", authorityFile, "-CAkey", authorityFile, "-days", "1",
                "-extfile", extensionFile, "-out", certificate,
            ], in: folder)
        try #require(signed?.isSuccess == true, "\(signed?.text ?? "")")
        return key.pem + String(decoding: try FileSystem.read(certificate), as: UTF8.self)
    }

    @Test("during a change of authority both are trusted, each with its own")
    func rotation() throws {
        let next = try TestAuthority()
        let both = try TestServer(try authority.serverCredentials(trusting: authority.pem + next.pem))
        for one in [authority, next] {
            let drone = try one.pair("columba://drone/d-1")
            #expect(try both.answer(to: drone, trusting: authority.pem, in: folder) == "columba://drone/d-1")
            let intermediate = try one.intermediate("columba://relay/r")
            let renewed = try intermediate.pair("columba://drone/d-2") + intermediate.pem
            #expect(try both.answer(to: renewed, trusting: authority.pem, in: folder) == "columba://drone/d-2")
        }
        // An intermediate of one cannot be passed off as the other's.
        let mixed = try next.intermediate("columba://relay/r").pair("columba://drone/d-3") + authority.pem
        #expect(try both.answer(to: mixed, trusting: authority.pem, in: folder) == nil)
    }

    @Test("TLS 1.2 is refused, TLS 1.3 is spoken")
    func versions() throws {
        let pair = try folder.file("client.pem", try authority.pair("columba://drone/d-1"))
        let trust = try folder.file("ca.pem", authority.pem)
        let common = ["-s", "--cacert", trust, "--cert", pair, server.url]
        guard let newer = try Command.run("curl", ["--tlsv1.3"] + common, in: folder),
            let older = try Command.run("curl", ["--tls-max", "1.2"] + common, in: folder)
        else {
            Issue.record("skipped: curl is not installed")
            return
        }
        #expect(newer.text == "columba://drone/d-1")
        #expect(!older.isSuccess && older.text.isEmpty)
    }
}

@Suite("what does not speak TLS")
struct HandshakeFaultTests {
    @Test("plain HTTP to the TLS port is closed without an answer, and the server goes on")
    func plaintext() throws {
        let (folder, authority) = (try Folder(), try TestAuthority())
        let server = try TestServer(try authority.serverCredentials())
        for text in ["GET / HTTP/1.1\r\nHost: x\r\n\r\n", "\u{0}\u{1}\u{2}garbage", "\u{16}\u{3}\u{1}\u{7F}\u{7F}"] {
            let response = try plain(server.server.port, text, withinSeconds: 8)
            #expect(!response.contains("HTTP/1.1"), "\(response)")
        }
        #expect(
            try server.answer(to: authority.pair("columba://drone/d"), trusting: authority.pem, in: folder)
                == "columba://drone/d")
    }

    @Test("a client that does not finish its handshake is closed when the time is up")
    func silence() throws {
        let server = try TestServer(try TestAuthority().serverCredentials(), handshakeTimeoutSeconds: 1)
        let begun = SystemTime().monotonicNanoseconds()
        _ = try plain(server.server.port, "", withinSeconds: 10)
        let seconds = Double(SystemTime().monotonicNanoseconds() - begun) / 1e9
        #expect(seconds < 9, "closed after \(seconds) s")
        #expect(eventually { server.reasons == ["handshake_failed"] }, "\(server.reasons)")
    }

    /// What the server sent until it closed the connection.
    private func plain(_ port: UInt16, _ text: String, withinSeconds: Double) throws -> String {
        let descriptor = Loopback.tcpSocket()
        defer { close(descriptor) }
        try #require(Loopback.connect(descriptor, to: port))
        let bytes = Array(text.utf8)
        if !bytes.isEmpty { try #require(send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count) }
        var received: [UInt8] = []
        let isClosed = eventually(within: withinSeconds) {
            var buffer = [UInt8](repeating: 0, count: 4_096)
            let count = recv(descriptor, &buffer, buffer.count, Int32(MSG_DONTWAIT))
            if count > 0 { received += buffer[..<count] }
            return count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR)
        }
        #expect(isClosed, "the server kept the connection")
        return String(decoding: received, as: UTF8.self)
    }
}
