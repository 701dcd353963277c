// Central's archive rate: ready-made batches, as a relay would send them, and the time until all are in a committed
// version.

import Compression
import Crypto
import Glibc
import HTTPClient
import Models
import Simulation
import SyncProtocol
import System

struct ArchiveLoad {
    private var central = ""
    private var prepared = ""
    private var corpus = ""
    private var boot = "b1"
    private var reports = 200_000
    private var reportsPerBatch = 700
    private let time = SystemTime()

    init(arguments: ArraySlice<String>) throws {
        var rest = arguments
        while let name = rest.popFirst() {
            guard let value = rest.popFirst() else { throw Options.Problem.usage("\(name) needs a value") }
            switch name {
            case "--central": central = value
            case "--prepare": prepared = value
            case "--from": corpus = value
            case "--boot": boot = value
            case "--reports": reports = max(1, Int(value) ?? 0)
            case "--batch": reportsPerBatch = max(1, Int(value) ?? 0)
            default: throw Options.Problem.usage("unknown option \(name)")
            }
        }
        guard !central.isEmpty || !prepared.isEmpty else { throw Options.Problem.usage("--central is missing") }
    }

    private typealias Batch = ArchiveCorpus.Batch

    /// One JSON object: `reports_per_s`, `raw_bytes`, `archive_bytes`, `ratio`, `seconds`.
    func run() throws -> String {
        if !prepared.isEmpty {
            return try ArchiveCorpus(directory: prepared).write(
                reports: reports, perBatch: reportsPerBatch, epoch: Random.epoch(), boot: boot)
        }
        if !corpus.isEmpty { return try runCorpus() }
        let epoch = Random.epoch()
        let (batches, rawBytes) = try prepare(epoch)
        let client = HTTPClient()
        let before = try archiveBytes(client)
        let started = time.monotonicNanoseconds()
        for batch in batches { try send(batch, client) }
        let accepted = seconds(since: started)
        let path = central + BatchName.acknowledgementsPath(relayID: "bench", epoch: epoch)
        while true {
            let answer = try client.perform(HTTPClientRequest(url: path))
            let text = String(decoding: answer.body, as: UTF8.self)
            if text.contains("\"archived\":[[1,\(reports)]]") { break }
            guard seconds(since: started) < 600 else { throw Options.Problem.usage("not archived within 10 minutes") }
            _ = poll(nil, 0, 20)
        }
        let total = seconds(since: started)
        let bytes = try archiveBytes(client) - before
        func rounded(_ value: Double) -> Double { (value * 100).rounded() / 100 }
        return """
            {"reports":\(reports),"seconds":\(rounded(total)),"received_seconds":\(rounded(accepted)),\
            "reports_per_s":\(Int(Double(reports) / total)),"raw_bytes":\(rawBytes),"archive_bytes":\(bytes),\
            "bytes_per_report":\(rounded(Double(bytes) / Double(reports))),\
            "raw_to_archive":\(rounded(Double(rawBytes) / Double(max(1, bytes))))}
            """
    }

    /// The batches of `--prepare`, read while they are sent.
    private func runCorpus() throws -> String {
        let client = HTTPClient()
        let started = time.monotonicNanoseconds()
        var last: BatchName?
        try ArchiveCorpus(directory: corpus).forEachBatch { batch in
            try send(batch, client)
            last = batch.name
        }
        let accepted = seconds(since: started)
        guard let last else { throw Options.Problem.usage("the corpus is empty") }
        let path = central + BatchName.acknowledgementsPath(relayID: "bench", epoch: last.epoch)
        while true {
            let answer = try client.perform(HTTPClientRequest(url: path))
            if String(decoding: answer.body, as: UTF8.self).contains("\"archived\":[[1,\(last.last)]]") { break }
            guard seconds(since: started) < 7_200 else { throw Options.Problem.usage("not archived within two hours") }
            _ = poll(nil, 0, 20)
        }
        return #"{"records":\#(last.last),"seconds":\#(seconds(since: started)),"received_seconds":\#(accepted)}"#
    }

    private func seconds(since start: UInt64) -> Double { Double(time.monotonicNanoseconds() - start) / 1e9 }

    private func prepare(_ epoch: String) throws -> ([Batch], rawBytes: Int) {
        var drones = DroneSimulator(
            .init(drones: 1_000, seed: 1, boot: DroneSimulator.uniqueBoot())
        ).drones
        var batches: [Batch] = []
        var encoder = BatchEncoder()
        var rawBytes = 0
        var now = time.wallMicroseconds() - 60_000_000
        for n in 1...reports {
            now += 100
            let at = Timestamp(microseconds: now)
            let report = drones[n % drones.count].nextReport(observedAt: at)
            rawBytes += report.body.count
            encoder.append(n: Int64(n), receivedAt: at, kind: .report, body: report.body)
            guard encoder.recordCount >= reportsPerBatch || n == reports else { continue }
            if let first = encoder.first, let last = encoder.last {
                let bytes = try Zstd.compress(encoder.bytes, level: 1)
                let digest = SHA256.hash(bytes).withBytes { ContentDigest.format($0) }
                batches.append(
                    Batch(
                        name: BatchName(relayID: "bench", epoch: epoch, first: first, last: last), bytes: bytes,
                        digest: digest))
            }
            encoder.removeAll()
        }
        return (batches, rawBytes)
    }

    private func send(_ batch: Batch, _ client: HTTPClient) throws {
        let request = HTTPClientRequest(
            method: "PUT", url: central + batch.name.path,
            headers: [
                ("Content-Type", "application/x-ndjson"), ("Content-Encoding", "zstd"),
                ("Content-Digest", batch.digest),
            ], body: batch.bytes)
        while true {
            let answer = try client.perform(request)
            if answer.status == 200 { return }
            guard answer.status == 503 else {
                let body = String(decoding: answer.body, as: UTF8.self)
                throw Options.Problem.usage("central answered \(answer.status): \(body)")
            }
            _ = poll(nil, 0, 50)
        }
    }

    private func archiveBytes(_ client: HTTPClient) throws -> Int {
        let answer = try client.perform(HTTPClientRequest(url: central + "/v1/status"))
        let text = String(decoding: answer.body, as: UTF8.self)
        // The archive's own bytes come first in the document.
        guard let key = text.firstRange(of: "\"bytes\":") else { return 0 }
        return Int(text[key.upperBound...].prefix { $0.isNumber }) ?? 0
    }
}
