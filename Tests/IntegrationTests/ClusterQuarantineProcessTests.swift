// A cluster of real processes: what one node could not read is everybody's, also when that node and its disk are gone.

import ColumbaCommands
import Foundation
import HTTPClient
import SyncProtocol
import System
import Testing
import TestSupport

@Suite(
    "the quarantine of a cluster, with processes", .serialized,
    .enabled(if: ClusterStation.missing == nil, "nats-server or weed is missing: make deps"))
struct ClusterQuarantineProcessTests {
    private func records(_ station: ClusterStation, _ node: Int, _ state: String = "all") -> [[String: Any]] {
        station.json(station.centralURLs[node] + "/v1/quarantine?state=\(state)")?["records"] as? [[String: Any]] ?? []
    }

    /// What a central alone had set aside and could read by now lies where the first node finds it.
    private func plant(in station: ClusterStation) throws {
        let alone = try Station()
        defer { alone.end() }
        let line = BatchSender.line(4, BatchSender.report(4)).dropLast()
        let reject =
            #"{"relay_id":"old-1","epoch":"\#(String(repeating: "6", count: 32))","n":4,"position":1,"#
            + #""code":"not_storable","line_base64":"\#(Data(line.utf8).base64EncodedString())"}"# + "\n"
        let vault = "\(alone.folder)/central/vault/_columba"
        try FileSystem.makeDirectories("\(vault)/quarantine")
        try reject.write(toFile: "\(vault)/quarantine/1-1.ndjson", atomically: true, encoding: .utf8)
        try alone.central.start()
        try alone.central.kill()
        let folder = "\(station.folder)/\(station.centrals[0].name)/vault/_columba"
        try FileSystem.makeDirectories(folder)
        for name in try FileSystem.list(vault) where name.hasPrefix("quarantine.db") {
            try FileSystem.writeAtomically("\(folder)/\(name)", FileSystem.read("\(vault)/\(name)"))
        }
    }

    /// An incident for each relay; here every record is of another one.
    private func isOpen(_ station: ClusterStation, _ node: Int, _ count: Int) -> Bool {
        let status = station.json(station.centralURLs[node] + "/v1/status")
        return status?["quarantined"] as? Int == count
            && (status?["incidents"] as? [String: Int])?["quarantined"] == count
    }

    private func columba(_ station: ClusterStation, _ node: Int, _ arguments: [String]) throws -> (
        ok: Bool, output: String
    ) {
        let result = try Programs.run(
            "columba", ["quarantine"] + arguments + ["--central", station.centralURLs[node], "--by", "tester"],
            folder: station.folder)
        return (result.status.isSuccess, result.output + result.errors)
    }

    @Test("a record that a node set aside outlives the node and its disk, and any other node decides about it, once")
    func lostNode() throws {
        var options = ClusterPlan.Options()
        options.maxWaitSeconds = 0.5
        let station = try ClusterStation(options, relays: 0)
        defer { station.end() }
        try plant(in: station)
        try station.start()
        let poison = #"{"drone_id":"d-7","citizens":[{"name":"Ada Secret"}]}"#
        // The node that would write it into the vault as well: the one that owns partition 0.
        #expect(eventually(within: 20) { (station.owners(0).first ?? nil) != nil })
        let owner = try #require(station.owners(0).first ?? nil)
        let lost = try #require(station.centrals.firstIndex { $0.name == owner })
        let others = (0..<3).filter { $0 != lost }
        let sender = BatchSender(address: station.intakeURLs[lost])
        let answer = try sender.put([(1, BatchSender.report(1)), (2, poison), (3, BatchSender.report(3))])
        let told = try JSONDecoder().decode(Acknowledgement.self, from: Data(answer.body))
        #expect(told.received == IntervalSet(1...3) && told.rejected.map(\.n) == [2])
        station.centrals[lost].kill()
        try FileSystem.removeTree("\(station.folder)/\(owner)")

        let other = BatchSender(address: station.intakeURLs[others[0]])
        #expect(other.isArchived(IntervalSet(1...3)))
        for node in others {
            #expect(eventually(within: 20, everyMilliseconds: 50) { self.isOpen(station, node, 2) })
            #expect(Set(records(station, node).map { $0["n"] as? Int }) == [2, 4])
        }
        let ids = records(station, others[1]).reduce(into: [Int: String]()) {
            $0[$1["n"] as? Int ?? 0] = $1["id"] as? String
        }
        let (id, old) = (try #require(ids[2]), try #require(ids[4]))
        #expect(try columba(station, others[1], ["retry", old]).ok)
        #expect(
            eventually(within: 20, everyMilliseconds: 50) {
                self.records(station, others[0], "archived").map { $0["id"] as? String } == [old]
            }, "what is tried again at one node is archived, and another one knows")
        #expect(try station.count("SELECT count(*) AS n FROM reports WHERE relay_id = 'old-1' AND seq = 4") == 1)
        #expect(try columba(station, others[1], ["show", id, "--raw"]).output.contains("Secret"))
        #expect(try !columba(station, others[0], ["retry", id]).ok, "it is still no report")
        #expect(try columba(station, others[0], ["drop", id]).ok)
        let late = try columba(station, others[1], ["drop", id])
        #expect(!late.ok && late.output.contains("dropped"), "\(late.output)")
        #expect(
            eventually(within: 20, everyMilliseconds: 100) {
                (try? self.columba(station, others[1], ["show", id, "--raw"]).output.contains("Secret")) == false
            }, "its bytes stay in the vault")

        // It comes back with nothing and knows all of it.
        try station.centrals[lost].start()
        let states = records(station, lost).map { "\($0["n"] ?? 0) \($0["state"] ?? "") \($0["decided_by"] ?? "")" }
        #expect(Set(states) == ["2 dropped tester", "4 archived tester"])
        for node in 0..<3 { #expect(eventually(within: 20) { self.isOpen(station, node, 0) }) }
    }
}
