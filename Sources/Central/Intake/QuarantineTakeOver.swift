// A node of a cluster that finds the file of a central alone, or of an earlier version, makes what is in it
// everybody's: records and decisions go into the vault, then the file goes. Cut short, it is done again by the next
// start.

import Log
import Models
import ObjectStore
import System

extension SharedQuarantine {
    private static let recordsPerFile = 500

    /// - Parameter directory: this machine's folder of the vault.
    package func takeOver(_ directory: String, oldPath: String? = nil) throws {
        let path = "\(directory)/\(Quarantine.folder)/quarantine.db"
        guard FileSystem.exists(path) || oldPath.map({ FileSystem.exists($0) }) ?? false else { return }
        var count = 0
        do {
            let own = try Quarantine(vault: directory, oldPath: oldPath)
            var last: String?
            while true {
                let page = try own.list(
                    states: Set(QuarantinedRecord.State.allCases), relayID: nil, after: last,
                    limit: Self.recordsPerFile)
                guard let end = page.last else { break }
                try takeOver(try page.compactMap { try own.record($0.id, withLine: true) })
                last = end.id
                count += page.count
            }
        }
        for suffix in ["", "-wal", "-shm"] where FileSystem.exists(path + suffix) {
            try FileSystem.remove(path + suffix)
        }
        log.info("quarantine_shared", ["records": .int(count)])
    }

    private func takeOver(_ records: [(record: QuarantinedRecord, line: [UInt8]?)]) throws {
        for hasBytes in [true, false] {
            var content: [UInt8] = []
            for (record, line) in records where (line != nil) == hasBytes {
                var entry = QuarantineEntry(
                    relayID: record.relayID, epoch: record.epoch, n: record.n, position: 0, code: record.code,
                    receivedAt: record.receivedAt, line: line)
                (entry.id, entry.bytes) = (record.id, record.bytes)
                entry.append(to: &content)
            }
            guard !content.isEmpty else { continue }
            let stem = "\(QuarantineFiles.folder)/taken"
            _ = try vault.putIfAbsent(QuarantineFiles.key(stem, content, numbers: !hasBytes), content)
        }
        for (record, _) in records where record.state != .waiting {
            let decision = QuarantineDecision(
                record.state, by: record.decidedBy, note: record.note, at: record.decidedAt ?? record.receivedAt)
            _ = try vault.putIfAbsent(QuarantineDecision.key(record.id, 1), decision.json())
        }
    }
}
