// The splitter's promises, over generated batches.

import Central
import Compression
import Crypto
import JSON
import Models
import NATS
import SyncProtocol
import TestSupport
import Testing

/// Batches as a relay would send them, with everything that may be in one.
struct BatchSource {
    var generator: SeededGenerator
    let relay = "r-1"
    let epoch: String
    private var next: Int64 = 1

    init(seed: UInt64, epochDigit: Int = 10) {
        generator = SeededGenerator(seed: seed)
        epoch = String(repeating: String(epochDigit, radix: 16), count: 32)
    }

    private static let alertHead = #"{"alert_id":"\#(String(repeating: "0", count: 32))","rule":"r","rule_version":1,"#

    func report(_ drone: String, seq: Int64, padding: String = "") -> String {
        #"{"drone_id":"\#(drone)","seq":\#(seq),"location":{"lat":1,"lon":2},"words":["\#(padding)"]}"#
    }

    private func alert(_ drone: String) -> String {
        Self.alertHead + #""severity":"info","state":"raised","drone_id":"\#(drone)","boot":"0","seq":1,"#
            + #""observed_at":"2026-11-20T05:00:00Z","received_at":"2026-11-20T05:00:00Z","#
            + #""raised_at":"2026-11-20T05:00:00Z","relay_id":"r-1"}"#
    }

    private static let change =
        #"{"alert_id":"\#(String(repeating: "0", count: 32))","state":"acknowledged","by":"ops","note":"","#
        + #""at":"2026-11-20T05:00:00Z","relay_id":"r-1"}"#

    static func line(_ n: Int64, _ kind: String, _ body: String) -> String {
        #"{"n":\#(n),"received_at":"2026-11-20T05:00:00Z","kind":"\#(kind)","body":\#(body)}"#
    }

