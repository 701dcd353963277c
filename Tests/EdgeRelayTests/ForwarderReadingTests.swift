// What the forwarder reads for its batches, from a real log on disk, and the note of which records are alerts.

import Compression
import Crypto
import EdgeRelay
import Foundation
import Models
import SegmentedLog
import SyncProtocol
import System
import Testing

@Suite("reading for a batch")
struct ForwarderReadingTests {
    private static let epoch = String(repeating: "e", count: 32)

    /// Records 1…count of `bytes` each; every tenth is an alert.
    private func withLog(_ count: Int, bytes: Int, _ body: (SegmentedLog) throws -> Void) throws {
        let folder = try FileSystem.makeTemporaryDirectory(prefix: "columba-reading")
        defer { try? FileSystem.removeTree(folder) }
        let log = try SegmentedLog(directory: folder, configuration: .init(segmentBytes: 256 << 10)) { _ in }
        defer { log.close() }
        let payload =
            Array(#"{"x":""#.utf8) + Array(repeating: UInt8(ascii: "x"), count: bytes - 8) + Array(#""}"#.utf8)
        for n in 1...count {
            let header =
                n % 10 == 0
                ? []
                : RecordHeader(
                    identity: ReportIdentity(droneID: "d", boot: "b", seq: Int64(n)), digest: SHA256.hash("\(n)"),
                    isAssigned: false
                ).encoded()
            try header.withUnsafeBytes { header in
                try payload.withUnsafeBytes { payload in
                    _ = try log.append([
                        NewLogEntry(
                            timeMicroseconds: Int64(n), kind: n % 10 == 0 ? BufferKind.alert : BufferKind.report,
                            header: header, payload: payload)
                    ])
                }
            }
        }
        try body(log)
    }

    private func order(
        _ numbers: IntervalSet, maxBytes: Int = 1 << 20, newestFirst: Bool = false
    ) -> ForwarderStateMachine.Batch {
        ForwarderStateMachine.Batch(
            id: 1, lane: newestFirst ? .live : .backlog, epoch: Self.epoch, numbers: numbers, maxBytes: maxBytes,
            newestFirst: newestFirst, address: 0)
    }

    /// The `n` of the lines.
    private func numbers(_ batch: EncodedBatch) throws -> [Int64] {
        let lines = try Zstd.decompress(batch.bytes, maxBytes: 16 << 20, maxRatio: 20_000)
        #expect(lines.count == batch.lineBytes)
        return try lines.split(separator: UInt8(ascii: "\n")).map { line in
            let object = try JSONSerialization.jsonObject(with: Data(line)) as? [String: Any]
            return Int64(try #require(object?["n"] as? Int))
        }
    }

    @Test("a batch holds exactly the records that were asked for, and its name spans them")
    func sparse() throws {
        try withLog(1_500, bytes: 400) { log in
            let reader = BatchReader(relayID: "r")
            let alerts = IntervalSet((1...150).map { Int64($0) * 10...Int64($0) * 10 })
            let (read, missing) = try reader.read(order(alerts), from: log)
            let batch = try #require(read)
            #expect(batch.numbers == alerts && missing.isEmpty)
            #expect(try IntervalSet(numbers(batch).map { $0...$0 }) == alerts)
            #expect(batch.name.first == 10 && batch.name.last == 1_500)
            let rest = IntervalSet(1...1_500).subtracting(alerts)
            #expect(try reader.read(order(rest), from: log).0?.numbers == rest)
        }
    }

    @Test("what does not fit stays out: the newest where the oldest go first, the oldest where the newest do")
    func limits() throws {
        try withLog(600, bytes: 1_000) { log in
            let reader = BatchReader(relayID: "r")
            let wanted = IntervalSet([1...300, 400...600])
            let (oldest, newest) = (
                try #require(try reader.read(order(wanted, maxBytes: 50_000), from: log).0),
                try #require(try reader.read(order(wanted, maxBytes: 50_000, newestFirst: true), from: log).0)
            )
            for batch in [oldest, newest] {
                #expect((40...50).contains(batch.numbers.count) && batch.numbers.rangeCount == 1)
                #expect(batch.lineBytes <= 50_000)
            }
            #expect(oldest.numbers.min == 1 && newest.numbers.max == 600)
            // One record larger than the limit travels alone.
            #expect(try reader.read(order(wanted, maxBytes: 10), from: log).0?.numbers == IntervalSet(1...1))
            #expect(
                try reader.read(order(wanted, maxBytes: 10, newestFirst: true), from: log).0?.numbers
                    == IntervalSet(600...600))
            // Across the gap.
            let across = try #require(
                try reader.read(order(wanted, maxBytes: 250_000, newestFirst: true), from: log).0)
            #expect(across.numbers.contains(400...600) && across.numbers.rangeCount == 2)
        }
    }

    @Test("records that the buffer no longer has are missing, whatever the direction, and the others travel")
    func missing() throws {
        try withLog(2_000, bytes: 1_000) { log in
            let first = try #require(log.segments.first)
            try log.release(segmentStartingAt: first.firstPosition)
            let gone = IntervalSet(1...first.lastPosition)
            let all = IntervalSet(1...first.lastPosition + 100)
            for newestFirst in [false, true] {
                let (batch, missing) = try BatchReader(relayID: "r")
                    .read(order(all, maxBytes: 8 << 20, newestFirst: newestFirst), from: log)
                #expect(missing == gone, "newest first: \(newestFirst)")
                #expect(batch?.numbers == all.subtracting(gone))
            }
            let (batch, missing) = try BatchReader(relayID: "r").read(order(gone), from: log)
            #expect(batch == nil && missing == gone)
        }
    }

    @Test("the note of alerts survives being cut anywhere and believes nothing that it did not write")
    func alertIndex() {
        let first = AlertIndex.lines(alerts: IntervalSet([3...5, 9...9]), through: 20)
        let bytes = first + AlertIndex.lines(alerts: IntervalSet(21...21), through: 40)
        let whole = AlertIndex(bytes)
        #expect(whole.alerts == IntervalSet([3...5, 9...9, 21...21]) && whole.through == 40)
        for length in 0...bytes.count {
            let part = AlertIndex(Array(bytes.prefix(length)))
            #expect(part.alerts.subtracting(whole.alerts).isEmpty)
            #expect(part.through <= (length < first.count ? 0 : length < bytes.count ? 20 : 40))
            // Everything up to its mark is there.
            let known = whole.alerts.intersection(IntervalSet(1...max(1, part.through)))
            #expect(known.subtracting(part.alerts).isEmpty)
        }
        for damage in ["a 0 1\n", "a -4 2\n", "a 5\n", "t x\n", "\0\0\0\n", "a 1 9999999999\n", "t 10\n", "nonsense\n"]
        {
            let damaged = AlertIndex(
                first + Array(damage.utf8) + AlertIndex.lines(alerts: IntervalSet(30...30), through: 50))
            #expect(damaged.through == 20 && !damaged.alerts.contains(30), "\(damage)")
        }
    }
}
