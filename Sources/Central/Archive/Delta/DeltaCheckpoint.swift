// Checkpoints: the state of a table at one version as a Parquet file beside the log, so that opening the table does not
// read every version since the first, and so that old versions of the log may go.
//
// Order of writing: the Parquet file, durable and read back; only then `_last_checkpoint`, which points to it. A crash
// leaves a checkpoint nobody points to, which is harmless. Order of cleaning: from the oldest version up, and never
// what the two newest readable checkpoints need, so that a damaged checkpoint costs time and nothing else.

import FoundationEssentials
package import Models
import ObjectStore

/// Turns a checkpoint's actions into Parquet and back; DuckDB does (`DuckDBCheckpoints`).
package protocol DeltaCheckpointFormat: Sendable {
    /// `actions`: one JSON object a line. Returns a finished file, to be moved into a store.
    func parquet(ofActions actions: [UInt8]) throws -> String
    /// The actions in Parquet files that lie at these paths, one JSON object a line.
    func actions(inParquet paths: [String]) throws -> [UInt8]
}

/// `_last_checkpoint`. Only a hint: without it the log's objects are listed.
struct DeltaLastCheckpoint: Codable {
    var version: Int64
    /// Actions in it.
    var size: Int
    var sizeInBytes: Int?
    var numOfAddFiles: Int?
    /// Other engines may cut one checkpoint into several files.
    var parts: Int?
}

/// Reads a table's log: from the newest readable checkpoint, then version by version.
struct DeltaLogReader {
    let table: String
    let store: any ObjectStore
    let format: (any DeltaCheckpointFormat)?

    /// Brings `snapshot` (version -1: nothing known) to the newest version there is. `onVersion` is told each version
    /// that was read by itself, not those that a checkpoint stands for.
    func advance(
        _ snapshot: inout DeltaSnapshot, onVersion: (Int64, [DeltaAction]) throws -> Void = { _, _ in }
    ) throws {
        let hint = try lastCheckpoint()
        if snapshot.version < 0, let hint { try readCheckpoint(into: &snapshot, newest: hint.version) }
        try readVersions(&snapshot, onVersion)
        if let hint, hint.version > snapshot.version {
            // The versions in between have been cleaned away.
            try readCheckpoint(into: &snapshot, newest: hint.version)
            try readVersions(&snapshot, onVersion)
            guard snapshot.version >= hint.version else {
                throw ArchiveError.damagedLog(
                    key: DeltaLogFile.checkpointKey(table: table, version: hint.version),
                    detail: "it cannot be read, and the versions before it are gone")
            }
        }
        guard snapshot.version < 0, try !store.list(DeltaLogFile.folder(table: table)).isEmpty else { return }
        // No hint and no version 0, yet there is a log.
        try readCheckpoint(into: &snapshot, newest: .max)
        try readVersions(&snapshot, onVersion)
        guard snapshot.version >= 0 else {
            throw ArchiveError.unsupportedTable(
                detail: "\(table): version 0 of its log is gone and no checkpoint of it can be read")
        }
    }

    func lastCheckpoint() throws -> DeltaLastCheckpoint? {
        guard let bytes = try store.get(DeltaLogFile.lastCheckpointKey(table: table)) else { return nil }
        return try? JSONDecoder().decode(DeltaLastCheckpoint.self, from: Data(bytes))
    }

    private func readVersions(
        _ snapshot: inout DeltaSnapshot, _ onVersion: (Int64, [DeltaAction]) throws -> Void
    ) throws {
        while true {
            let key = DeltaLogFile.key(table: table, version: snapshot.version + 1)
            guard let bytes = try store.get(key) else { return }
            let actions = try DeltaLogFile.decode(bytes, key: key)
            try snapshot.apply(actions, version: snapshot.version + 1)
            try onVersion(snapshot.version, actions)
        }
    }

    /// The newest checkpoint up to `newest` that can be read and is beyond the snapshot; none changes nothing.
    private func readCheckpoint(into snapshot: inout DeltaSnapshot, newest: Int64) throws {
        guard format != nil else { return }
        let listed = try checkpoints().filter { $0.version <= newest && $0.version > snapshot.version }
        for candidate in listed.reversed() {
            if let read = try? read(candidate) {
                snapshot = read
                return
            }
        }
    }

