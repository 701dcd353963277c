// The reports of `make bench-archive`, written once to disk so that every engine gets the same: the raw JSON, the
// alerts, and the batches as a relay would send them (`batches.bin`: a line `first last bytes digest`, then the bytes).
//
// The reports are spread evenly over ten days and come in the order they were observed.

import Compression
import Crypto
import Glibc
import Models
import Simulation
import SyncProtocol
import System

struct ArchiveCorpus {
    let directory: String
    static let days = 10
    private static let drones = 1_000
    /// One alert for so many reports.
    private static let reportsPerAlert = 50
    private static let rules: [(name: String, severity: String)] = [
        ("low-peacescore", "critical"), ("battery", "warning"), ("words", "info"),
    ]

    struct Batch { let name: BatchName; let bytes: [UInt8]; let digest: String }

    /// Writes the files. Returns a JSON object that says what is in them.
    /// - Parameter boot: the drones' own; another one makes the same reports new ones.
    func write(reports: Int, perBatch: Int, epoch: String, boot: String) throws -> String {
        try FileSystem.makeDirectories(directory)
        let raw = try OutputFile("\(directory)/reports.ndjson")
        let alerts = try OutputFile("\(directory)/alerts.ndjson")
        let batches = try OutputFile("\(directory)/batches.bin")
        var drones = DroneSimulator(.init(drones: Self.drones, seed: 1, boot: boot)).drones
        var encoder = BatchEncoder()
        let span = Int64(Self.days) * 86_400_000_000
        // Whole days of the past, so that a day's query finds a whole day.
        let start = (SystemTime().wallMicroseconds() / 86_400_000_000 - Int64(Self.days) - 1) * 86_400_000_000
        var n: Int64 = 0
        var rawBytes = 0
        var alertCount = 0
        for index in 0..<reports {
            // In milliseconds, as drones write them.
            let at = Timestamp(microseconds: start + span / Int64(reports) * Int64(index) / 1_000 * 1_000)
            let report = drones[index % drones.count].nextReport(observedAt: at)
            rawBytes += report.body.count + 1
            raw.write(report.body)
            n += 1
            encoder.append(n: n, receivedAt: at, kind: .report, body: report.body)
            if index % Self.reportsPerAlert == 0 {
                let alert = Self.alert(report, at: at, index: index / Self.reportsPerAlert)
                alerts.write(alert)
                alertCount += 1
                n += 1
                encoder.append(n: n, receivedAt: at, kind: .alert, body: alert)
            }
            guard encoder.recordCount >= perBatch || index == reports - 1 else { continue }
            if let first = encoder.first, let last = encoder.last {
                let bytes = try Zstd.compress(encoder.bytes, level: 1)
                let digest = SHA256.hash(bytes).withBytes { ContentDigest.format($0) }
                batches.write(Array("\(first) \(last) \(bytes.count) \(digest)".utf8))
                batches.write(bytes)
            }
            encoder.removeAll()
        }
        for file in [raw, alerts, batches] { try file.close() }
        let text = """
            {"reports":\(reports),"alerts":\(alertCount),"records":\(n),"raw_bytes":\(rawBytes),\
            "epoch":"\(epoch)","first_day":"\(Timestamp(microseconds: start).utcDay)","days":\(Self.days)}
            """
        try FileSystem.writeAtomically("\(directory)/corpus.json", Array(text.utf8))
        return text
    }

    private static func alert(_ report: SimulatedReport, at: Timestamp, index: Int) -> [UInt8] {
        let rule = rules[index % rules.count]
        let digits = String(index, radix: 16)
        let id = String(repeating: "0", count: 32 - digits.utf8.count) + digits
        let (identity, time) = (report.identity, at.rfc3339)
        let text = """
            {"alert_id":"\(id)","rule":"\(rule.name)","rule_version":1,"severity":"\(rule.severity)","state":"raised",\
            "drone_id":"\(identity.droneID)","boot":"\(identity.boot)","seq":\(identity.seq),\
            "location":{"lat":48.5,"lon":2.5},"value":12.5,"limit":20,"observed_at":"\(time)",\
            "received_at":"\(time)","raised_at":"\(time)","relay_id":"bench"}
            """
        return Array(text.utf8)
    }

    /// Each batch in turn; only one is in memory.
    func forEachBatch(_ body: (Batch) throws -> Void) throws {
        guard let file = fopen("\(directory)/batches.bin", "r") else {
            throw Options.Problem.usage("\(directory)/batches.bin is missing: write it with --prepare")
        }
        defer { fclose(file) }
        let meta = String(decoding: try FileSystem.read("\(directory)/corpus.json"), as: UTF8.self)
        let epoch = String(meta.split(separator: "\"epoch\":\"").last?.prefix { $0 != "\"" } ?? "")
        var line = [CChar](repeating: 0, count: 512)
        while fgets(&line, Int32(line.count), file) != nil {
            let words = String(decoding: line.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
                .split { $0 == " " || $0 == "\n" }
            guard words.count == 4, let first = Int64(words[0]), let last = Int64(words[1]), let count = Int(words[2])
            else { throw Options.Problem.usage("batches.bin is damaged") }
            var bytes = [UInt8](repeating: 0, count: count + 1)
            guard fread(&bytes, 1, count + 1, file) == count + 1 else {
                throw Options.Problem.usage("batches.bin ends too early")
            }
            bytes.removeLast()
            let name = BatchName(relayID: "bench", epoch: epoch, first: first, last: last)
            try body(Batch(name: name, bytes: bytes, digest: String(words[3])))
        }
    }
}

/// Lines into a file, through the C library's buffer.
private final class OutputFile {
    private let file: UnsafeMutablePointer<FILE>
    private let path: String

    init(_ path: String) throws {
        guard let file = fopen(path, "w") else { throw Options.Problem.usage("cannot write \(path)") }
        self.file = file
        self.path = path
        setvbuf(file, nil, _IOFBF, 1 << 20)
    }

    func write(_ bytes: [UInt8]) {
        fwrite(bytes, 1, bytes.count, file)
        putc(0x0a, file)
    }

    func close() throws {
        let failed = ferror(file) != 0
        guard fclose(file) == 0, !failed else {
            throw Options.Problem.usage("\(path) could not be written: disk full?")
        }
    }
}
