// Disks that fail or stall under the real relay (F35, F40, F41), many deaths in a row (F22), a second process (F44), a
// file system that promises nothing (F45).

import Foundation
import Glibc
import HTTPClient
import Synchronization
import System
import Testing
import TestSupport

@Suite("a bad disk", .serialized)
struct DiskFaultTests {
    private static let low = #","citizens":[{"name":"A","peacescore":1}]"#

    private func alerts(_ station: Station) -> Int {
        ((try? station.json(station.relay, "/v1/alerts?limit=1000"))?["alerts"] as? [Any])?.count ?? -1
    }

    @Test("EIO on a flush: no acknowledgement, exit 1 with its reason; all that was acknowledged is there afterwards")
    func failedFlush() throws {
        let station = try Station()
        defer { station.end() }
        try station.relay.start()
        #expect(try station.post("d", from: 1, count: 50).count == 50)
        let process = try #require(station.relay.processID)
        let fault = try SystemCallFault(
            process, inject: ["fdatasync:error=EIO", "fsync:error=EIO"], folder: station.folder)
        let answer = try? Requests.post(station.relay, Requests.report(drone: "d", seq: 51))
        #expect(answer?.status != 202, "nothing is acknowledged after a failed flush")
        #expect(try station.relay.waitForEnd(withinSeconds: 20) == .exited(1))
        fault.end()
        #expect(station.relay.log.contains("fatal"), "\(station.relay.log.suffix(2_000))")
        #expect(station.relay.log.contains("dmesg"), "it says what to look at")
        try station.start()
        #expect(station.waitUntilArchived())
        // The report in doubt is there or not; its drone resends it.
        #expect([50, 51].contains(try station.count("reports")))
    }

