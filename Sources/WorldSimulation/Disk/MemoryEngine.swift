// The archive's engine in memory: a "Parquet file" is the rows' keys and digests, read from the very JSON that DuckDB
// would be given. The real archiver, committer and recovery run on top.

package import Central
package import Crypto
package import Models
import DuckDB
import Synchronization

/// What the oracle and the look-ups need of a row.
package struct ArchivedRow: Sendable {
    package var droneID = ""
    package var boot = ""
    package var seq: Int64 = 0
    package var relayID = ""
    package var epoch = ""
    package var n: Int64 = 0
    package var digest: SHA256Digest?
    package var reason = ""
    package var kind = ""
    package var alertID = ""
    package var personID = ""

    package var number: RecordNumber { RecordNumber(source: RecordSource(relayID: relayID, epoch: epoch), n: n) }
}

/// A data file. Never changed (I10).
package final class MemoryFile: Sendable {
    package let rows: [ArchivedRow]
    private let byIdentity: [ReportIdentity: Int]
    private let byRecord: [RecordNumber: [Int]]

    init(_ rows: [ArchivedRow]) {
        self.rows = rows
        var byIdentity: [ReportIdentity: Int] = [:]
        var byRecord: [RecordNumber: [Int]] = [:]
        for (index, row) in rows.enumerated() {
            byIdentity[ReportIdentity(droneID: row.droneID, boot: row.boot, seq: row.seq)] = index
            byRecord[row.number, default: []].append(index)
        }
        self.byIdentity = byIdentity
        self.byRecord = byRecord
    }

    func digest(_ identity: ReportIdentity) -> SHA256Digest? { byIdentity[identity].flatMap { rows[$0].digest } }
    func digests(_ number: RecordNumber) -> [SHA256Digest] { (byRecord[number] ?? []).compactMap { rows[$0].digest } }
}

private final class MemorySink: RowSink {
    let path: String
    private var bytes: [UInt8] = []

    init(path: String) { self.path = path }

    func append(_ row: UnsafeRawBufferPointer, _ end: UnsafeRawBufferPointer) {
        bytes.append(contentsOf: row)
        bytes.append(contentsOf: end)
        bytes.append(0x0a)
    }

    func finish() {}
    func contents() -> [UInt8] { bytes }
}

package struct MemoryEngine: ArchiveEngine {
    let disk: MemoryDisk
    /// Of its own: several archivers may work on one disk.
    let scratch: String
    /// A report with this in it cannot be converted: the net below the net.
    static let unstorable = Array("x-unstorable".utf8)

    package init(disk: MemoryDisk, scratch: String = "scratch") {
        self.disk = disk
        self.scratch = scratch
    }

    package func reset() {
        disk.state.withLock { state in state.scratch = state.scratch.filter { !$0.key.hasPrefix("\(scratch)/") } }
    }
    package func beginCall() { reset() }
    package func endCall() { reset() }
    package func makeSink(_ name: String) -> any RowSink { MemorySink(path: name) }

    package func convert(_ buffers: [RowBuffer], archivedAt: Timestamp) throws -> [ConvertedFile] {
        var files: [ConvertedFile] = []
        for buffer in buffers {
            let bytes = try buffer.sink.contents()
            guard badLines(bytes).isEmpty else {
                throw DuckDBError(kind: .rejected, message: "Invalid Input Error: a row for the simulator's sake")
            }
            var rows: [ArchivedRow] = []
            rows.reserveCapacity(buffer.rows)
            for line in bytes.split(separator: 0x0a) { rows.append(RowScanner.scan(line)) }
            if disk.mutation == .dropOnConflict { rows.removeAll { $0.reason == "conflict" } }
            let path = "\(scratch)/\(buffer.sink.path).parquet"
            let converted = MemoryFile(rows)
            disk.state.withLock { $0.scratch[path] = converted }
            files.append(
                ConvertedFile(
                    schema: buffer.schema, day: buffer.day, path: path, statistics: buffer.statistics.json,
                    rows: rows.count, bytes: bytes.count / 6 + 1, partition: buffer.partition))
        }
        return files
    }

    package func badRows(_ buffer: RowBuffer, archivedAt: Timestamp) throws -> Set<Int> {
        Set(badLines(try buffer.sink.contents()))
    }

    private func badLines(_ bytes: [UInt8]) -> [Int] {
        // Nearly always there is none, and a search for the word in everything is cheaper than one in every line.
        guard bytes.holds(Self.unstorable) else { return [] }
        return bytes.split(separator: 0x0a).enumerated().filter { Array($0.element).holds(Self.unstorable) }
            .map(\.offset)
    }

    // MARK: - Reading back

    private func open(_ files: [String]) -> [MemoryFile] { files.compactMap { disk.rows($0) } }

    package func identityRanges(in files: [String]) -> [IdentityRange] {
        let seen = disk.mutation == .deduplicationWindow ? Array(files.suffix(2)) : files
        return open(seen).flatMap(\.rows).map {
            IdentityRange(droneID: $0.droneID, boot: $0.boot, range: $0.seq...$0.seq)
        }
    }

    package func persons(in files: [String]) -> Set<PersonID> {
        Set(open(files).flatMap(\.rows).compactMap { PersonID(hex: $0.personID) })
    }

    package func digests(of identities: Set<ReportIdentity>, in files: [String]) -> [ReportIdentity: SHA256Digest] {
        var found: [ReportIdentity: SHA256Digest] = [:]
        for file in open(files) {
            for identity in identities { if let digest = file.digest(identity) { found[identity] = digest } }
        }
        return found
    }

    package func digests(of records: Set<RecordNumber>, in files: [String]) -> [RecordNumber: [SHA256Digest]] {
        var found: [RecordNumber: [SHA256Digest]] = [:]
        for file in open(files) {
            for record in records {
                let digests = file.digests(record)
                if !digests.isEmpty { found[record, default: []] += digests }
            }
        }
        return found
    }

    /// A range for each row; when its relay received it nobody asks here.
    package func settledRecords(in files: [String], of table: TableSchema) -> [SettledRecords] {
        open(files).flatMap(\.rows).map { row in
            SettledRecords(
                source: row.number.source, range: row.n...row.n, lastReceivedAt: 0, rows: 1,
                conflicts: row.reason == "conflict" ? 1 : 0)
        }
    }
}

extension [UInt8] {
    func holds(_ wanted: [UInt8]) -> Bool {
        guard let first = wanted.first, count >= wanted.count else { return false }
        return withUnsafeBytes { bytes in
            var index = 0
            let end = bytes.count - wanted.count
            while index <= end {
                if bytes[index] == first, bytes[index..<(index + wanted.count)].elementsEqual(wanted) { return true }
                index += 1
            }
            return false
        }
    }
}
