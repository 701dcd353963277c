// A cluster of real servers under load loses parts of itself: what was acknowledged is in the archive exactly once, and
// no relay was told `archived` too early (I4, I5). A short round here; `make chaos-cluster` goes on for ten minutes.

import ColumbaCommands
import Foundation
import Glibc
import HTTPClient
import System
import Testing
import TestSupport

@Suite(
    "a cluster", .serialized, .enabled(if: ClusterStation.missing == nil, "nats-server or weed is missing: make deps"))
struct ClusterTests {
    private static let drones = 40
    private static let rate = 400

    /// The flight of the drones, as a process of its own with a ledger of what was acknowledged.
    private final class Load {
        private let process: ChildProcess
        private let ledgerPath: String

        init(_ station: ClusterStation) throws {
            ledgerPath = "\(station.folder)/ledger"
            var settings = ChildProcess.Configuration(
                executable: try Programs.path("columba"),
                arguments: [
                    "fly", "--relay", station.relayURLs.joined(separator: ","), "--drones", "\(ClusterTests.drones)",
                    "--rate", "\(ClusterTests.rate)", "--resend-share", "0.01", "--ledger", ledgerPath,
                ])
            settings.standardError = .file("\(station.folder)/fly.log")
            settings.standardOutput = .file("\(station.folder)/fly.log")
            process = try ChildProcess(settings)
        }

        func land() throws {
            process.kill(SIGINT)
            _ = try process.wait(timeoutSeconds: 60)
        }

        func end() { process.kill() }

        /// By drone: the numbers that were acknowledged.
        func acknowledged() throws -> [String: Set<Int>] {
            var numbers: [String: Set<Int>] = [:]
            for line in try String(contentsOfFile: ledgerPath, encoding: .utf8).split(separator: "\n") {
                let fields = line.split(separator: " ")
                guard fields.count >= 5, let seq = Int(fields[2]) else { continue }
                numbers[String(fields[0]), default: []].insert(seq)
            }
            return numbers
        }
    }

    private func seconds(since moment: UInt64) -> Double {
        Double(SystemTime().monotonicNanoseconds() - moment) / 1e9
    }

    /// Breaks something, mends it, and waits until reports flow and are archived again.
    private func endure(_ fault: ClusterFault, _ station: ClusterStation, _ watch: ClusterWatch) throws {
        let before = try #require(eventuallyValue { station.positions() }, "no central answers")
        let target = before.max() ?? 0
        watch.measurePauses()
        let began = SystemTime().monotonicNanoseconds()
        try station.begin(fault)
        #expect(eventually(within: 20) { watch.hasProgress(since: began) }, "\(fault): intake stands still")
        let pause = watch.longestPause
        if fault.mustGoOn.archive { expectArchiving(beyond: target, station, "\(fault)") }
        try station.mend(fault)
        expectArchiving(beyond: target, station, "\(fault)")
        let archived = seconds(since: began)
        #expect(eventually(within: 20) { watch.hasProgress(since: began) }, "\(fault): intake stands still")
        let line = String(
            format: "%@: intake paused %.1f s at most, every partition archives again after %.1f s", "\(fault)",
            max(pause, watch.longestPause), archived)
        print(line)
    }

