// Records that central sets aside: listed, shown on demand, tried again, dropped. With real processes; the batches are
// sent as a relay would.

import Compression
import Crypto
import Foundation
import HTTPClient
import SyncProtocol
import System
import TestSupport
import Testing

/// Batches straight to central.
struct BatchSender {
    /// Of a central's relay port.
    let address: String
    var relayID = "south-1"
    var epoch = String(repeating: "5", count: 32)

    init(station: Station) { address = station.central.address }
    init(address: String) { self.address = address }

    static func line(_ n: Int64, _ body: String) -> String {
        #"{"n":\#(n),"received_at":"2026-11-20T05:00:00.\#(100 + n)Z","kind":"report","body":\#(body)}"# + "\n"
    }

    static func report(_ seq: Int64, extra: String = "") -> String {
        #"{"drone_id":"d-7","boot":"b","seq":\#(seq),"location":{"lat":1,"lon":2}\#(extra)}"#
    }

    func put(_ lines: [(n: Int64, body: String)]) throws -> HTTPClientResponse {
        let text = lines.map { Self.line($0.n, $0.body) }.joined()
        let bytes = try Zstd.compress(Array(text.utf8), level: 1)
        let name = BatchName(relayID: relayID, epoch: epoch, first: lines.first?.n ?? 1, last: lines.last?.n ?? 1)
        let digest = SHA256.hash(bytes).withBytes { ContentDigest.format($0) }
        return try HTTPClient().perform(
            HTTPClientRequest(
                method: "PUT", url: address + name.path,
                headers: [
                    ("Content-Type", "application/x-ndjson"), ("Content-Encoding", "zstd"), ("Content-Digest", digest),
                ], body: bytes))
    }

    /// Whether central has archived these numbers.
    func isArchived(_ wanted: IntervalSet) -> Bool {
        eventually(within: 30, everyMilliseconds: 50) {
            let path = BatchName.acknowledgementsPath(relayID: relayID, epoch: epoch)
            guard let response = try? HTTPClient().perform(HTTPClientRequest(url: address + path)),
                let answer = try? JSONDecoder().decode(Acknowledgement.self, from: Data(response.body))
            else { return false }
            return answer.archived == wanted
        }
    }
}

@Suite("the quarantine", .serialized)
struct QuarantineTests {
    private func quarantine(_ station: Station, _ arguments: [String]) throws -> (
        ok: Bool, output: String, errors: String
    ) {
        let result = try station.columba(
            ["quarantine"] + arguments + ["--central", station.central.address, "--by", "tester", "--note", "a test"])
        return (result.status.isSuccess, result.output, result.errors)
    }

    private func records(_ station: Station, _ state: String) throws -> [[String: Any]] {
        let answer = try station.json(station.central, "/v1/quarantine?state=\(state)")
        return try #require(answer["records"] as? [[String: Any]])
    }

    private func isOpen(_ station: Station, _ count: Int) -> Bool {
        eventually(within: 20, everyMilliseconds: 50) {
            let status = try? station.json(station.central, "/v1/status")
            return (status?["incidents"] as? [String: Int])?["quarantined"] == (count > 0 ? 1 : 0)
                && status?["quarantined"] as? Int == count
        }
    }

