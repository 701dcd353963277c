// Damaged segments with the real relay (F31–F33): it starts anyway, everything that can be read arrives, and the relay,
// central and `buffer verify` name the same lost numbers.

import Foundation
import Glibc
import HTTPClient
import System
import Testing
import TestSupport

@Suite("a damaged buffer", .serialized)
struct BufferDamageTests {
    private func ranges(_ value: Any?) -> [ClosedRange<Int>] {
        ((value as? [[Int]]) ?? []).compactMap { $0.count == 2 ? $0[0]...$0[1] : nil }
    }

    private func bufferJSON(_ station: Station, _ command: String) throws -> (Int32?, [String: Any]) {
        let result = try Programs.run(
            "columba-relay", ["buffer", command, "--config", "\(station.folder)/relay-0.json5", "--json"],
            folder: station.folder)
        let object = try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any]
        guard case .exited(let code) = result.status else { return (nil, [:]) }
        return (code, try #require(object, "\(result.output)\(result.errors)"))
    }

    @Test("what is readable arrives; relay, central and verify agree on the numbers that are lost")
    func salvage() throws {
        let station = try Station(
            relayExtra: "buffer: {max_bytes: 67108864, segment_bytes: 262144, hold_hours: 0}")
        defer { station.end() }
        try station.relay.start()
        let total = 2_000
        for first in stride(from: 1, to: total, by: 100) {
            #expect(try station.post("d", from: first, count: 100, extraBytes: 500).count == 100)
        }
        let epoch = try #require(try station.status()["epoch"] as? String)
        let folder = try #require(try FileSystem.list("\(station.relayData)/buffer").first { $0.hasSuffix(epoch) })
        let path = "\(station.relayData)/buffer/\(folder)"
        let segments = try FileSystem.list(path).filter { $0.hasSuffix(".segment") }.sorted()
        try #require(segments.count > 4)
        // The victims are in their database file alone: no journal of an interrupted step undoes the damage.
        let leftovers = segments[1...2].flatMap { ["\(path)/\($0)-wal", "\(path)/\($0)-journal"] }
        try #require(eventually(within: 20) { !leftovers.contains(where: FileSystem.exists) })
        try station.relay.kill()
        // One page of the second segment is garbage, and the third lost its database's header.
        try scribble("\(path)/\(segments[1])", at: 100_000, count: 5_000)
        try scribble("\(path)/\(segments[2])", at: 0, count: 100)

        let (code, before) = try bufferJSON(station, "verify")
        #expect(code == 1)
        let found = (before["epochs"] as? [[String: Any]])?.first?["incidents"] as? [[String: Any]]
        let expected = (found ?? []).flatMap { ranges($0["lost"]) }
        let lost = expected.reduce(0) { $0 + $1.count }
        #expect(found?.count == 2 && lost > 0 && lost < 50, "\(before)")

        try station.start()
        #expect(station.waitUntilArchived(), "\(station.relay.log.suffix(3_000))")
        #expect(eventually(within: 10) { (try? station.counters()["lost"]) == lost }, "\(station.statusText)")
        let counters = try station.counters()
        #expect(counters["carried_over"] == total && counters["archived"] == total - lost)
        #expect(try station.count("reports") == total - lost)
        let buffer = try station.buffer()
        let incidents = (buffer["incidents"] as? [[String: Any]]) ?? []
        #expect(buffer["incident_count"] as? Int == 2)
        #expect(incidents.flatMap { ranges($0["lost"]) }.sorted { $0.lowerBound < $1.lowerBound } == expected)
        #expect(incidents.allSatisfy { $0["exact"] as? Bool == true })
        #expect(try station.metric("columba_relay_buffer_lost_records") == Double(lost))
        #expect(try station.metric("columba_relay_buffer_incidents_total") == 2)
        #expect(station.relay.log.contains("lost_records=\(lost)"))
        // Central's gaps are the lost numbers.
        let fleet = try station.json(station.central, "/v1/relays")["relays"] as? [[String: Any]]
        let epochs = fleet?.first?["epochs"] as? [[String: Any]]
        let received = ranges(epochs?.first { $0["epoch"] as? String == epoch }?["received"])
        #expect(gaps(in: 1...total, received) == expected)
        // The damaged files are kept for people; their epoch is done and gone.
        #expect(eventually(within: 20) { (try? station.buffer()["epochs"] as? Int) == 1 })
        let quarantine = "\(station.relayData)/buffer/quarantine/\(folder)"
        #expect(eventually(within: 10) { FileSystem.isDirectory(quarantine) })
        #expect(try bufferJSON(station, "verify").0 == 0)
    }

    @Test("a write-ahead log cut to nothing is noticed by what was noted beside it, and the relay starts")
    func lostTail() throws {
        let station = try Station()
        defer { station.end() }
        try station.relay.start()
        #expect(try station.post("d", from: 1, count: 200).count == 200)
        let epoch = try #require(try station.status()["epoch"] as? String)
        // The note of how far the epoch came is written once a second.
        #expect(
            eventually(within: 10) {
                (try? bufferJSON(station, "status").1["waiting"] as? Int) == 200
            })
        try station.relay.kill()
        let folder = try #require(try FileSystem.list("\(station.relayData)/buffer").first { $0.hasSuffix(epoch) })
        let wal = "\(station.relayData)/buffer/\(folder)/00000000000000000001.segment-wal"
        #expect(truncate(wal, 0) == 0)
        try station.start()
        #expect(eventually(within: 10) { (try? station.counters()["lost"]) == 200 }, "\(station.statusText)")
        #expect(try station.post("d", from: 201, count: 10).count == 10)
        #expect(station.waitUntilArchived())
        #expect(try station.count("reports") == 10)
        #expect(station.relay.log.contains("records_not_in_buffer"))
    }

    private func scribble(_ path: String, at offset: Int, count: Int) throws {
        let file = try #require(FileHandle(forUpdatingAtPath: path))
        try file.seek(toOffset: UInt64(offset))
        try file.write(contentsOf: Data(repeating: 0x5a, count: count))
        try file.close()
    }

    private func gaps(in range: ClosedRange<Int>, _ ranges: [ClosedRange<Int>]) -> [ClosedRange<Int>] {
        var next = range.lowerBound
        var result: [ClosedRange<Int>] = []
        for present in ranges {
            if present.lowerBound > next { result.append(next...present.lowerBound - 1) }
            next = max(next, present.upperBound + 1)
        }
        if next <= range.upperBound { result.append(next...range.upperBound) }
        return result
    }
}