    private func expectArchiving(beyond target: Int, _ station: ClusterStation, _ what: String) {
        #expect(
            eventually(within: 30, everyMilliseconds: 50) { station.positions()?.allSatisfy { $0 > target } ?? false },
            "\(what): the archive stands still at \(station.positions() ?? []), not beyond \(target)")
    }

    private func eventuallyValue<Value>(_ body: () -> Value?) -> Value? {
        var value: Value?
        _ = eventually(within: 20, everyMilliseconds: 50) {
            value = body()
            return value != nil
        }
        return value
    }

    /// Everything that was acknowledged is a row of `reports`, once.
    private func verify(_ load: Load, _ station: ClusterStation, _ watch: ClusterWatch) throws {
        #expect(eventually(within: 60, everyMilliseconds: 50) { station.waiting() == 0 }, "relays still hold records")
        for relay in station.relayURLs.indices { watch.check(relay, askingNode: relay) }
        #expect(watch.violations == [])
        #expect(watch.checks > 0)
        let acknowledged = try load.acknowledged()
        let counts = try #require(
            try station.rows(
                "SELECT count(*) AS n, count(DISTINCT (drone_id, boot, seq)) AS d, count(DISTINCT boot) AS boots "
                    + "FROM reports"
            ).first)
        let rows = counts["n"] as? Int ?? 0
        #expect(counts["n"] as? Int == counts["d"] as? Int && counts["boots"] as? Int == 1, "\(counts)")
        var held: [String: Set<Int>] = [:]
        for row in try station.rows("SELECT drone_id, string_agg(seq::VARCHAR, ' ') AS seqs FROM reports GROUP BY 1") {
            let seqs = (row["seqs"] as? String ?? "").split(separator: " ").compactMap { Int($0) }
            held[row["drone_id"] as? String ?? ""] = Set(seqs)
        }
        let expected = acknowledged.values.reduce(0) { $0 + $1.count }
        let missing = acknowledged.reduce(0) { $0 + $1.value.subtracting(held[$1.key] ?? []).count }
        #expect(missing == 0, "\(missing) of \(expected) acknowledged reports are not in the archive")
        #expect(expected > 0 && rows >= expected)
        let checks = watch.checks
        print("\(expected) acknowledged, \(rows) rows, \(checks) looks at what relays are told")
    }

    private func run(users: Int? = nil, _ body: (ClusterStation, ClusterWatch) throws -> Void) throws {
        var options = ClusterPlan.Options()
        options.maxWaitSeconds = 0.5
        let station = try ClusterStation(options, users: users)
        defer { station.end() }
        try station.start()
        let load = try Load(station)
        defer { load.end() }
        let watch = ClusterWatch(station)
        let threads = watch.start()
        defer {
            watch.stop()
            for thread in threads { thread.join() }
        }
        #expect(eventually(within: 20) { station.positions()?.allSatisfy { $0 > 0 } ?? false }, "nothing is archived")
        let served = CentralDeployment.families(try station.metrics(0))
        #expect(try CentralDeployment.metricsAskedFor().subtracting(served) == [])
        try body(station, watch)
        try load.land()
        try verify(load, station, watch)
    }

    @Test("killed servers, nodes and storage cost no acknowledged report, and no relay is told too much")
    func kills() throws {
        let seed = UInt64.random(in: 0 ... .max)
        print("seed \(seed)")
        var generator = SeededGenerator(seed: seed)
        try run { station, watch in
            // The one that hurts most: whoever leads the stream.
            let leader = try #require(eventuallyValue { station.streamLeader() }, "no NATS server leads the stream")
            for fault in [
                ClusterFault.killNATS(leader), .killCentral(Int.random(in: 0..<3, using: &generator)), .killStore,
            ] { try endure(fault, station, watch) }
        }
    }

    @Test("each role on a node of its own: relays find the one that takes batches, analysts the one that answers")
    func roles() throws {
        var options = ClusterPlan.Options()
        options.maxWaitSeconds = 0.5
        options.roles = [["archive"], ["query"], ["intake"]]
        let station = try ClusterStation(options)
        defer { station.end() }
        try station.start()
        let relays = station.relayURLs.joined(separator: ",")
        let flown = try Programs.run(
            "columba", ["fly", "--relay", relays, "--drones", "20", "--reports", "500"], folder: station.folder)
        #expect(flown.status.isSuccess, "\(flown.errors)")
        #expect(eventually(within: 60, everyMilliseconds: 50) { station.waiting() == 0 }, "relays still hold records")
        #expect(try station.count("SELECT count(*) AS n FROM reports") == 500)
        let owned = try (0..<3).map { try station.metrics($0).contains("columba_central_owned_partitions 8") }
        #expect(owned == [true, false, false])
        let asked = try (0..<3).map { index in
            var request = HTTPClientRequest(method: "POST", url: station.centralURLs[index] + "/v1/sql")
            request.body = Array(#"{"sql":"SELECT 1"}"#.utf8)
            return try HTTPClient().perform(request).status
        }
        #expect(asked == [421, 200, 421])
        let doors = station.intakeURLs.map {
            (try? HTTPClient().perform(HTTPClientRequest(url: $0 + "/livez")))?.status
        }
        #expect(doors == [nil, nil, 200])
        try expectOneFleet(station, intake: 2, closing: 1, emptied: 0)
    }

    @Test("the demo on a cluster adds up, and leaves no process behind")
    func demo() throws {
        let folder = try FileSystem.makeTemporaryDirectory(prefix: "columba-test")
        defer { try? FileSystem.removeTree(folder) }
        let result = try Programs.run(
            "columba",
            [
                "demo", "--cluster", "--drones", "20", "--reports", "3000", "--exit", "--json", "--data",
                "\(folder)/data",
            ],
            folder: folder)
        let summary = try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any]
        #expect(result.status.isSuccess && summary?["problem"] is NSNull, "\(result.output)\(result.errors)")
        #expect(summary?["acknowledged"] as? Int == 3_000)
        let rows = (summary?["archived"] as? Int ?? 0) + (summary?["duplicates"] as? Int ?? 0)
        #expect(rows >= 3_000 && rows <= 3_000 + (summary?["resent"] as? Int ?? 0), "\(result.output)")
        let left = try FileSystem.list("/proc").filter { Int($0) != nil }.compactMap { process -> String? in
            let command = (try? String(contentsOfFile: "/proc/\(process)/cmdline", encoding: .utf8)) ?? ""
            return command.contains(folder) ? command : nil
        }
        #expect(left == [])
    }

    /// Ten minutes of whatever the seed says; with a network namespace of its own also partitions.
    @Test(
        "chaos",
        .enabled(if: Environment.variable("COLUMBA_CHAOS_SECONDS") != nil, "make chaos-cluster"))
    func chaos() throws {
        let seconds = Environment.variable("COLUMBA_CHAOS_SECONDS").flatMap(Double.init) ?? 600
        let seed = Environment.variable("COLUMBA_CHAOS_SEED").flatMap(UInt64.init) ?? UInt64.random(in: 0 ... .max)
        let hasNamespace = Environment.variable("COLUMBA_CHAOS_NAMESPACE") == "1"
        print("seed \(seed), \(Int(seconds)) s, " + (hasNamespace ? "with" : "without") + " cutting nodes off")
        var generator = SeededGenerator(seed: seed)
        try run(users: hasNamespace ? ClusterStation.firstUser : nil) { station, watch in
            let began = SystemTime().monotonicNanoseconds()
            var faults = 0
            while self.seconds(since: began) < seconds {
                try endure(.random(&generator, canCutOff: hasNamespace), station, watch)
                faults += 1
            }
            print("\(faults) faults")
        }
    }
}
