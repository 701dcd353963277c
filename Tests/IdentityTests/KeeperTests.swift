// The keeper of a program's TLS files, the deny-list, and what a power cut leaves (F106, F107, F112).

import Certificates
import Glibc
import HTTPServer
import Identity
import Log
import System
import TLS
import Testing

@Suite("the deny-list")
struct DenyListTests {
    @Test("identities and serial numbers are read, in any spelling of a serial number; comments are passed over")
    func parse() throws {
        let list = try DenyList(
            text: "# theft of 3 May\ncolumba://drone/d-1\n  columba://relay/north-3   # broken into\n\n00:0A:FF\nabc\n")
        #expect(list.identities == ["columba://drone/d-1", "columba://relay/north-3"])
        #expect(list.serials == ["0aff", "0abc"])
        #expect(try DenyList(text: list.text) == list)
    }

    @Test("a list with a line that says nothing is refused as a whole", arguments: ["columba://drone/*", "d-1", "xyz"])
    func bad(_ line: String) {
        #expect(throws: CertificateError.self) { try DenyList(text: "columba://drone/d-1\n\(line)\n") }
    }
}

@Suite("the policy")
struct PolicyTests {
    @Test("an intermediate must be a relay's and may sign drones only")
    func issuers() {
        func objection(_ identity: String, by issuer: String?) -> PeerPolicy.Refusal? {
            PeerPolicy.objection(
                PeerCertificate(identity: identity, serial: "01", issuerIdentity: issuer, issuerSerial: "02"),
                DenyList())
        }
        #expect(objection("columba://drone/d", by: "columba://relay/r") == nil)
        #expect(objection("columba://drone/d", by: nil) == .wrongIssuer)
        #expect(objection("columba://drone/d", by: "columba://drone/e") == .wrongIssuer)
        #expect(objection("columba://drone/d", by: "columba://operator/o") == .wrongIssuer)
        #expect(objection("columba://relay/r", by: "columba://relay/r") == .wrongIssuer)
        #expect(objection("spiffe://drone/d", by: nil) == .noIdentity)
    }
}

@Suite("identity files")
struct IdentityFilesTests {
    @Test("key and certificate are one file of mode 0600; a renewal replaces both or neither")
    func pair() throws {
        let (folder, authority) = (try Folder(), try TestAuthority())
        let files = IdentityFiles(directory: "\(folder.path)/id")
        func answer(_ certificate: Certificate) -> EnrolmentAnswer {
            EnrolmentAnswer(
                identity: "columba://drone/d", certificate: certificate.pem, authorities: authority.pem,
                issuing_certificate: nil, expires_at: "")
        }
        let (key, certificate) = try authority.issue("columba://drone/d", .client)
        try files.write(answer(certificate), key: key, issuingKey: nil)
        var status = stat()
        #expect(stat(files.identity, &status) == 0 && status.st_mode & 0o777 == 0o600)
        for name in ["cert.pem", "key.pem"] {
            #expect(try FileSystem.read("\(folder.path)/id/\(name)") == FileSystem.read(files.identity))
        }
        // An answer for another key is refused, and the old pair stays.
        let before = try FileSystem.read(files.identity)
        let other = try authority.issue("columba://drone/d", .client)
        #expect(throws: CertificateError.self) { try files.write(answer(other.1), key: key, issuingKey: nil) }
        #expect(try FileSystem.read(files.identity) == before)
        try files.write(answer(other.1), key: other.0, issuingKey: nil)
        #expect(try FileSystem.read(files.identity) != before)
        #expect(try FileSystem.list("\(folder.path)/id") == ["ca.pem", "cert.pem", "identity.pem", "key.pem"])
    }
}

@Suite("the keeper of TLS files")
struct KeeperTests {
    private let folder: Folder
    private let authority: TestAuthority
    private let time: ManualTime
    private let lines = LogCapture()

    init() throws {
        folder = try Folder()
        authority = try TestAuthority()
        time = ManualTime(wallMicroseconds: SystemTime().wallMicroseconds())
    }

    private func configuration(pair: String) throws -> TLSConfiguration {
        let file = try folder.file("identity.pem", pair)
        var configuration = TLSConfiguration(
            certificatePath: file, keyPath: file, clientAuthoritiesPath: try folder.file("ca.pem", authority.pem))
        configuration.denyListPath = try folder.file("deny-list.txt", "")
        return configuration
    }

    private func keeper(_ configuration: TLSConfiguration) throws -> TLSKeeper {
        try TLSKeeper(configuration, time: time, log: Log(component: "test", sink: lines.sink))
    }

