// The deduplicator's state as an object, so that a start need not read the whole archive: identities, settled ranges
// and counts as of one version of `reports`. Only a shortcut: the tables are the truth, and a snapshot that is
// missing or damaged costs time.
//
// Form: `CDEDUP02`, then zstd of: version, position, relays, identities. Numbers are LEB128 (zigzag where they can be
// negative), strings have their length before them, ranges are differences. At the end the XXH3-64 of everything
// before the compression.

import Compression
import Crypto
import Models
package import ObjectStore
package import SyncProtocol

package struct DeduplicatorSnapshot: Sendable {
    var version: Int64
    var position: Int64
    package var identities = IdentityTracker()
    var relays: [RecordSource: RelayProgress] = [:]

    package init(version: Int64, position: Int64) {
        self.version = version
        self.position = position
    }

    private static let magic = Array("CDEDUP02".utf8)
    private static let root = "_columba/dedup"
    private static let kept = 2
    private static let maxBytes = 4 << 30
    private static let maxRatio = 100_000

    // MARK: - In the store

    /// Each partition of a cluster has a folder of its own.
    private static func folder(_ partition: Int?) -> String {
        partition.map { "\(root)/\(ArchiverPartition.folder($0))" } ?? root
    }

    private static func key(_ version: Int64, _ partition: Int?) -> String {
        let digits = String(version)
        let padded = String(repeating: "0", count: max(0, 20 - digits.utf8.count)) + digits
        return "\(folder(partition))/\(padded).snapshot"
    }

    /// By version.
    private static func keys(in store: any ObjectStore, _ partition: Int?) throws -> [String] {
        let prefix = "\(folder(partition))/"
        // Not those of partitions, where the lake's own are asked for.
        return try store.list(folder(partition)).map(\.key).filter { !$0.dropFirst(prefix.count).contains("/") }
    }

    /// Writes it and removes all but the newest two.
    func save(to store: any ObjectStore, partition: Int? = nil) throws {
        try store.put(Self.key(version, partition), try encoded())
        for old in try Self.keys(in: store, partition).dropLast(Self.kept) { try store.remove(old) }
    }

    /// The newest readable one not younger than `version` of `reports`.
    static func load(
        from store: any ObjectStore, through version: Int64, partition: Int? = nil
    ) throws -> DeduplicatorSnapshot? {
        for key in try keys(in: store, partition).reversed() {
            guard let bytes = try store.get(key), let snapshot = DeduplicatorSnapshot(encoded: bytes) else {
                continue
            }
            if snapshot.version <= version { return snapshot }
        }
        return nil
    }

    /// Up to which version of `reports` the notes in its log may go: two readable snapshots hold what they said, of the
    /// whole lake or of every partition. nil: none may.
    package static func replacedNotes(in store: any ObjectStore) throws -> Int64? {
        let cluster = try ClusterLake.read(from: store)
        let partitions: [Int?] = cluster.map { (0..<$0.partitions).map { $0 } } ?? [nil]
        var limit: Int64?
        for partition in partitions {
            let readable = try keys(in: store, partition).compactMap { key in
                try store.get(key).flatMap { DeduplicatorSnapshot(encoded: $0)?.version }
            }
            guard readable.count >= 2 else { return nil }
            limit = min(limit ?? .max, readable[readable.count - 2])
        }
        return limit
    }

    // MARK: - Form

    package func encoded() throws -> [UInt8] {
        var writer = VarintWriter()
        writer.signed(version)
        writer.signed(position)
        writer.unsigned(UInt64(relays.count))
        for (source, progress) in relays {
            writer.string(source.relayID)
            writer.string(source.epoch)
            writer.ranges(progress.settled)
            for range in progress.settled.ranges { writer.signed(progress.lastReceivedAt[range.upperBound] ?? 0) }
            writer.unsigned(UInt64(progress.rejected.count))
            for rejected in progress.rejected {
                writer.signed(rejected.n)
                writer.string(rejected.code)
            }
            for count in [
                progress.rejectedCount, progress.reports, progress.duplicates, progress.conflicts, progress.alerts,
                progress.recordConflicts,
            ] { writer.signed(Int64(count)) }
        }
        writer.unsigned(UInt64(identities.keyCount))
        identities.forEach { key, set in
            writer.string(key.droneID)
            writer.string(key.boot)
            writer.ranges(set)
        }
        let checksum = XXH3.hash64(writer.bytes)
        withUnsafeBytes(of: checksum.littleEndian) { writer.bytes.append(contentsOf: $0) }
        return Self.magic + (try Zstd.compress(writer.bytes, level: 1))
    }

    /// nil if the bytes are not a whole snapshot.
    package init?(encoded bytes: [UInt8]) {
        guard bytes.starts(with: Self.magic),
            var body = try? Zstd.decompress(
                Array(bytes.dropFirst(Self.magic.count)), maxBytes: Self.maxBytes, maxRatio: Self.maxRatio),
            body.count >= 8
        else { return nil }
        let checksum = body.suffix(8).reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        body.removeLast(8)
        guard XXH3.hash64(body) == checksum else { return nil }
        var reader = VarintReader(bytes: body)
        version = reader.signed()
        position = reader.signed()
        for _ in 0..<reader.count() {
            let source = RecordSource(relayID: reader.string(), epoch: reader.string())
            var progress = RelayProgress()
            let ranges = reader.ranges()
            for range in ranges {
                progress.settled.insert(range)
                progress.lastReceivedAt[range.upperBound] = reader.signed()
            }
            for _ in 0..<reader.count() {
                let n = reader.signed()
                progress.rejected.append(RejectedRecord(n: n, code: reader.string()))
            }
            progress.rejectedCount = Int(reader.signed())
            progress.reports = Int(reader.signed())
            progress.duplicates = Int(reader.signed())
            progress.conflicts = Int(reader.signed())
            progress.alerts = Int(reader.signed())
            progress.recordConflicts = Int(reader.signed())
            relays[source] = progress
        }
        for _ in 0..<reader.count() {
            let droneID = reader.string()
            let boot = reader.string()
            for range in reader.ranges() { identities.insert(droneID: droneID, boot: boot, range: range) }
        }
        guard reader.isWhole else { return nil }
    }
}