    struct Checkpoint {
        var version: Int64
        var keys: [String]
    }

    /// By version.
    func checkpoints() throws -> [Checkpoint] {
        var found: [Int64: [String]] = [:]
        for object in try store.list(DeltaLogFile.folder(table: table)) {
            guard let (version, isCheckpoint) = DeltaLogFile.version(ofKey: object.key), isCheckpoint else { continue }
            found[version, default: []].append(object.key)
        }
        return found.sorted { $0.key < $1.key }.map { Checkpoint(version: $0.key, keys: $0.value) }
    }

    func read(_ checkpoint: Checkpoint) throws -> DeltaSnapshot {
        guard let format else { throw ArchiveError.unsupportedTable(detail: "checkpoints cannot be read here") }
        let lines = try format.actions(inParquet: try store.localFiles(checkpoint.keys))
        let actions = try DeltaLogFile.decode(lines, key: checkpoint.keys.first ?? table)
        let snapshot = try DeltaSnapshot(checkpoint: actions, version: checkpoint.version)
        guard snapshot.metadata != nil, snapshot.protocolVersions != nil else {
            throw ArchiveError.damagedLog(key: checkpoint.keys.first ?? table, detail: "it is not a whole checkpoint")
        }
        return snapshot
    }
}

/// How long a table's log remembers.
package struct DeltaLogRetention: Hashable, Sendable {
    /// Versions older than this may go once two checkpoints cover them.
    package var logSeconds: Double
    /// Files that left the table longer ago are not mentioned in new checkpoints.
    package var tombstoneSeconds: Double

    package init(logSeconds: Double, tombstoneSeconds: Double) {
        self.logSeconds = logSeconds
        self.tombstoneSeconds = tombstoneSeconds
    }
}

extension DeltaTable {
    /// Writes the newest version's checkpoint if the last one is at least `versions` behind; the version, or nil.
    package func writeCheckpoint(
        every versions: Int64, now: Timestamp, retention: DeltaLogRetention
    ) throws -> Int64? {
        guard let format else { return nil }
        let snapshot = try refresh()
        let last = try reader.lastCheckpoint()?.version ?? 0
        guard snapshot.version >= 0, snapshot.version - last >= versions else { return nil }
        let oldest = now.microseconds / 1000 - Int64(retention.tombstoneSeconds * 1000)
        let actions = snapshot.checkpoint(tombstonesSince: oldest)
        let file = try format.parquet(ofActions: DeltaLogFile.encode(actions))
        let key = DeltaLogFile.checkpointKey(table: schema.name, version: snapshot.version)
        try store.putFile(key, fromPath: file)
        let written = try reader.read(DeltaLogReader.Checkpoint(version: snapshot.version, keys: [key]))
        guard written.files == snapshot.files, written.transactions == snapshot.transactions else {
            throw ArchiveError.damagedLog(key: key, detail: "the checkpoint just written does not read back")
        }
        let pointer = DeltaLastCheckpoint(
            version: snapshot.version, size: actions.count, numOfAddFiles: snapshot.files.count)
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        try store.put(
            DeltaLogFile.lastCheckpointKey(table: schema.name), Array(try encoder.encode(pointer)))
        forgetTombstones(before: oldest)
        return snapshot.version
    }

    /// Removes versions of the log that nobody needs: older than the retention, before the second newest readable
    /// checkpoint, and up to `limit`. Returns how many objects went.
    package func cleanLog(now: Timestamp, retention: DeltaLogRetention, through limit: Int64 = .max) throws -> Int {
        var readable: [Int64] = []
        for checkpoint in try reader.checkpoints().reversed() where readable.count < 2 {
            if (try? reader.read(checkpoint)) != nil { readable.append(checkpoint.version) }
        }
        guard readable.count == 2, let keptFrom = readable.last else { return 0 }
        let oldest = now.microseconds - Int64(retention.logSeconds * 1e6)
        var removed = 0
        let objects = try store.list(DeltaLogFile.folder(table: schema.name))
            .compactMap { object in DeltaLogFile.version(ofKey: object.key).map { (object, $0.version) } }
            .sorted { $0.1 < $1.1 }
        for (object, version) in objects {
            guard version < keptFrom, version <= limit, object.modifiedMicroseconds < oldest else { break }
            try store.remove(object.key)
            removed += 1
        }
        return removed
    }
}
