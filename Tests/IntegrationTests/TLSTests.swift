// Identity from end to end: real programs, certificates got as an administrator gets them (F82, F106, F107, F109–F113).

import Certificates
import Foundation
import HTTPClient
import Synchronization
import System
import Testing
import TestSupport

@Suite("identity, from enrolment to revocation", .serialized)
struct TLSTests {
    @Test("drones report over TLS, each under its own name only, and everything arrives in the archive")
    func roles() throws {
        let station = try SecureStation()
        defer { station.end() }
        try station.start()
        for identity in ["drone/d-1", "drone/d-2", "operator/ada", "analyst/bo", "relay/south"] {
            let directory = identity.replacingOccurrences(of: "/", with: "-")
            #expect(try station.enroll("columba://\(identity)", directory).status.isSuccess)
        }
        let stored = try station.post(Requests.report(seq: 1), as: "drone-d-1")
        #expect(stored.status == 202)
        let other = try station.post(Requests.report(drone: "d-2", seq: 1), as: "drone-d-1")
        #expect(other.status == 403 && SecureStation.code(other) == "identity_mismatch")
        let lines = [
            Requests.report(seq: 2), Requests.report(drone: "d-2", seq: 2), Requests.report(seq: 3),
        ].joined(separator: "\n")
        let mixed = try station.post(lines, as: "drone-d-1", type: "application/x-ndjson")
        #expect(mixed.status == 207 && Requests.statuses(mixed) == ["stored", "rejected", "stored"])

        #expect(try station.ask("GET", station.relayPort, "/v1/status", as: "drone-d-1").status == 200)

        // Of another role: told so.
        for directory in ["relay-id", "relay-south", "operator-ada", "analyst-bo"] {
            let answer = try station.post(Requests.report(seq: 9), as: directory)
            #expect(answer.status == 403 && SecureStation.code(answer) == "wrong_role", "\(directory)")
        }
        let epoch = String(repeating: "a", count: 32)
        func put(_ relay: String, as directory: String) throws -> HTTPClientResponse {
            try station.ask(
                "PUT", station.centralPort, "/v1/relays/\(relay)/epochs/\(epoch)/batches/1-1", as: directory, body: "x",
                type: "application/x-ndjson")
        }
        #expect(SecureStation.code(try put("north-3", as: "relay-south")) == "identity_mismatch")
        #expect(SecureStation.code(try put("north%2d3", as: "relay-id")) == "identity_mismatch")
        #expect(SecureStation.code(try put("north-3", as: "drone-d-1")) == "wrong_role")
        #expect(SecureStation.code(try put("north-3", as: "analyst-bo")) == "wrong_role")
        // It may speak for itself: what is wrong then is the batch.
        #expect(try put("south", as: "relay-south").status == 400)
        for (directory, expected) in [("relay-id", 200), ("drone-d-1", 403), ("analyst-bo", 403)] {
            #expect(try station.ask("GET", station.centralPort, "/v1/deny-list", as: directory).status == expected)
        }
        #expect(eventually(within: 20) { (try? station.archivedReports()) == 3 }, "\(station.relay.log.suffix(2_000))")
        #expect(station.relay.log.contains("reason=identity_mismatch peer=columba://drone/d-1"))
        #expect(station.central.log.contains("reason=identity_mismatch peer=columba://relay/south"))
    }

