// Reads batches of the stream for the live view: which records are new, and what the view needs of them. One thread.

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
    private static let cellCharacters = 6
    /// As in the archive: a clock further off than this is suspect, and its times say nothing.
    private static let suspectSeconds = 24 * 3_600.0

    init(pseudonyms: HMACSHA256) { self.pseudonyms = pseudonyms }

    /// nil where the batch cannot be read; the archiver says so.
    mutating func read(_ entry: StreamEntry) -> LiveBatch? {
        guard
            let lines = try? Zstd.decompress(
                entry.payload, maxBytes: SyncLimits.inflatedBatchBytes, maxRatio: SyncLimits.inflationRatio)
        else { return nil }
        let source = Source(relay: entry.header.relay, epoch: entry.header.epoch)
        if seen[source] == nil { remember(source) }
        var numbers = seen[source] ?? IntervalSet()
        let rejected = Set(entry.header.rejected.map(\.n))
        var batch = LiveBatch()
        lines.withUnsafeBytes { bytes in
            NDJSON.forEachLine(in: bytes) { _, line in
                guard let parsed = try? lineParser.parse(line), !rejected.contains(parsed.n),
                    numbers.insert(parsed.n)
                else { return }
                add(parsed, entry, to: &batch)
            }
        }
        seen[source] = numbers
        return batch
    }

    private mutating func remember(_ source: Source) {
        order.append(source)
        if order.count > Self.maxSources { seen[order.removeFirst()] = nil }
    }

    private func add(_ line: ParsedLine, _ entry: StreamEntry, to batch: inout LiveBatch) {
        switch line.kind {
        case .report:
            guard let report = try? reportParser.parse(line.body) else { return }
            batch.reports.append(live(report, line, entry))
        case .alert:
            guard let alert = try? Alert(json: line.body) else { return }
            let person = alert.citizen.map { PersonID(pseudonyms.authenticate($0)).hex }
            batch.alerts.append(.raised(LiveAlert(alert: alert, personID: person)))
        case .alertState:
            guard let change = try? AlertStateChange(json: line.body) else { return }
            batch.alerts.append(.changed(change))
        }
    }

    private func live(_ report: ParsedReport, _ line: ParsedLine, _ entry: StreamEntry) -> LiveReport {
        let observed = report.observedAt ?? line.receivedAt
        let isSuspect = abs(line.receivedAt.seconds(since: observed)) > Self.suspectSeconds
        return LiveReport(
            relayID: entry.header.relay, droneID: report.droneID,
            cell: Geohash.encode(
                latitude: report.latitude, longitude: report.longitude, length: Self.cellCharacters),
            latenessSeconds: isSuspect ? nil : max(0, entry.receivedAt.seconds(since: observed)),
            scores: (0..<report.citizenCount).map { index in
                let citizen = report.citizen(at: index)
                return (citizen.name.withText { XXH3.hash64($0) }, citizen.peacescore)
            })
    }
}
