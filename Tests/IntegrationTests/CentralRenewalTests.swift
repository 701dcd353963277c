// Central's own certificate does not run out (F106): it is renewed from the authority beside it, without a restart.

import Certificates
import Foundation
import HTTPClient
import System
import TestSupport
import Testing

@Suite("central's own certificate", .serialized)
struct CentralRenewalTests {
    /// Replaces central's certificate by one of the same authority with other dates, in hours from now.
    private func replace(_ station: SecureStation, from: Int64, until: Int64) throws -> String {
        let text = try String(contentsOfFile: "\(station.folder)/ca/ca-key.pem", encoding: .utf8)
        let root = try #require(try Certificate.parse(text).first)
        let issuer = try CertificateIssuer(certificate: root, key: try PrivateKey(in: text))
        let identity = try #require(PeerIdentity(uri: "columba://central/central"))
        let key = try PrivateKey.generate()
        let now = SystemTime().wallMicroseconds() / 1_000_000
        // The root begins an hour ago; what it signs may not begin earlier.
        let certificate = try issuer.issue(
            try CertificateRequest.make(identity: identity, key: key),
            CertificateProfile(
                .server(names: ["127.0.0.1", "localhost"]), identity: identity, notBefore: now + from * 60,
                notAfter: now + until * 60))
        try FileSystem.writeAtomically(
            "\(station.folder)/ca/central.pem", Array((key.pem + certificate.pem).utf8), mode: 0o600)
        return certificate.serial
    }

    private func serial(_ station: SecureStation) throws -> String? {
        try Certificate.parse(String(contentsOfFile: "\(station.folder)/ca/central.pem", encoding: .utf8)).first?.serial
    }

    @Test("past half of its life it is renewed, and relays go on with the new one, without a restart")
    func renewed() throws {
        let station = try SecureStation()
        defer { station.end() }
        let old = try replace(station, from: -50, until: 40)
        try station.start()
        #expect(eventually(within: 20) { (try? serial(station)) != old }, "\(station.central.log)")
        #expect(eventually(within: 20) { station.central.log.contains("tls_reloaded") }, "\(station.central.log)")
        #expect(try #require(try station.metric(station.central, "columba_central_certificate_life_used_ratio")) < 0.1)
        try #require(try station.enroll("columba://drone/d-1", "d-1").status.isSuccess)
        #expect(try station.post(Requests.report(seq: 1), as: "d-1").status == 202)
        #expect(eventually(within: 20) { (try? station.archivedReports()) == 1 }, "\(station.relay.log.suffix(2_000))")
    }

    @Test("before half of its life it stays; without the authority's key there is a warning with what to do")
    func notRenewed() throws {
        let station = try SecureStation()
        defer { station.end() }
        let young = try replace(station, from: -10, until: 200)
        try station.central.start()
        #expect(
            eventually(within: 10) { (try? station.metric(station.central, "columba_central_deny_list_entries")) == 0 })
        #expect(try serial(station) == young && !station.central.log.contains("certificate_not_renewed"))
        try station.central.kill()
        let old = try replace(station, from: -50, until: 40)
        try FileSystem.rename("\(station.folder)/ca/ca-key.pem", to: "\(station.folder)/elsewhere.pem")
        try station.central.start()
        #expect(eventually(within: 10) { station.central.log.contains("certificate_not_renewed") })
        #expect(station.central.log.contains("certificate_ages"))
        #expect(try serial(station) == old)
    }
}
