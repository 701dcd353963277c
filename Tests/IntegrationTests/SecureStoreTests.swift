// A whole central whose object store speaks TLS with a certificate of our own authority, as programs.

import Foundation
import HTTPClient
import System
import TestSupport
import Testing

@Suite("central on an object store with TLS", .enabled(if: WeedServer.isInstalled, "\(WeedServer.missing)"))
struct SecureStoreTests {
    private func station(_ endpoint: String, authority: String) throws -> Station {
        let place = "s3://\(WeedServer.bucket)/tls-\(UInt64.random(in: 0 ... .max))"
        let station = try Station(
            relays: 1,
            centralExtra: """
                lake: "\(place)/lake", vault: "\(place)/vault",
                s3: {endpoint: "\(endpoint)", access_key_file: "access", secret_key_file: "secret", ca: "ca.crt"}
                """)
        for (name, text) in [("access", WeedServer.accessKey), ("secret", WeedServer.secretKey)] {
            try text.write(toFile: "\(station.folder)/\(name)", atomically: true, encoding: .utf8)
        }
        try FileManager.default.copyItem(atPath: authority, toPath: "\(station.folder)/ca.crt")
        return station
    }

    private func command(_ name: String, _ station: Station) throws -> (status: System.ExitStatus, errors: String) {
        let result = try Programs.run(
            "columba-central", [name, "--config", "\(station.folder)/central.json5"], folder: station.folder)
        return (result.status, result.errors)
    }

    @Test("reports are archived and answered through it; with another authority or name neither check nor run goes on")
    func archive() throws {
        let (gateway, authority) = (try WeedGateway.shared(), try WeedGateway.sharedAuthority())
        let station = try self.station(gateway.endpoint, authority: authority.file)
        defer { station.end() }
        // The gateway may still be learning whom it knows.
        let isSuitable = eventually(within: 20, everyMilliseconds: 100) {
            (try? command("check", station))?.status.isSuccess == true
        }
        #expect(isSuitable)
        try station.start()
        for seq in 1...50 { #expect(try Requests.post(station.relay, Requests.report(seq: seq)).status == 202) }
        #expect(station.waitUntilArchived())
        #expect(try station.count("reports") == 50)

        let stranger = try TestAuthority()
        let wrong = [
            try self.station(gateway.endpoint, authority: stranger.file),
            try self.station("https://127.0.0.1:\(gateway.port)", authority: authority.file),
        ]
        defer { for station in wrong { station.end() } }
        for (station, name) in zip(wrong + wrong, ["check", "check", "run", "run"]) {
            let result = try command(name, station)
            #expect(result.status == .exited(1), "\(name): \(result)")
            #expect(result.errors.contains("untrusted") && result.errors.contains("s3.ca"), "\(result.errors)")
        }
        withExtendedLifetime(stranger) {}
    }
}
