// Counts batches for the live view: which records are new, and what the view needs of them. One thread.

import Compression
import Crypto
import JSON
import Models
import SyncProtocol

struct LiveBatch {
    enum AlertRecord {
        case raised(LiveAlert)
        case changed(AlertStateChange)
    }

    var relayID: String
    var receivedAt: Timestamp
    var reports: [LiveReport] = []
    /// In the relay's order.
    var alerts: [AlertRecord] = []
}

struct LiveCounter {
    private struct Source: Hashable { let relay: String; let epoch: String }

    private let pseudonyms: HMACSHA256
    private let lineParser = LineParser()
    private let reportParser = ReportParser()
    private var seen: [Source: IntervalSet] = [:]
    private var order: [Source] = []
    /// Lives of relays whose record numbers are remembered; older ones' resends would be counted again.
    private static let maxSources = 4_096

    init(pseudonyms: HMACSHA256) { self.pseudonyms = pseudonyms }

    /// What a batch of the stream holds; nil where it cannot be read: the archiver says so.
    func facts(of entry: StreamEntry) -> LiveFacts? {
        guard
            let lines = try? Zstd.decompress(
                entry.payload, maxBytes: SyncLimits.inflatedBatchBytes, maxRatio: SyncLimits.inflationRatio)
        else { return nil }
        let rejected = Set(entry.header.rejected.map(\.n))
        var facts = LiveFacts(relayID: entry.header.relay, epoch: entry.header.epoch, receivedAt: entry.receivedAt)
        lines.withUnsafeBytes { bytes in
            NDJSON.forEachLine(in: bytes) { _, line in
                guard let parsed = try? lineParser.parse(line), !rejected.contains(parsed.n),
                    let record = try? ExaminedRecord(parsed, reportParser)
                else { return }
                facts.add(parsed, record)
            }
        }
        return facts
    }

    /// The records that were not counted before.
    mutating func count(_ facts: LiveFacts) -> LiveBatch {
        let source = Source(relay: facts.relayID, epoch: facts.epoch)
        if seen[source] == nil { remember(source) }
        var numbers = seen.removeValue(forKey: source) ?? IntervalSet()
        var batch = LiveBatch(relayID: facts.relayID, receivedAt: facts.receivedAt)
        for (n, record) in facts.records where numbers.insert(n) {
            switch record {
            case .report(let report): batch.reports.append(report)
            case .raised(let alert):
                let person = alert.citizen.map { PersonID(pseudonyms.authenticate($0)).hex }
                batch.alerts.append(.raised(LiveAlert(alert: alert, personID: person)))
            case .changed(let change): batch.alerts.append(.changed(change))
            }
        }
        seen[source] = numbers
        return batch
    }

    private mutating func remember(_ source: Source) {
        order.append(source)
        if order.count > Self.maxSources { seen[order.removeFirst()] = nil }
    }
}