    @Test("a token works once, for its identity only, and reuse is an incident in the log")
    func tokens() throws {
        let station = try SecureStation()
        defer { station.end() }
        try station.central.start()
        let token = try station.token("columba://drone/d-1")
        let stolen = try station.enroll("columba://drone/d-2", "thief", token: token)
        #expect(stolen.status == .exited(1) && stolen.errors.contains("token_refused"))
        #expect(try station.enroll("columba://drone/d-1", "d-1", token: token).status.isSuccess)
        let again = try station.enroll("columba://drone/d-1", "again", token: token)
        #expect(again.status == .exited(1) && !FileSystem.exists("\(station.folder)/again/identity.pem"))
        #expect(eventually(within: 5) { station.central.log.contains("enrolment_token_reused") })
        #expect(try station.enroll("columba://drone/d-3", "d-3", token: "guess").status == .exited(1))
        // Stored hashed, and a token does not outlive its time: moved an hour into the past.
        #expect(try Files.containing(token, below: "\(station.folder)/ca").isEmpty)
        let late = try station.token("columba://drone/d-4")
        for name in try FileSystem.list("\(station.folder)/ca/tokens") {
            let path = "\(station.folder)/ca/tokens/\(name)"
            var record = try #require(
                try JSONSerialization.jsonObject(with: Data(try FileSystem.read(path))) as? [String: Any])
            record["expires_at"] = 1
            try FileSystem.writeAtomically(path, Array(try JSONSerialization.data(withJSONObject: record)))
        }
        #expect(try station.enroll("columba://drone/d-4", "d-4", token: late).status == .exited(1))
        // Nobody becomes central by a token.
        let impossible = try Programs.run(
            "columba-central", ["ca", "token", "--dir", "\(station.folder)/ca", "--for", "columba://central/central"],
            folder: station.folder)
        #expect(impossible.status == .exited(2))
    }

    @Test("of twenty who come with the same token at once, one is enrolled")
    func tokenRace() throws {
        let station = try SecureStation()
        defer { station.end() }
        try station.central.start()
        let token = try station.token("columba://drone/d-1")
        let successes = Mutex(0)
        let (folder, port) = (station.folder, station.enrolPort)
        guard let identity = PeerIdentity(uri: "columba://drone/d-1") else { return }
        let request = try CertificateRequest.make(identity: identity, key: try PrivateKey.generate())
        let body = try JSONSerialization.data(withJSONObject: ["token": token, "csr": request.pem])
        let threads = (0..<20).map { _ in
            WorkerThread(name: "client") {
                let response = try? HTTPClient().perform(
                    HTTPClientRequest(
                        method: "POST", url: "https://127.0.0.1:\(port)/v1/enroll", body: Array(body),
                        tls: HTTPClientTLS(authoritiesFile: "\(folder)/ca/ca.pem")))
                if response?.status == 200 { successes.withLock { $0 += 1 } }
            }
        }
        for thread in threads { thread.join() }
        #expect(successes.withLock { $0 } == 1)
    }

    @Test("a drone that is revoked at central is out at the relay, on its open connection, within seconds")
    func revoke() throws {
        let station = try SecureStation()
        defer { station.end() }
        try station.start()
        try #require(try station.enroll("columba://drone/d-1", "d-1").status.isSuccess)
        try #require(try station.enroll("columba://drone/d-2", "d-2").status.isSuccess)
        let (client, other) = (HTTPClient(), HTTPClient())
        var seq = 0
        func send(as drone: String, _ client: HTTPClient) -> Int? {
            seq += 1
            return (try? station.post(Requests.report(drone: drone, seq: seq), as: drone, client: client))?.status
        }
        #expect(send(as: "d-1", client) == 202)
        #expect(send(as: "d-2", other) == 202)
        try station.authority(["revoke", "columba://drone/d-1"])
        #expect(eventually(within: 30, everyMilliseconds: 50) { send(as: "d-1", client) != 202 })
        #expect(send(as: "d-1", HTTPClient()) == nil, "a new connection is refused as well")
        #expect(send(as: "d-2", other) == 202, "others are not disturbed")
        #expect(try station.authority(["list"]).contains("revoked  certificate  columba://drone/d-1"))
        // Without central and after a restart the relay still knows.
        try station.central.kill()
        try station.relay.kill()
        try station.relay.start()
        #expect(send(as: "d-1", HTTPClient()) == nil)
        #expect(send(as: "d-2", HTTPClient()) == 202)
    }

    @Test("with central out of reach the relay renews its drones, and any other relay would take them")
    func renewalWithoutCentral() throws {
        let station = try SecureStation()
        defer { station.end() }
        try station.start()
        try #require(try station.enroll("columba://drone/d-1", "d-1").status.isSuccess)
        let first = try FileSystem.read("\(station.folder)/d-1/identity.pem")
        try station.central.kill()
        let renewal = try station.renew("d-1", at: station.relayPort)
        #expect(renewal.status.isSuccess, "\(renewal.errors)")
        let second = try FileSystem.read("\(station.folder)/d-1/identity.pem")
        #expect(first != second)
        // The chain leads to the same root: own certificate, the relay's intermediate.
        #expect(try Certificate.parse(String(decoding: second, as: UTF8.self)).count == 2)
        #expect(try station.post(Requests.report(seq: 1), as: "d-1").status == 202)
        // And once more with the certificate that the relay made.
        #expect(try station.renew("d-1", at: station.relayPort).status.isSuccess)
        #expect(try station.post(Requests.report(seq: 2), as: "d-1").status == 202)
        // Not for others: neither for another drone, nor for the relay itself.
        guard let identity = PeerIdentity(uri: "columba://drone/d-2") else { return }
        let csr = try CertificateRequest.make(identity: identity, key: try PrivateKey.generate()).pem
        let body = String(decoding: try JSONSerialization.data(withJSONObject: ["csr": csr]), as: UTF8.self)
        let other = try station.ask("POST", station.relayPort, "/v1/renew", as: "d-1", body: body)
        #expect(other.status == 403 && SecureStation.code(other) == "identity_mismatch")
        #expect(try station.renew("relay-id", at: station.relayPort).status == .exited(1))
        // Central takes back over, with everything that came meanwhile.
        try station.central.start()
        #expect(eventually(within: 30) { (try? station.archivedReports()) == 2 })
    }

    @Test("a relay renews itself at central, while it runs, once half of its certificate's life is over")
    func relayRenewal() throws {
        let station = try SecureStation()
        defer { station.end() }
        try station.start()
        try #require(try station.enroll("columba://drone/d-1", "d-1").status.isSuccess)
        // The relay gets a certificate that is nearly over, as if months had passed.
        let file = "\(station.folder)/relay-id/identity.pem"
        let root = String(decoding: try FileSystem.read("\(station.folder)/ca/ca-key.pem"), as: UTF8.self)
        let issuer = try CertificateIssuer(
            certificate: try #require(try Certificate.parse(root).first), key: try PrivateKey(in: root))
        let key = try PrivateKey.generate()
        let identity = try #require(PeerIdentity(uri: "columba://relay/north-3"))
        let now = SystemTime().wallMicroseconds() / 1_000_000
        let old = try issuer.issue(
            try CertificateRequest.make(identity: identity, key: key),
            CertificateProfile(
                .server(names: ["127.0.0.1"]), identity: identity, notBefore: now - 95_000, notAfter: now + 5_000))
        try FileSystem.writeAtomically(file, Array((key.pem + old.pem).utf8), mode: 0o600)
        func expires() -> Double? {
            try? station.metric(station.relay, "columba_relay_certificate_expires_timestamp_seconds")
        }
        #expect(eventually(within: 20) { station.relay.log.contains("certificate_ages") })
        #expect(eventually(within: 20) { station.relay.log.contains("certificate_renewed") })
        #expect(eventually(within: 20) { (expires() ?? 0) > Double(now + 86_400) })
        #expect(try station.post(Requests.report(seq: 1), as: "d-1").status == 202)
        #expect(eventually(within: 20) { (try? station.archivedReports()) == 1 })
    }

    @Test("a new authority takes over while drones report: first both are trusted, then one, and every report arrives")
    func rotation() throws {
        let station = try SecureStation()
        defer { station.end() }
        try station.start()
        try #require(try station.enroll("columba://drone/d-1", "d-1").status.isSuccess)
        let old = HTTPClient()
        var seq = 0
        func send(as drone: String, _ client: HTTPClient = HTTPClient()) -> Int? {
            seq += 1
            let report = Requests.report(drone: drone, seq: seq)
            return (try? station.post(report, as: drone, client: client))?.status
        }
        #expect(send(as: "d-1", old) == 202)
        try station.authority(["rotate", "--name", "Second authority"])
        #expect(eventually(within: 20) { station.relay.log.contains("authorities_changed authorities=2") })
        // The client trusts by the file as it is now; the relay's certificate is still the former authority's.
        try #require(try station.enroll("columba://drone/d-2", "d-2").status.isSuccess)
        #expect(eventually(within: 20) { send(as: "d-2") == 202 })
        #expect(send(as: "d-1") == 202 && send(as: "d-1", old) == 202)
        let early = try Programs.run(
            "columba-central", ["ca", "rotate", "--dir", "\(station.folder)/ca", "--finish"], folder: station.folder)
        #expect(early.status == .exited(1), "\(early.output)")
        #expect(early.errors.contains("columba://relay/north-3"), "\(early.errors)")

        // Everyone gets certificates of the new one, without a restart. Central and the relay first: a drone that knows
        // only the former authority reports all the same, and can renew.
        try station.authority(["server", "--names", "127.0.0.1,localhost"])
        #expect(try station.renew("relay-id", at: station.centralPort).status.isSuccess)
        #expect(
            eventually(within: 20) {
                station.presentedChain(at: station.relayPort)?.contains("Second authority") == true
            }, "the relay shows its new certificate")
        #expect(send(as: "d-1") == 202)
        let renewal = try station.renew("d-1", at: station.centralPort)
        #expect(renewal.status.isSuccess, "\(renewal.errors)")
        try station.authority(["rotate", "--finish"])
        #expect(eventually(within: 20) { station.relay.log.contains("authorities_changed authorities=1") })
        #expect(eventually(within: 20) { send(as: "d-1") == 202 && send(as: "d-2") == 202 })
        #expect(
            eventually(within: 20) { (try? station.archivedReports()) == seq }, "\(station.relay.log.suffix(3_000))")
    }

    @Test("a fleet flies over TLS while relay and central are killed, and every acknowledged report is archived once")
    func killsOverTLS() throws {
        let station = try SecureStation()
        defer { station.end() }
        try station.start()
        let drones = 6
        let reports = 1_500
        // The simulator's own names.
        for drone in 0..<drones {
            let name = String(format: "pw-%06d", drone)
            try #require(try station.enroll("columba://drone/\(name)", "fleet/\(name)").status.isSuccess)
        }
        let ledgerPath = "\(station.folder)/ledger"
        var fly = ChildProcess.Configuration(
            executable: try Programs.path("columba"),
            arguments: [
                "fly", "--relay", "https://127.0.0.1:\(station.relayPort)", "--certs", "\(station.folder)/fleet",
                "--ca", "\(station.folder)/ca/ca.pem", "--drones", "\(drones)", "--reports", "\(reports)", "--rate",
                "300", "--ledger", ledgerPath,
            ])
        fly.standardError = .file("\(station.folder)/fly.log")
        let client = try ChildProcess(fly)
        func flyLog() -> String { (try? String(contentsOfFile: "\(station.folder)/fly.log", encoding: .utf8)) ?? "" }
        for victim in [station.relay, station.central, station.relay] {
            let before = Ledger.lineCount(ledgerPath)
            #expect(
                eventually(within: 60) { Ledger.lineCount(ledgerPath) > before + 40 || !client.isRunning },
                "no report was acknowledged: \(flyLog())")
            try victim.kill()
            try victim.start()
        }
        let status = try #require(try client.wait(timeoutSeconds: 120))
        #expect(status.isSuccess)
        #expect(eventually(within: 60) { (try? station.archivedReports()) == reports })
        #expect(try Ledger(path: ledgerPath).digests.count == reports)
    }
}
