// How fast reports become Parquet, and how small. Runs only when asked: COLUMBA_ARCHIVE_BENCHMARK=<file for the
// results>.
//
//   COLUMBA_ARCHIVE_BENCHMARK=/tmp/archive.txt swift test -c release --filter ArchiveBenchmark

import Central
import FoundationEssentials
import Models
import SyncProtocol
import Synchronization
import System
import Testing
import TestSupport

@Suite(.serialized) struct ArchiveBenchmark {
    static let output = Environment.variable("COLUMBA_ARCHIVE_BENCHMARK")
    private static let reportsInAll = 200_000
    private static let recordsPerBatch = 1000

    @Test("reports are archived fast and small", .enabled(if: output != nil), arguments: [20_000, 100_000])
    func rate(reportsPerCall: Int) throws {
        var corpus = BenchmarkCorpus(seed: 1)
        let fixture = try ArchiveFixture()
        let time = SystemTime()
        // Wall and own CPU time when the rows are written, when DuckDB is done, and at the end.
        let marks = Mutex<[(wall: Double, cpu: Double)]>([])
        @Sendable func mark() {
            let now = (Double(time.monotonicNanoseconds()) / 1e9, Environment.cpuSeconds)
            marks.withLock { $0.append(now) }
        }
        let archiver = try fixture.archiver(commitsPerSnapshot: 20) { step in
            if step == .convert || step == .upload { mark() }
        }
        var phases = [0.0, 0.0, 0.0, 0.0]
        var position: Int64 = 0
        var rawBytes = 0
        var parquetBytes = 0
        var seconds = 0.0
        for _ in 0..<(Self.reportsInAll / reportsPerCall) {
            var batches: [StreamedBatch] = []
            for _ in 0..<(reportsPerCall / Self.recordsPerBatch) {
                position += 1
                let batch = corpus.batch(Self.recordsPerBatch, at: position)
                rawBytes += batch.rawBytes
                batches.append(batch.batch)
            }
            marks.withLock { $0 = [] }
            mark()
            let commit = try archiver.archive(batches)
            mark()
            let at = marks.withLock { $0 }
            seconds += at[3].wall - at[0].wall
            for phase in 0..<3 { phases[phase] += at[phase + 1].wall - at[phase].wall }
            phases[3] += at[1].cpu - at[0].cpu
            parquetBytes += commit.parquetBytes
            #expect(commit.reports == reportsPerCall)
        }
        func micro(_ seconds: Double) -> Double {
            (seconds * 1e7 / Double(Self.reportsInAll)).rounded() / 10
        }
        let rate = Int(Double(Self.reportsInAll) / seconds)
        let line =
            "calls of \(reportsPerCall): \(rate) reports/s, raw \(rawBytes / Self.reportsInAll) B, "
            + "archived \(parquetBytes / Self.reportsInAll) B each (1/\(Double(rawBytes * 10 / parquetBytes) / 10)), "
            + "own resident \(Environment.residentBytes >> 20) MiB; µs a report: "
            + "prepare \(micro(phases[0])) (CPU \(micro(phases[3]))), DuckDB \(micro(phases[1])), "
            + "commit \(micro(phases[2]))\n"
        let latencies = try queryMilliseconds(fixture)
        let path = try #require(Self.output)
        let before = (try? FileSystem.read(path)) ?? []
        try FileSystem.writeAtomically(path, before + Array((line + latencies).utf8))
    }

    /// From the statement to the whole JSON answer, each in a process of its own.
    private func queryMilliseconds(_ fixture: ArchiveFixture) throws -> String {
        let configuration = QueryConfiguration(
            duckDB: fixture.duckDB, scratchDirectory: "\(fixture.directory)/queries")
        let service = try QueryService(configuration: configuration, lake: fixture.lake, time: SystemTime())
        var text = ""
        for sql in [
            "select count(*) from reports", "select hour(observed_at) as h, count(*) from reports group by 1",
            "select count(*) from reports where list_contains(words, 'market')",
            "select c.person_id, count(*) from reports, unnest(citizens) as t(c) group by 1 order by 2 desc limit 9",
            "select * from reports limit 10000",
        ] {
            let start = SystemTime().monotonicNanoseconds()
            _ = try service.run(sql: sql, format: .json)
            text += "  \((SystemTime().monotonicNanoseconds() - start) / 1_000_000) ms: \(sql)\n"
        }
        return text
    }
}