    @Test("a disk that became read-only: 503, alerts are raised, and reports are taken again when it is writable")
    func readOnlyDisk() throws {
        let station = try Station()
        defer { station.end() }
        try station.relay.start()
        #expect(try station.post("d", from: 1, count: 5).count == 5)
        let process = try #require(station.relay.processID)
        let calls = ["pwrite64", "mkdir", "rename", "unlink", "ftruncate"].map { "\($0):error=EROFS" }
        let fault = try SystemCallFault(process, inject: calls, folder: station.folder)
        let before = alerts(station)
        let refused = try Requests.post(station.relay, Requests.report(drone: "d", seq: 6, extra: Self.low))
        #expect(refused.status == 503 && refused.header("retry-after") != nil)
        #expect(alerts(station) == before + 1, "an alert needs no disk (I6)")
        // Each refusal says so; after a while without a new one the relay may be asked to try again.
        #expect(
            eventually(within: 5) {
                let status = try? Requests.post(station.relay, Requests.report(drone: "d", seq: 6)).status
                return status == 503 && !station.relay.isReady
            })
        for seq in 7...10 {
            #expect(try Requests.post(station.relay, Requests.report(drone: "d", seq: seq)).status == 503)
        }
        #expect(station.relay.isRunning)
        fault.end()
        #expect(
            eventually(within: 20) {
                (try? Requests.post(station.relay, Requests.report(drone: "d", seq: 6)).status) == 202
            }, "\(station.relay.log.suffix(2_000))")
        try station.central.start()
        #expect(station.waitUntilArchived())
        #expect(try station.count("reports") == 6)
    }

    @Test("a disk that needs 2 s for each flush delays acknowledgements, not alerts")
    func slowDisk() throws {
        let station = try Station()
        defer { station.end() }
        try station.relay.start()
        let process = try #require(station.relay.processID)
        let calls = ["fdatasync:delay_enter=2000000", "fsync:delay_enter=2000000"]
        let fault = try SystemCallFault(process, inject: calls, folder: station.folder)
        defer { fault.end() }
        let time = SystemTime()
        var slowest = 0.0
        for seq in 1...3 {
            let before = alerts(station)
            let answered = Mutex<(status: Int, at: UInt64)?>(nil)
            let started = time.monotonicNanoseconds()
            let relay = station.relay
            let report = Requests.report(drone: "d-\(seq)", seq: seq, extra: Self.low)
            let address = relay.address
            let poster = WorkerThread(name: "poster") {
                let answer = try? HTTPClient().perform(
                    HTTPClientRequest(
                        method: "POST", url: address + "/v1/reports", headers: [("Content-Type", "application/json")],
                        body: Array(report.utf8), timeoutSeconds: 30))
                answered.withLock { $0 = (answer?.status ?? 0, SystemTime().monotonicNanoseconds()) }
            }
            #expect(eventually(within: 5, everyMilliseconds: 1) { alerts(station) == before + 1 })
            slowest = max(slowest, Double(time.monotonicNanoseconds() - started) / 1e9)
            poster.join()
            let answer = try #require(answered.withLock { $0 })
            #expect(answer.status == 202)
            #expect(Double(answer.at - started) / 1e9 > 1.9, "the acknowledgement waits for the disk (I1)")
        }
        // Every system call of the relay is traced meanwhile, which alone costs milliseconds.
        #expect(slowest < 1.9, "an alert took \(slowest) s")
    }

    @Test("30 deaths 200 ms apart: nothing acknowledged is lost, start-up stays quick, the folders go when archived")
    func crashLoop() throws {
        let station = try Station(relayExtra: "buffer: {max_bytes: 268435456, hold_hours: 0}")
        defer { station.end() }
        let time = SystemTime()
        var acknowledged = 0
        for _ in 0..<30 {
            let started = time.monotonicNanoseconds()
            try station.relay.launch()
            // A life of 200 ms, of which the start takes its part; on a slow machine until it stored one report.
            let before = acknowledged
            while Double(time.monotonicNanoseconds() - started) / 1e9 < 0.2
                || (acknowledged == before && Waiting.isWithin(10, since: started))
            {
                let answer = try? Requests.post(station.relay, Requests.report(drone: "d", seq: acknowledged + 1))
                if answer?.status == 202 { acknowledged += 1 } else { poll(nil, 0, 2) }
            }
            try station.relay.kill()
        }
        #expect(acknowledged >= 30, "only \(acknowledged) reports got through")
        let started = time.monotonicNanoseconds()
        try station.relay.start()
        #expect(Waiting.isWithin(2, since: started))
        #expect(try station.buffer()["epochs"] as? Int ?? 99 <= 31)
        try station.central.start()
        #expect(station.waitUntilArchived())
        #expect(try station.count("reports") >= acknowledged)
        #expect(try station.counters()["lost"] == 0)
        #expect(eventually(within: 30) { (try? station.buffer()["epochs"] as? Int) == 1 }, "\(station.statusText)")
        #expect(try FileSystem.list("\(station.relayData)/buffer").count == 1)
    }

    @Test("a second relay on the same data directory ends at once with status 1 and names the first")
    func secondProcess() throws {
        let station = try Station()
        defer { station.end() }
        try station.relay.start()
        let result = try Programs.run(
            "columba-relay", ["run", "--config", "\(station.folder)/relay-0.json5"], folder: station.folder,
            timeoutSeconds: 60)
        #expect(result.status == .exited(1))
        let holder = try #require(station.relay.processID)
        #expect(result.errors.contains("process \(holder) "), "\(result.errors)")
        #expect(try station.post("d", from: 1, count: 1).count == 1, "the first goes on")
    }

    @Test("a file system whose fsync promises nothing is named in log and metric, refused where the operator is strict")
    func doubtfulFilesystem() throws {
        for (setting, starts, warns) in [
            ("", true, true), ("buffer: {allow_any_filesystem: true}", true, false),
            ("buffer: {strict_filesystem: true}", false, false),
        ] {
            let station = try Station(relayExtra: setting)
            defer { station.end() }
            guard let disk = try SmallDisk(.tmpfs, megabytes: 200, at: station.relayData) else {
                try Test.cancel("no small disk can be mounted here")
            }
            defer { withExtendedLifetime(disk) {} }
            guard starts else {
                try station.relay.launch()
                #expect(try station.relay.waitForEnd(withinSeconds: 10) == .exited(1))
                #expect(station.relay.log.contains("tmpfs") && station.relay.log.contains("strict_filesystem"))
                continue
            }
            try station.relay.start()
            #expect(station.relay.log.contains("filesystem_doubtful") == warns)
            #expect(try station.metric("columba_relay_buffer_doubtful_filesystem") == 1)
            #expect(try station.buffer()["doubtful_filesystem"] as? String == "tmpfs")
        }
    }
}