    @Test("a record set aside blocks nothing, is listed without its content, and goes when it is dropped")
    func drop() throws {
        let station = try Station()
        defer { station.end() }
        try station.central.start()
        let sender = BatchSender(station: station)
        let poison = #"{"drone_id":"d-7","citizens":[{"name":"Ada Secret"}]}"#
        let answer = try sender.put([(1, BatchSender.report(1)), (2, poison), (3, BatchSender.report(3))])
        #expect(answer.status == 200)
        #expect(sender.isArchived(IntervalSet(1...3)))
        #expect(try station.count("reports") == 2)
        #expect(isOpen(station, 1))
        let relays = try station.json(station.central, "/v1/relays")["relays"] as? [[String: Any]]
        #expect(relays?.first?["archived"] as? Int == 2 && relays?.first?["rejected"] as? Int == 1)
        let listed = try quarantine(station, ["list"])
        #expect(listed.ok && listed.output.contains("south-1") && !listed.output.contains("Secret"))
        let id = try #require(try records(station, "waiting").first?["id"] as? String)
        #expect(try !quarantine(station, ["show", id]).output.contains("Secret"))
        #expect(try quarantine(station, ["show", id, "--raw"]).output.contains("Ada Secret"))
        // Its name is in the vault and nowhere else (I9).
        let files = try Files.containing("Ada Secret", below: station.folder).filter { !$0.contains("stream/") }
        #expect(files.allSatisfy { $0.contains("/vault/") || $0.hasSuffix(".out") }, "\(files)")
        let retried = try quarantine(station, ["retry", id])
        #expect(!retried.ok && retried.errors.contains("missing_field"), "\(retried.errors)")
        #expect(try quarantine(station, ["drop", id]).ok)
        #expect(isOpen(station, 0))
        let dropped = try #require(try records(station, "dropped").first)
        #expect(dropped["decided_by"] as? String == "tester" && dropped["note"] as? String == "a test")
        #expect(try !quarantine(station, ["show", id, "--raw"]).output.contains("Secret"))
        #expect(try !quarantine(station, ["drop", id]).ok, "decided once")
        // The relay's resend of it changes nothing.
        _ = try sender.put([(2, poison)])
        #expect(try records(station, "all").count == 1)
    }

    @Test("what an older central rejected and a newer one can read is archived by a retry, once, under its number")
    func retry() throws {
        let station = try Station()
        defer { station.end() }
        try station.central.start()
        let sender = BatchSender(station: station)
        _ = try sender.put([(1, BatchSender.report(1)), (2, "[]"), (3, BatchSender.report(3))])
        #expect(sender.isArchived(IntervalSet(1...3)))
        #expect(
            try quarantine(station, ["drop", try #require(try records(station, "waiting").first?["id"] as? String)]).ok)
        try station.central.kill()
        // As the archiver leaves what it cannot store, for a start to find.
        let line = BatchSender.line(2, BatchSender.report(2)).dropLast()
        let reject =
            #"{"relay_id":"south-1","epoch":"\#(sender.epoch)","n":2,"position":1,"code":"not_storable","#
            + #""line_base64":"\#(Data(line.utf8).base64EncodedString())"}"# + "\n"
        let folder = "\(station.folder)/central/vault/_columba/quarantine"
        try FileSystem.makeDirectories(folder)
        try reject.write(toFile: "\(folder)/1-1.ndjson", atomically: true, encoding: .utf8)
        try station.central.start()
        // The numbers stay, for a start without logs; the bytes do not.
        let left = try FileManager.default.contentsOfDirectory(atPath: folder)
        #expect(left == ["1-1.numbers.ndjson"])
        #expect(try !String(contentsOfFile: "\(folder)/\(left[0])", encoding: .utf8).contains("line_base64"))
        let id = try #require(try records(station, "waiting").first?["id"] as? String)
        let result = try quarantine(station, ["retry", id])
        #expect(result.ok, "\(result.errors)")
        #expect(
            eventually(within: 20, everyMilliseconds: 50) {
                (try? self.records(station, "archived").first?["id"] as? String) == id
            })
        let row = try #require(
            try station.rows("SELECT relay_id, epoch, relay_seq FROM reports WHERE drone_id = 'd-7' AND seq = 2").first)
        #expect(row["relay_seq"] as? Int == 2 && row["epoch"] as? String == sender.epoch)
        #expect(try station.count("reports") == 3)
        #expect(try !quarantine(station, ["retry", id]).ok, "it is archived")
        // It survives a restart as what it is, and nothing is accounted for twice.
        try station.central.kill()
        try station.central.start()
        #expect(try records(station, "archived").count == 1)
        let relays = try station.json(station.central, "/v1/relays")["relays"] as? [[String: Any]]
        let counts = ["received", "archived", "rejected"].map { relays?.first?[$0] as? Int }
        #expect(counts == [3, 3, 0])
    }
}
