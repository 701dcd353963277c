// The analyst's side of central as programs: live figures and alerts of all relays, pages, statistics, exports, and
// what happens to a query whose client goes away.

import Foundation
import HTTPClient
import System
import TestSupport
import Testing

@Suite("the analyst's interface", .serialized)
final class AnalystTests {
    private let station: Station

    init() throws {
        station = try Station(
            relays: 2, centralExtra: #"query: {timeout_s: 600, stats_dir: "my-statistics"}"#)
        try station.start()
    }

    deinit { station.end() }

    private func get(_ path: String, headers: [(String, String)] = []) throws -> HTTPClientResponse {
        try HTTPClient().perform(
            HTTPClientRequest(url: station.central.address + path, headers: headers, timeoutSeconds: 60))
    }

    /// Reports of ten persons with low and high scores; the odd ones go to the second relay.
    private func send(_ count: Int) throws {
        for seq in 1...count {
            let score = seq <= 2 ? 5.5 : 60.25
            let report = Requests.report(
                drone: "d-\(seq % 4)", seq: seq,
                extra: #","citizens":[{"name":"Ada \#(seq)","peacescore":\#(score)}],"words":["=rain","market"]"#)
            #expect(try Requests.post(station.relays[seq % 2], report).status == 202)
        }
    }

    @Test("alerts of every relay are at central with their states, followed and resumed, and no name is among them")
    func alerts() throws {
        try send(10)
        func alerts(_ query: String = "") throws -> [[String: Any]] {
            try station.json(station.central, "/v1/alerts\(query)")["alerts"] as? [[String: Any]] ?? []
        }
        #expect(eventually { (try? alerts().count) == 2 })
        let all = try alerts()
        #expect(Set(all.compactMap { $0["relay_id"] as? String }) == ["north-0", "north-1"])
        #expect(all.allSatisfy { ($0["person_id"] as? String)?.count == 32 && $0["citizen"] == nil })
        let id = try #require(all.first?["alert_id"] as? String)
        let relay = try #require(
            station.relays.first { relay in
                let known = (try? station.json(relay, "/v1/alerts"))?["alerts"] as? [[String: Any]]
                return known?.contains { $0["alert_id"] as? String == id } ?? false
            })
        var follower = ""
        _ = try HTTPClient().stream(
            HTTPClientRequest(
                url: station.central.address + "/v1/alerts/stream", headers: [("Last-Event-ID", "0")],
                timeoutSeconds: 120)
        ) { bytes in
            follower += String(decoding: bytes, as: UTF8.self)
            if follower.components(separatedBy: "event: alert\n").count == 3, !follower.contains("event: alert_state") {
                let answer = try? HTTPClient().perform(
                    HTTPClientRequest(
                        method: "POST", url: "\(relay.address)/v1/alerts/\(id)/close",
                        headers: [("Content-Type", "application/json")],
                        body: Array(#"{"by":"officer 7","note":"a cat","outcome":"false_alarm"}"#.utf8)))
                #expect([200, 409].contains(answer?.status ?? 0))
            }
            return !follower.contains("event: alert_state")
        }
        #expect(follower.contains(#""state":"closed""#) && !follower.contains("Ada"), "\(follower)")
        #expect(try alerts("?state=closed").first?["note"] as? String == "a cat")
        #expect(try alerts("?state=raised&severity=critical").count == 1)
        #expect(try get("/v1/alerts?state=open").status == 422)
        #expect(station.waitUntilArchived())
        // A restart forgets nothing: the states come from the archive.
        try station.central.kill()
        try station.central.start()
        #expect(eventually { (try? alerts("?state=closed").first?["outcome"] as? String) == "false_alarm" })
        #expect(try alerts().count == 2)
    }

    @Test("live figures follow what arrives, as JSON and as events")
    func live() throws {
        try send(10)
        func reports() -> Int? {
            let live = try? station.json(station.central, "/v1/live")
            return (live?["reports"] as? [String: Any])?["last_hour"] as? Int
        }
        #expect(eventually { reports() == 10 })
        var events = ""
        _ = try HTTPClient().stream(
            HTTPClientRequest(url: station.central.address + "/v1/live/stream", timeoutSeconds: 120)
        ) { [station] bytes in
            let isFirst = events.isEmpty
            events += String(decoding: bytes, as: UTF8.self)
            if isFirst { _ = try? Requests.post(station.relays[0], Requests.report(drone: "d-9", seq: 1)) }
            return !events.contains(#""last_hour":11"#)
        }
        #expect(events.contains("event: live\n") && events.contains(#""relay_id":"north-1""#))
        let live = try station.json(station.central, "/v1/live")
        #expect((live["drones"] as? [String: Any])?["last_hour"] as? Int == 5)
        let relays = live["relays"] as? [[String: Any]] ?? []
        #expect(relays.map { $0["reports_last_hour"] as? Int } == [6, 5])
        #expect(((live["alerts"] as? [String: Any])?["open"] as? [String: Any])?["critical"] as? Int == 2)
        // Two sightings in one band: too few persons to be shown; eight in another.
        let scores = live["scores"] as? [[String: Any]] ?? []
        #expect(scores.count == 1 && scores.first?["sightings"] as? Int == 8)
        #expect(live["suppressed_score_bands"] as? Int == 1)
    }

    @Test("pages of reports over HTTP carry their cursor and say how complete they are")
    func pages() throws {
        try send(10)
        #expect(station.waitUntilArchived())
        #expect(try get("/v1/reports?limit=6&drone_id=").status == 422, "an empty value is no filter")
        let first = try get("/v1/reports?limit=6&format=csv")
        #expect(first.status == 200 && first.header("x-row-count") == "6" && first.header("x-truncated") == "true")
        #expect(first.header("x-complete-through") != nil && first.header("content-length") != nil)
        let cursor = try #require(first.header("x-next-cursor"))
        let second = Requests.object(try get("/v1/reports?limit=6&cursor=\(cursor)"))
        #expect((second["rows"] as? [Any])?.count == 4 && second["next_cursor"] is NSNull)
        let unknown = Requests.object(try get("/v1/reports?drone=d-1"))
        #expect(unknown["code"] as? String == "unknown_parameter" && unknown["field"] as? String == "drone")
        let word = Requests.object(try get("/v1/reports?word=%3Drain&from=-1h&to=now&bbox=2,48,3,49&limit=3"))
        #expect(word["row_count"] as? Int == 3 && word["truncated"] as? Bool == true)
    }

    @Test("statistics are listed and shown by the program, a file of the user's own among them at once")
    func statistics() throws {
        try send(10)
        #expect(station.waitUntilArchived())
        let central = ["--central", station.central.address]
        try FileSystem.makeDirectories("\(station.folder)/my-statistics")
        try "-- title: My own\n-- param least integer = 1: x\nselect count(*) as n from reports where seq >= $least"
            .write(
                toFile: "\(station.folder)/my-statistics/mine.sql", atomically: true, encoding: .utf8)
        try "-- title: Broken\nselect nope from reports".write(
            toFile: "\(station.folder)/my-statistics/broken.sql", atomically: true, encoding: .utf8)
        let list = try station.columba(["stats"] + central)
        #expect(list.status == .exited(0) && list.output.contains("mine") && list.output.contains("top-words"))
        #expect(list.errors.contains("broken: ") && list.errors.contains("line 2"), "\(list.errors)")
        let mine = try station.columba(["stats", "mine", "least=4", "--format", "csv"] + central)
        #expect(mine.output == "n\n7\n", "\(mine)")
        let words = try station.columba(["stats", "top-words", "--from", "-1h", "--format", "csv"] + central)
        #expect(words.output.contains("'=rain,10,"), "\(words)")
        let scores = try station.columba(["stats", "score-distribution", "--from", "-1h", "--json"] + central)
        #expect(scores.output.contains(#""suppressed_groups":1"#), "\(scores)")
        #expect(scores.errors.contains("1 groups of too few people are left out"))
        let statement = try station.columba(["stats", "top-words", "top=3", "--format", "sql"] + central)
        let again = try station.columba(["sql", "-"] + central, input: statement.output)
        #expect(again.status == .exited(0) && again.output.contains("market"), "\(again)")
        for (arguments, text) in [
            (["stats", "none"], "no_such_statistic"), (["stats", "mine", "most=1"], "unknown_parameter"),
            (["stats", "mine", "least=x"], "least"), (["stats", "broken"], "nope"),
        ] {
            let wrong = try station.columba(arguments + central)
            #expect(wrong.status == .exited(1) && wrong.errors.contains(text), "\(arguments): \(wrong)")
        }
        #expect(try station.columba(["stats", "mine", "least"] + central).status == .exited(2))
    }

    @Test("an export is a whole file in each format or no file at all")
    func export() throws {
        try send(10)
        #expect(station.waitUntilArchived())
        let central = ["--central", station.central.address]
        func export(_ format: String, _ more: [String] = []) throws -> String {
            let path = "\(station.folder)/reports.\(format)"
            let result = try station.columba(["export", "--format", format, "-o", path] + more + central)
            #expect(result.status == .exited(0) && result.errors.contains("written"), "\(result)")
            return path
        }
        let map = try export("geojson", ["--from", "-1h", "--bbox", "2,48,3,49"])
        let features = try #require(
            try JSONSerialization.jsonObject(with: Data(try FileSystem.read(map))) as? [String: Any])
        #expect((features["features"] as? [Any])?.count == 10)
        try Self.checkWithGDAL(map, count: 10, folder: station.folder)
        let lines = try String(contentsOfFile: try export("ndjson", ["--drone", "d-1"]), encoding: .utf8)
        #expect(lines.split(separator: "\n").count == 3 && lines.hasSuffix("\n"))
        let csv = try String(contentsOfFile: try export("csv", ["--where", "seq > 7 -- late ones"]), encoding: .utf8)
        #expect(csv.split(separator: "\n").count == 4 && csv.hasPrefix("date,drone_id"))
        let parquet = try FileSystem.read(try export("parquet"))
        #expect(parquet.prefix(4).elementsEqual("PAR1".utf8) && parquet.suffix(4).elementsEqual("PAR1".utf8))
        let size = try station.columba(["export", "--estimate", "--format", "csv"] + central)
        #expect(size.output.hasPrefix("10 reports, about "), "\(size)")
        let piped = try station.columba(["export", "--format", "ndjson", "-o", "-"] + central)
        #expect(piped.output.split(separator: "\n").count == 10)
        // What fails leaves the file that was there, and nothing beside it.
        let kept = "\(station.folder)/kept.csv"
        try "kept".write(toFile: kept, atomically: true, encoding: .utf8)
        let wrong = try station.columba(["export", "--format", "csv", "-o", kept, "--where", "nope = 1"] + central)
        #expect(wrong.status == .exited(1) && wrong.errors.contains("nope"), "\(wrong)")
        #expect(!wrong.errors.contains("line "), "a place would be one in central's own statement")
        let unbalanced = try station.columba(["export", "-o", kept, "--where", "1=1) or (1=1"] + central)
        #expect(unbalanced.status == .exited(1) && unbalanced.errors.contains("parentheses"), "\(unbalanced)")
        #expect(try String(contentsOfFile: kept, encoding: .utf8) == "kept")
        #expect(try FileSystem.list(station.folder).allSatisfy { !$0.hasSuffix(".part") })
    }

    /// ogrinfo (gdal-bin) reads GeoJSON as QGIS does.
    private static func checkWithGDAL(_ path: String, count: Int, folder: String) throws {
        guard
            let program = ["/usr/bin/ogrinfo", "/usr/local/bin/ogrinfo"].first(where: { FileSystem.isExecutable($0) })
        else {
            print("skipped: ogrinfo is not installed; apt install gdal-bin")
            return
        }
        var run = ChildProcess.Configuration(executable: program, arguments: ["-al", "-so", path])
        run.standardOutput = .file("\(folder)/ogrinfo.out")
        let status = try ChildProcess(run).wait(timeoutSeconds: 60)
        let output = (try? String(contentsOfFile: "\(folder)/ogrinfo.out", encoding: .utf8)) ?? ""
        #expect(status == .exited(0) && output.contains("Feature Count: \(count)"), "\(output)")
        #expect(output.contains("Geometry: 3D Point") || output.contains("Geometry: Point"), "\(output)")
    }

    @Test("a query ends when its client has gone, long before its time limit")
    func clientGone() throws {
        let endless = "select count(*) from range(1000000000000000) t(i) where hash(i) = 42"
        let body = try JSONSerialization.data(withJSONObject: ["sql": endless])
        func running() -> Int? {
            let status = try? station.json(station.central, "/v1/status")
            return (status?["queries"] as? [String: Any])?["running"] as? Int
        }
        var wasRunning = false
        let central = station.central.address
        #expect(throws: HTTPClientError.self) {
            _ = try HTTPClient().perform(
                HTTPClientRequest(
                    method: "POST", url: central + "/v1/sql", headers: [("Content-Type", "application/json")],
                    body: Array(body), timeoutSeconds: 300)
            ) {
                wasRunning = wasRunning || running() == 1
                return wasRunning
            }
        }
        #expect(wasRunning && eventually { running() == 0 })
        #expect(try station.rows("select 1 as a").count == 1)
    }
}