    @Test("a program does not start with a key that is another certificate's, or without its files")
    func startsWhole() throws {
        let (key, _) = try authority.issue("columba://relay/r", .server(names: []))
        let (_, certificate) = try authority.issue("columba://relay/r", .server(names: []))
        #expect(throws: CertificateError.self) { try keeper(configuration(pair: key.pem + certificate.pem)) }
        var absent = try configuration(pair: try authority.pair("columba://relay/r", .server(names: [])))
        absent.denyListPath = "\(folder.path)/nowhere"
        #expect(throws: SystemError.self) { try keeper(absent) }
        absent.denyListPath = nil
        absent.clientAuthoritiesPath = try folder.file("drone.pem", authority.pair("columba://drone/d"))
        #expect(throws: CertificateError.self) { try keeper(absent) }
    }

    @Test("files half written are left alone, said once, and taken when they are whole")
    func halfWritten() throws {
        let first = try authority.pair("columba://relay/r", .server(names: ["127.0.0.1"]))
        let configuration = try configuration(pair: first)
        let keeper = try keeper(configuration)
        let server = try HTTPServer(HTTPServerConfiguration(tls: keeper.serverTLS), handler: WhoAmI())
        keeper.keep(server)
        let serial = keeper.certificate.serial
        let second = try authority.pair("columba://relay/r", .server(names: ["127.0.0.1"]))
        _ = try folder.file("identity.pem", String(second.prefix(second.count / 2)))
        keeper.look()
        keeper.look()
        #expect(keeper.certificate.serial == serial)
        #expect(lines.count("tls_reload_failed") == 1)
        _ = try folder.file("identity.pem", second)
        keeper.look()
        #expect(keeper.certificate.serial != serial)
        #expect(lines.count("tls_reloaded") == 1)
        server.stop()
    }

    @Test("a changed deny-list is in force after the next look; an unreadable one leaves the last")
    func denyList() throws {
        let configuration = try configuration(
            pair: try authority.pair("columba://relay/r", .server(names: ["127.0.0.1"])))
        let keeper = try keeper(configuration)
        let drone = PeerCertificate(identity: "columba://drone/d", serial: "0a")
        #expect(keeper.serverTLS.admit(drone))
        _ = try folder.file("deny-list.txt", "columba://drone/d\n")
        keeper.look()
        #expect(!keeper.serverTLS.admit(drone))
        _ = try folder.file("deny-list.txt", "half a li")
        keeper.look()
        #expect(!keeper.serverTLS.admit(drone))
        _ = try folder.file("deny-list.txt", "")
        keeper.look()
        #expect(keeper.serverTLS.admit(drone))
    }

    @Test("a fetched list joins the local one and is there after a restart without central")
    func fetchedList() throws {
        let configuration = try configuration(
            pair: try authority.pair("columba://relay/r", .server(names: ["127.0.0.1"])))
        let path = "\(folder.path)/fetched.txt"
        let keeper = try TLSKeeper(
            configuration, fetchedListPath: path, time: time, log: Log(component: "test", sink: lines.sink))
        keeper.fetched("columba://drone/d\n")
        keeper.look()
        keeper.fetched("<html>a portal's page</html>")
        keeper.look()
        let restarted = try TLSKeeper(
            configuration, fetchedListPath: path, time: time, log: Log(component: "test", sink: lines.sink))
        for keeper in [keeper, restarted] {
            #expect(!keeper.serverTLS.admit(PeerCertificate(identity: "columba://drone/d", serial: "0a")))
        }
        #expect(lines.count("deny_list_unusable") == 1)
    }

    @Test("at 50, 75 and 90 % of its life the certificate is warned about, once each, and once more when it is over")
    func age() throws {
        let hour = TestAuthority.hour
        let pair = try authority.pair("columba://relay/r", .server(names: []), from: 0, until: 100 * hour)
        let keeper = try keeper(configuration(pair: pair))
        var warnings: [Int] = []
        for _ in 0..<21 {
            keeper.look()
            warnings.append(lines.count("certificate_ages") + lines.count("certificate_expired"))
            time.advance(seconds: Double(5 * hour))
        }
        #expect(warnings[9] == 0 && warnings[11] == 1 && warnings[14] == 1 && warnings[16] == 2 && warnings[19] == 3)
        #expect(warnings[20] == 4)
        let metrics = String(decoding: keeper.metrics(prefix: "columba_relay"), as: UTF8.self)
        #expect(metrics.contains("\ncolumba_relay_certificate_life_used_ratio 1.0"), "\(metrics)")
        // A new certificate begins anew.
        _ = try folder.file(
            "identity.pem", authority.pair("columba://relay/r", .server(names: []), from: 50 * hour, until: 500 * hour))
        keeper.look()
        #expect(lines.count("certificate_ages") == 3)
    }
}