private struct VarintWriter {
    var bytes: [UInt8] = []

    mutating func unsigned(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }

    mutating func signed(_ value: Int64) { unsigned(UInt64(bitPattern: (value << 1) ^ (value >> 63))) }

    mutating func string(_ text: String) {
        unsigned(UInt64(text.utf8.count))
        bytes.append(contentsOf: text.utf8)
    }

    mutating func ranges(_ set: IntervalSet) {
        unsigned(UInt64(set.rangeCount))
        var last: Int64 = 0
        set.forEachRange { range in
            signed(range.lowerBound &- last)
            signed(range.upperBound &- range.lowerBound)
            last = range.upperBound
        }
    }
}

/// Total: past the end or nonsense gives zeros, and `isWhole` is false.
private struct VarintReader {
    let bytes: [UInt8]
    private var index = 0
    private var isBroken = false

    init(bytes: [UInt8]) { self.bytes = bytes }

    var isWhole: Bool { !isBroken && index == bytes.count }

    mutating func unsigned() -> UInt64 {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while index < bytes.count && shift < 64 {
            let byte = bytes[index]
            index += 1
            value |= UInt64(byte & 0x7f) << shift
            if byte < 0x80 { return value }
            shift += 7
        }
        isBroken = true
        return 0
    }

    mutating func signed() -> Int64 {
        let value = unsigned()
        return Int64(bitPattern: value >> 1) ^ -Int64(bitPattern: value & 1)
    }

    /// A number of things that each take at least a byte.
    mutating func count() -> Int {
        let value = unsigned()
        guard value <= UInt64(bytes.count - index) else {
            isBroken = true
            index = bytes.count
            return 0
        }
        return Int(value)
    }

    mutating func string() -> String {
        let length = count()
        defer { index += length }
        return String(decoding: bytes[index..<(index + length)], as: UTF8.self)
    }

    mutating func ranges() -> [ClosedRange<Int64>] {
        var ranges: [ClosedRange<Int64>] = []
        var last: Int64 = 0
        for _ in 0..<count() {
            let lower = last &+ signed()
            let upper = lower &+ signed()
            guard lower <= upper else {
                isBroken = true
                return []
            }
            ranges.append(lower...upper)
            last = upper
        }
        return ranges
    }
}