/// Reports of about 1.4 KB: 8 citizens of 20,000 people, 40 words of 8,000 with Zipf's frequencies, some telemetry,
/// one medium.
struct BenchmarkCorpus {
    private var random: SeededGenerator
    private let names: [String]
    private let words: [String]
    private var n: Int64 = 0

    init(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        func letters(_ count: Int) -> String {
            String(decoding: (0..<count).map { _ in UInt8.random(in: 97...122, using: &random) }, as: UTF8.self)
        }
        words = (0..<8000).map { _ in letters(Int.random(in: 3...10, using: &random)) }
        names = (0..<20_000).map { _ in
            letters(Int.random(in: 4...8, using: &random)).capitalized + " " + letters(8).capitalized
        }
        self.random = random
    }

    private mutating func word() -> String {
        // Zipf: the rank's logarithm is uniform.
        let rank = Int(pow2(Double.random(in: 0..<12.965, using: &random))) - 1
        return words[min(rank, words.count - 1)]
    }

    private func pow2(_ exponent: Double) -> Double {
        let whole = Int(exponent)
        let rest = exponent - Double(whole)
        // 2^rest by its series; exact enough to choose a word.
        let x = rest * 0.693147
        return Double(1 << whole) * (1 + x * (1 + x / 2 * (1 + x / 3 * (1 + x / 4))))
    }

    private mutating func report() -> String {
        let drone = n % 5000
        let seq = n / 5000 + 1
        let citizens = (0..<8).map { _ in
            let name = names[Int.random(in: 0..<names.count, using: &random)]
            let score = Double(Int.random(in: 0..<1000, using: &random)) / 10
            return
                #"{"name":"\#(name)","peacescore":\#(score),"#
                + #""confidence":0.\#(Int.random(in: 10..<99, using: &random))}"#
        }.joined(separator: ",")
        let words = (0..<40).map { _ in "\"\(word())\"" }.joined(separator: ",")
        let latitude = 48 + Double(Int.random(in: 0..<1_000_000, using: &random)) / 1e6
        let longitude = 2 + Double(Int.random(in: 0..<1_000_000, using: &random)) / 1e6
        let second = n / 100 % 60
        let key = String(random.next() | 1 << 63, radix: 16)
        return #"{"drone_id":"pw-\#(100_000 + drone)","boot":"6f1c","seq":\#(seq),"#
            + #""observed_at":"2026-11-20T05:00:\#(second < 10 ? "0" : "")\#(second).123Z","#
            + #""location":{"lat":\#(latitude),"lon":\#(longitude),"alt_m":80.5},"#
            + #""citizens":[\#(citizens)],"words":[\#(words)],"readings":{"battery_pct":\#(n % 90),"#
            + #""ground_speed_mps":4.\#(n % 10),"gps_satellites":11,"heading_deg":\#(n % 360)},"#
            + #""media":[{"uri":"s3://media/\#(key).jpg","sha256":"\#(String(repeating: key, count: 4))","#
            + #""bytes":\#(n % 90_000),"type":"image/jpeg"}]}"#
    }

    mutating func batch(_ records: Int, at position: Int64) -> (batch: StreamedBatch, rawBytes: Int) {
        var maker = BatchMaker()
        var bytes = 0
        for _ in 0..<records {
            let body = report()
            n += 1
            bytes += body.utf8.count
            maker.add(n, body, receivedAt: ArchiveFixture.start + n * 10_000)
        }
        return (maker.batch(at: position), bytes)
    }
}
