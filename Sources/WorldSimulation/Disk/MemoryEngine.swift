// The archive's engine in memory: a "Parquet file" is the rows' keys and digests, read from the very JSON that DuckDB
// would be given. The real archiver, committer and recovery run on top.

import Central
import Crypto
import Models
import DuckDB
import Synchronization

/// What the oracle and the look-ups need of a row.
struct ArchivedRow: Sendable {
    var droneID = ""
    var boot = ""
    var seq: Int64 = 0
    var relayID = ""
    var epoch = ""
    var n: Int64 = 0
    var digest: SHA256Digest?
    var reason = ""
    var kind = ""
    var alertID = ""
    var personID = ""

    var number: RecordNumber { RecordNumber(source: RecordSource(relayID: relayID, epoch: epoch), n: n) }
}

/// A data file. Never changed (I10).
final class MemoryFile: Sendable {
    let rows: [ArchivedRow]
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

struct MemoryEngine: ArchiveEngine {
    let disk: MemoryDisk
    /// A report with this in it cannot be converted: the net below the net.
    static let unstorable = Array("x-unstorable".utf8)

    func reset() { disk.state.withLock { $0.scratch = [:] } }
    func beginCall() { reset() }
    func endCall() { reset() }
    func makeSink(_ name: String) -> any RowSink { MemorySink(path: name) }

    func convert(_ buffers: [RowBuffer], archivedAt: Timestamp) throws -> [ConvertedFile] {
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
            let path = "scratch/\(buffer.sink.path).parquet"
            let converted = MemoryFile(rows)
            disk.state.withLock { $0.scratch[path] = converted }
            files.append(
                ConvertedFile(
                    schema: buffer.schema, day: buffer.day, path: path, statistics: buffer.statistics.json,
                    rows: rows.count, bytes: bytes.count / 6 + 1))
        }
        return files
    }

    func badRows(_ buffer: RowBuffer, archivedAt: Timestamp) throws -> Set<Int> {
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

    func identityRanges(in files: [String]) -> [IdentityRange] {
        let seen = disk.mutation == .deduplicationWindow ? Array(files.suffix(2)) : files
        return open(seen).flatMap(\.rows).map {
            IdentityRange(droneID: $0.droneID, boot: $0.boot, range: $0.seq...$0.seq)
        }
    }

    func persons(in files: [String]) -> Set<PersonID> {
        Set(open(files).flatMap(\.rows).compactMap { PersonID(hex: $0.personID) })
    }

    func digests(of identities: Set<ReportIdentity>, in files: [String]) -> [ReportIdentity: SHA256Digest] {
        var found: [ReportIdentity: SHA256Digest] = [:]
        for file in open(files) {
            for identity in identities { if let digest = file.digest(identity) { found[identity] = digest } }
        }
        return found
    }

    func digests(of records: Set<RecordNumber>, in files: [String]) -> [RecordNumber: [SHA256Digest]] {
        var found: [RecordNumber: [SHA256Digest]] = [:]
        for file in open(files) {
            for record in records {
                let digests = file.digests(record)
                if !digests.isEmpty { found[record, default: []] += digests }
            }
        }
        return found
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
