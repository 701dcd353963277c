// A full disk with the real relay, on real small file systems (design, "Full disk, in steps"; F37, F38): nothing that
// was acknowledged is lost, alerts still find a place, nothing hangs, and nobody has to do anything afterwards.

import Foundation
import HTTPClient
import System
import Testing
import TestSupport

@Suite("a full disk", .serialized)
struct FullDiskTests {
    private static let buffer = "buffer: {max_bytes: 8388608, segment_bytes: 524288, hold_hours: 72}"
    private static let low = #","citizens":[{"name":"A","peacescore":1}]"#

    private func big(_ drone: String, _ seq: Int, extra: String = "") -> String {
        Requests.report(
            drone: drone, seq: seq, extra: #","note":"\#(String(repeating: "n", count: 100_000))""# + extra)
    }

    @Test(
        "the steps: warning, release, alerts only, full; and back without a person when central archives again",
        arguments: SmallDisk.Kind.allCases)
    func steps(_ kind: SmallDisk.Kind) throws {
        let station = try Station(relayExtra: Self.buffer)
        defer { station.end() }
        // The disk is larger than the buffer: the buffer's own limit counts.
        guard let disk = try SmallDisk(kind, megabytes: 40, at: station.relayData) else {
            try Test.cancel("no small disk can be mounted here")
        }
        defer { withExtendedLifetime(disk) {} }
        try station.relay.start()
        var levels: [String] = []
        var acknowledged = 0
        var refused = 0
        var seq = 0
        while refused < 3, seq < 500 {
            seq += 1
            let status = try Requests.post(station.relay, big("filler", seq)).status
            if status == 202 { acknowledged += 1 } else { refused += 1 }
            #expect(status == 202 || status == 503)
            let level = try #require(try station.buffer()["level"] as? String)
            if levels.last != level { levels.append(level) }
        }
        // Without central nothing is archived, so nothing may be released.
        #expect(levels == ["normal", "warning", "releasing", "alerts_only"])
        let refusal = try Requests.post(station.relay, big("filler", 1_000))
        #expect(refusal.status == 503 && refusal.header("retry-after") != nil)
        #expect(Requests.object(refusal)["code"] as? String == "buffer_full")

        // What raises an alert is stored while there is room, and pushed even when there is none (I6).
        var alerts = 0
        while try Requests.post(station.relay, big("alarm", alerts + 1, extra: Self.low)).status == 202 { alerts += 1 }
        #expect(alerts > 0, "reports with alerts are stored at alerts_only")
        #expect(try station.buffer()["level"] as? String == "full")
        #expect(!station.relay.isReady)
        let listed = try station.json(station.relay, "/v1/alerts?limit=1000")["alerts"] as? [Any]
        #expect(listed?.count == alerts + 1, "the alert of the refused report is there too")
        #expect(try station.metric("columba_relay_alerts_not_stored_total") == 1)
        #expect(disk.freeBytes > 1 << 20, "the reserve is untouched")

        try station.central.start()
        #expect(station.waitUntilArchived())
        #expect(
            eventually(within: 20) { (try? Requests.post(station.relay, big("later", 1)).status) == 202 },
            "reports are taken again without a person")
        #expect(station.waitUntilArchived())
        #expect(try station.count("reports") == acknowledged + alerts + 1)
        #expect(try station.counters()["lost"] == 0)
        #expect(try station.metric("columba_relay_buffer_released_segments_total") ?? 0 > 0)
    }

    @Test(
        "another program fills the disk: 503 and no lost acknowledgement; archived segments are unlinked all the same",
        arguments: SmallDisk.Kind.allCases)
    func filledByAnother(_ kind: SmallDisk.Kind) throws {
        let station = try Station(relayExtra: Self.buffer)
        defer { station.end() }
        guard let disk = try SmallDisk(kind, megabytes: 40, at: station.relayData) else {
            try Test.cancel("no small disk can be mounted here")
        }
        try station.start()
        var acknowledged = 0
        for seq in 1...30 where try Requests.post(station.relay, big("before", seq)).status == 202 { acknowledged += 1 }
        #expect(acknowledged == 30)
        #expect(station.waitUntilArchived())
        let before = try #require(try station.buffer()["bytes"] as? Int)
        #expect(before > 2 << 20, "archived segments are held")
        disk.fill(atMost: disk.freeBytes)
        for seq in 1...20 {
            let status = try Requests.post(station.relay, big("during", seq)).status
            #expect(status == 202 || status == 503)
            if status == 202 { acknowledged += 1 }
        }
        // The hold time gives way to the need: what was archived goes, and reports are taken on a disk that is still
        // full of the other program's files.
        #expect(
            eventually(within: 20) { (try? Requests.post(station.relay, big("full", 1)).status) == 202 },
            "\(station.statusText)\n\(station.relay.log.suffix(2_000))")
        #expect(try #require(try station.buffer()["bytes"] as? Int) < before)
        disk.fill()
        disk.empty()
        #expect(
            eventually(within: 20) { (try? Requests.post(station.relay, big("after", 1)).status) == 202 },
            "\(station.statusText)\n\(station.relay.log.suffix(2_000))")
        #expect(station.waitUntilArchived())
        #expect(try station.count("reports") == acknowledged + 2)
        #expect(eventually(within: 10) { (try? station.buffer()["reserve_bytes"] as? Int) ?? 0 > 0 }, "taken back")
        #expect(station.relay.isRunning)
    }

    @Test(
        "a relay starts on a disk without a free byte, forwards what waits, and frees the disk by itself",
        arguments: SmallDisk.Kind.allCases)
    func startsFull(_ kind: SmallDisk.Kind) throws {
        let station = try Station(relayExtra: Self.buffer)
        defer { station.end() }
        guard let disk = try SmallDisk(kind, megabytes: 40, at: station.relayData) else {
            try Test.cancel("no small disk can be mounted here")
        }
        try station.relay.start()
        var acknowledged = 0
        for seq in 1...40 where try Requests.post(station.relay, big("waits", seq)).status == 202 { acknowledged += 1 }
        // One tidy stop, one crash: both leave a buffer that must be opened without a free block.
        _ = try station.relay.terminate()
        disk.fill()
        try station.relay.start(waitingFor: "/livez")
        disk.fill()
        try station.relay.kill()
        disk.fill()
        try station.relay.start(waitingFor: "/livez")
        #expect(try station.counters()["carried_over"] == 40)
        try station.central.start()
        #expect(station.waitUntilArchived(), "\(station.relay.log.suffix(3_000))")
        #expect(try station.count("reports") == acknowledged)
        #expect(
            eventually(within: 20) { (try? Requests.post(station.relay, big("after", 1)).status) == 202 },
            "its own released segments made room: \(station.statusText)")
        #expect(try station.counters()["lost"] == 0)
    }
}
