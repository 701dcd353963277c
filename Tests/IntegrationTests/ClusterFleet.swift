// A fleet that all nodes of a running cluster know together: what one is told, another closes, and a third that lost
// its disk still knows.

import Foundation
import HTTPClient
import Models
import System
import Testing
import TestSupport

extension ClusterTests {
    /// - Parameters:
    ///   - intake: the node that a relay tells.
    ///   - closing: the node at which an operator closes the incident.
    ///   - emptied: the node that loses its disk.
    func expectOneFleet(_ station: ClusterStation, intake: Int, closing: Int, emptied: Int) throws {
        // Restored from an older state of itself: it knows fewer records than before.
        try report(station.intakeURLs[intake], through: 9)
        try report(station.intakeURLs[intake], through: 5)
        for node in station.centralURLs.indices {
            #expect(eventually(within: 15) { state(station, node) == "open" }, "node \(node)")
        }
        let decision = #"{"by":"ops","note":"restored by hand"}"#
        try post(station.centralURLs[closing] + "/v1/incidents/rollback.ghost/close", decision)
        try post(station.centralURLs[emptied] + "/v1/relays/ghost/retire", decision)
        for node in station.centralURLs.indices {
            #expect(eventually(within: 15) { state(station, node) == "closed" }, "node \(node)")
            #expect(eventually(within: 15) { isRetired(station, node) }, "node \(node)")
        }
        let central = station.centrals[emptied]
        central.kill()
        for file in try FileSystem.list("\(station.folder)/\(central.name)") where file.hasPrefix("fleet.db") {
            try FileSystem.remove("\(station.folder)/\(central.name)/\(file)")
        }
        try central.start()
        #expect(eventually(within: 15) { state(station, emptied) == "closed" && isRetired(station, emptied) })
    }

    private func report(_ url: String, through: Int) throws {
        let epoch = String(repeating: "a", count: 32)
        let sent = Timestamp(microseconds: SystemTime().wallMicroseconds()).rfc3339
        var request = HTTPClientRequest(method: "PUT", url: url + "/v1/relays/ghost/report")
        request.headers = [("Content-Type", "application/json")]
        request.body = Array(
            (#"{"relay_id":"ghost","epoch":"\#(epoch)","sent_at":"\#(sent)","counters":{},"#
                + #""epochs":[{"epoch":"\#(epoch)","through":\#(through),"waiting":0}]}"#).utf8)
        let answer = try HTTPClient().perform(request)
        #expect(answer.status == 200, "\(String(decoding: answer.body, as: UTF8.self))")
    }

    private func post(_ url: String, _ body: String) throws {
        var request = HTTPClientRequest(method: "POST", url: url)
        request.headers = [("Content-Type", "application/json")]
        request.body = Array(body.utf8)
        let answer = try HTTPClient().perform(request)
        #expect(answer.status == 200, "\(String(decoding: answer.body, as: UTF8.self))")
    }

    private func state(_ station: ClusterStation, _ node: Int) -> String? {
        let incidents = station.json(station.centralURLs[node] + "/v1/incidents")?["incidents"] as? [[String: Any]]
        return incidents?.first { $0["id"] as? String == "rollback.ghost" }?["state"] as? String
    }

    private func isRetired(_ station: ClusterStation, _ node: Int) -> Bool {
        let relays = station.json(station.centralURLs[node] + "/v1/completeness")?["relays"] as? [[String: Any]]
        return relays?.contains { $0["relay_id"] as? String == "ghost" && $0["state"] as? String == "retired" } ?? false
    }
}