    mutating func text(_ count: Int) -> String {
        let letters = Array("abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
        return String((0..<count).map { _ in letters[Int.random(in: 0..<letters.count, using: &generator)] })
    }

    /// - Parameter drones: how many different ones, at most.
    mutating func batch(records: Int, drones: Int = 20, paddingBytes: Int = 20, withOthers: Bool = true) throws
        -> NewBatch
    {
        var lines: [String] = []
        for _ in 0..<records {
            next += Int64.random(in: 1...3, using: &generator)
            let drone = "pw-\(Int.random(in: 0..<drones, using: &generator))"
            switch withOthers ? Int.random(in: 0..<10, using: &generator) : 9 {
            case 0: lines.append(Self.line(next, "alert", alert(drone)))
            case 1: lines.append(Self.line(next, "alert_state", Self.change))
            case 2: lines.append(Self.line(next, "report", #"{"drone_id":"\#(drone)"}"#))
            case 3: lines.append(Self.line(next, "report", "[]") + "\r")
            default:
                lines.append(Self.line(next, "report", report(drone, seq: next, padding: text(paddingBytes))))
            }
        }
        return try Self.batch(lines, relay: relay, epoch: epoch)
    }

    static func batch(_ lines: [String], relay: String, epoch: String) throws -> NewBatch {
        let bytes = Array((lines.joined(separator: "\n") + "\n").utf8)
        let name = BatchName(relayID: relay, epoch: epoch, first: 1, last: 1 << 62)
        let examined = try BatchExamination.examine(bytes, name: name)
        let header = StreamHeader(
            relay: relay, epoch: epoch, numbers: examined.numbers,
            rejected: examined.rejected.map { RejectedRecord(n: $0.n, code: $0.code) }, records: examined.records)
        return NewBatch(
            header: header, payload: try Zstd.compress(bytes), lines: bytes,
            receivedAt: Timestamp(microseconds: 1_795_150_800_000_000))
    }
}

@Suite("a batch split into parts")
struct BatchSplitterTests {
    private static let oneMiB = 1 << 20

    private func lines(_ bytes: [UInt8]) -> [[UInt8]] {
        var lines: [[UInt8]] = []
        bytes.withUnsafeBytes { NDJSON.forEachLine(in: $0) { _, line in lines.append(Array(line)) } }
        return lines
    }

    private func text(_ part: BatchPart) throws -> [UInt8] {
        try Zstd.decompress(
            part.payload, maxBytes: SyncLimits.inflatedBatchBytes, maxRatio: SyncLimits.inflationRatio)
    }

    @Test("every line is in exactly one part, unchanged, its drone's; every part says all numbers", arguments: 1...25)
    func exact(_ round: Int) throws {
        let seed = UInt64.random(in: 0 ... .max)
        print("seed \(seed)")
        var source = BatchSource(seed: seed)
        let count = [1, 2, 3, 8, 16].randomElement(using: &source.generator) ?? 8
        let records = Int.random(in: 1...200, using: &source.generator)
        let batch = try source.batch(records: records)
        let pieces = try BatchSplitter(partitions: count, messageBytes: Self.oneMiB).split(batch)
        #expect(pieces.count == 1)
        let parts = try #require(pieces.first)
        #expect(parts.map(\.partition) == Array(0..<count))
        #expect(parts.allSatisfy { $0.header.numbers == batch.header.numbers })
        #expect(parts.reduce(0) { $0 + $1.header.records } == batch.header.records)
        #expect(parts.map(\.header.rejected) == [batch.header.rejected] + Array(repeating: [], count: count - 1))
        #expect(Set(parts.map(\.messageID)).count == count)
        let found = try parts.map { lines(try text($0)) }
        #expect(
            found.flatMap { $0 }.sorted { $0.lexicographicallyPrecedes($1) }
                == lines(batch.lines).sorted { $0.lexicographicallyPrecedes($1) })
        #expect(found.map(\.count) == parts.map(\.header.records))
        let (lineParser, reports) = (LineParser(), ReportParser())
        let rejected = Set(batch.header.rejected.map(\.n))
        for (partition, lines) in found.enumerated() {
            for line in lines {
                let drone: String? = try line.withUnsafeBytes { bytes in
                    let parsed = try lineParser.parse(bytes)
                    if rejected.contains(parsed.n) { return nil }
                    switch parsed.kind {
                    case .report: return try reports.parse(parsed.body).droneID
                    case .alert: return try Alert(json: parsed.body).droneID
                    case .alertState: return nil
                    }
                }
                #expect(partition == drone.map { DronePartition.index(ofDrone: $0, count: count) } ?? 0)
            }
        }
    }

    @Test("lines keep their order within a part")
    func order() throws {
        var source = BatchSource(seed: 7)
        let batch = try source.batch(records: 300, drones: 3)
        for part in try BatchSplitter(partitions: 4, messageBytes: Self.oneMiB).split(batch).flatMap({ $0 }) {
            let numbers = lines(try text(part)).compactMap { line in
                line.withUnsafeBytes { try? LineParser().parse($0).n }
            }
            #expect(numbers == numbers.sorted())
        }
    }

    @Test("the same batch gives the same ids on every node; another cover, other lines or another part gives others")
    func identities() throws {
        var source = BatchSource(seed: 8)
        let splitter = BatchSplitter(partitions: 4, messageBytes: Self.oneMiB)
        let batch = try source.batch(records: 50)
        var later = batch
        later.receivedAt = Timestamp(microseconds: 1)
        #expect(try splitter.split(batch)[0].map(\.messageID) == splitter.split(later)[0].map(\.messageID))
        let line = BatchSource.line(5, "report", source.report("pw-1", seq: 1))
        let middle = BatchSource.line(7, "report", source.report("pw-1", seq: 2))
        let last = BatchSource.line(9, "report", source.report("pw-1", seq: 3))
        let gap = try BatchSource.batch([line, last], relay: "r-1", epoch: source.epoch)
        let whole = try BatchSource.batch([line, middle, last], relay: "r-1", epoch: source.epoch)
        // The parts without a line differ in nothing but the cover.
        let first = Set(try splitter.split(gap)[0].map(\.messageID))
        let second = Set(try splitter.split(whole)[0].map(\.messageID))
        #expect(first.count == 4 && second.count == 4 && first.isDisjoint(with: second))
        #expect(first.allSatisfy { $0.hasPrefix("r-1/\(source.epoch)/5-9/p") })
    }

    @Test("a batch too large for a message falls into pieces that together are the batch", arguments: [1, 8])
    func pieces(_ partitions: Int) throws {
        let seed = UInt64.random(in: 0 ... .max)
        print("seed \(seed)")
        var source = BatchSource(seed: seed)
        // One drone, hardly compressible: some 2 MiB in one part.
        let batch = try source.batch(records: 900, drones: 1, paddingBytes: 2_000, withOthers: false)
        let pieces = try BatchSplitter(partitions: partitions, messageBytes: Self.oneMiB).split(batch)
        #expect(pieces.count > 1)
        var numbers = IntervalSet()
        var all: [[UInt8]] = []
        for parts in pieces {
            #expect(parts.count == partitions)
            #expect(parts.allSatisfy { $0.message().bytes <= Self.oneMiB })
            let cover = parts[0].header.numbers
            #expect(parts.allSatisfy { $0.header.numbers == cover })
            #expect(numbers.intersection(cover).isEmpty)
            numbers.formUnion(cover)
            for part in parts { all += lines(try text(part)) }
        }
        #expect(numbers == batch.header.numbers)
        #expect(all.count == batch.header.records)
        #expect(Set(all) == Set(lines(batch.lines)))
    }

    @Test("numbers with very many gaps fall into pieces whose headers a server takes")
    func gaps() throws {
        var source = BatchSource(seed: 9)
        let lines = (1...4_000).map {
            BatchSource.line(Int64($0) * 1_000_000_000, "report", source.report("pw-\($0)", seq: 1))
        }
        let batch = try BatchSource.batch(lines, relay: "r-1", epoch: source.epoch)
        let pieces = try BatchSplitter(partitions: 2, messageBytes: Self.oneMiB).split(batch)
        #expect(pieces.count > 1)
        for part in pieces.flatMap({ $0 }) {
            let header = part.message().headers.first { $0.name == StreamHeaderText.name }?.value ?? ""
            #expect(!header.isEmpty && header.utf8.count <= StreamHeaderText.maxBytes)
            let read = try #require(StreamHeaderText.decode(header, partition: part.partition))
            #expect(read.header == part.header && read.receivedAt == batch.receivedAt)
            #expect(StreamHeaderText.decode(header, partition: part.partition + 1) == nil)
        }
        #expect(pieces.reduce(into: IntervalSet()) { $0.formUnion($1[0].header.numbers) } == batch.header.numbers)
        source.generator = SeededGenerator(seed: 0)
    }

    @Test("a line in quarantine that no message could hold is left out, its number is not")
    func quarantined() throws {
        var source = BatchSource(seed: 10)
        let junk = BatchSource.line(2, "report", #""\#(source.text(1_500_000))""#)
        let good = BatchSource.line(3, "report", source.report("pw-1", seq: 1))
        let batch = try BatchSource.batch([junk, good], relay: "r-1", epoch: source.epoch)
        #expect(batch.header.rejected.map(\.n) == [2])
        let parts = try BatchSplitter(partitions: 2, messageBytes: Self.oneMiB).split(batch).flatMap { $0 }
        #expect(parts.reduce(into: IntervalSet()) { $0.formUnion($1.header.numbers) } == IntervalSet(2...3))
        #expect(parts.flatMap(\.header.rejected).map(\.n) == [2])
        #expect(try parts.flatMap { lines(try text($0)) } == [Array(good.utf8)])
        #expect(parts.allSatisfy { $0.message().bytes <= Self.oneMiB })
    }

    @Test("the largest valid record fits, however little it compresses")
    func largest() throws {
        var source = BatchSource(seed: 11)
        let words = (0..<1_000).map { _ in #""\#(source.text(250))""# }.joined(separator: ",")
        let body = #"{"drone_id":"d","seq":1,"location":{"lat":1,"lon":2},"words":[\#(words)]}"#
        #expect(body.utf8.count > 250_000 && body.utf8.count <= ReportLimits.bodyBytes)
        let batch = try BatchSource.batch([BatchSource.line(1, "report", body)], relay: "r-1", epoch: source.epoch)
        #expect(batch.header.rejected.isEmpty)
        let pieces = try BatchSplitter(partitions: 8, messageBytes: Self.oneMiB).split(batch)
        #expect(pieces.count == 1 && pieces[0].reduce(0) { $0 + $1.header.records } == 1)
    }

    @Test("a record tried again is marked in the part that holds it, and only there")
    func retry() throws {
        let source = BatchSource(seed: 12)
        var batch = try BatchSource.batch(
            [BatchSource.line(4, "report", source.report("pw-3", seq: 1))], relay: "r-1", epoch: source.epoch)
        batch.header.retry = "q-1"
        let parts = try BatchSplitter(partitions: 8, messageBytes: Self.oneMiB).split(batch)[0]
        let home = DronePartition.index(ofDrone: "pw-3", count: 8)
        #expect(parts.filter { $0.header.retry != nil }.map(\.partition) == [home])
        #expect(parts.filter { $0.header.records > 0 }.map(\.partition) == [home])
    }

    @Test("a subject names its partition, and nothing else does")
    func subjects() {
        for index in [0, 9, 10, 63] {
            #expect(StreamSubject.partition(of: StreamSubject.name(ofPartition: index)) == index)
        }
        #expect(StreamSubject.name(ofPartition: 3) == "columba.p03")
        for text in ["columba.p3", "columba.p003", "columba.x03", "columba.p-1", "columba.p", "p03"] {
            #expect(StreamSubject.partition(of: text) == nil)
        }
    }
}
