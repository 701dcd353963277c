// The lines of a Delta Lake commit file, as far as Columba writes and reads them (Delta transaction log protocol,
// reader version 1, writer version 2). Unknown actions and unknown members are skipped, as the protocol asks.

import FoundationEssentials

package struct DeltaProtocol: Codable, Hashable, Sendable {
    package var minReaderVersion: Int
    package var minWriterVersion: Int
}

package struct DeltaMetadata: Codable, Hashable, Sendable {
    package struct Format: Codable, Hashable, Sendable {
        package var provider: String
        package var options: [String: String]?
    }

    package var id: String
    package var name: String?
    package var format: Format
    package var schemaString: String
    package var partitionColumns: [String]
    package var configuration: [String: String]
    /// Milliseconds since 1970.
    package var createdTime: Int64?
}

package struct DeltaTransaction: Codable, Hashable, Sendable {
    package var appId: String
    package var version: Int64
    package var lastUpdated: Int64?
}

package struct DeltaAdd: Codable, Hashable, Sendable {
    /// Relative to the table, percent-encoded.
    package var path: String
    package var partitionValues: [String: String?]
    package var size: Int
    package var modificationTime: Int64
    package var dataChange: Bool
    /// A JSON object in a string: `FileStatistics`.
    package var stats: String?
    /// What Columba notes with a file: `FileTags`.
    package var tags: [String: String?]?

    package init(
        path: String, partitionValues: [String: String?], size: Int, modificationTime: Int64, dataChange: Bool,
        stats: String?, tags: [String: String?]? = nil
    ) {
        self.path = path
        self.partitionValues = partitionValues
        self.size = size
        self.modificationTime = modificationTime
        self.dataChange = dataChange
        self.stats = stats
        self.tags = tags
    }
}

package struct DeltaRemove: Codable, Hashable, Sendable {
    /// Relative to the table, percent-encoded.
    package var path: String
    /// Milliseconds since 1970.
    package var deletionTimestamp: Int64?
    package var dataChange: Bool

    package init(path: String, deletionTimestamp: Int64?, dataChange: Bool) {
        self.path = path
        self.deletionTimestamp = deletionTimestamp
        self.dataChange = dataChange
    }
}

/// Who committed, and what Columba notes with it (`ArchiveNote`).
package struct DeltaCommitInfo: Codable, Hashable, Sendable {
    package var timestamp: Int64?
    package var operation: String?
    package var engineInfo: String?
    package var isBlindAppend: Bool?
    package var columba: ArchiveNote?
}

/// One line: exactly one member is set (none in a line of a kind unknown here).
package struct DeltaAction: Codable, Hashable, Sendable {
    package var commitInfo: DeltaCommitInfo?
    package var `protocol`: DeltaProtocol?
    package var metaData: DeltaMetadata?
    package var txn: DeltaTransaction?
    package var add: DeltaAdd?
    package var remove: DeltaRemove?

    static func commitInfo(_ value: DeltaCommitInfo) -> DeltaAction { DeltaAction(commitInfo: value) }
    /// `lastUpdated`: milliseconds since 1970.
    package static func txn(_ application: String, _ version: Int64, lastUpdated: Int64) -> DeltaAction {
        DeltaAction(txn: DeltaTransaction(appId: application, version: version, lastUpdated: lastUpdated))
    }
    package static func add(_ value: DeltaAdd) -> DeltaAction { DeltaAction(add: value) }
    package static func remove(_ value: DeltaRemove) -> DeltaAction { DeltaAction(remove: value) }
}

package enum DeltaLogFile {
    static func folder(table: String) -> String { "\(table)/_delta_log" }

    /// `<table>/_delta_log/00000000000000000007.json`
    package static func key(table: String, version: Int64) -> String {
        "\(folder(table: table))/\(padded(version)).json"
    }

    /// `<table>/_delta_log/00000000000000000007.checkpoint.parquet`
    package static func checkpointKey(table: String, version: Int64) -> String {
        "\(folder(table: table))/\(padded(version)).checkpoint.parquet"
    }

    package static func lastCheckpointKey(table: String) -> String { "\(folder(table: table))/_last_checkpoint" }

    /// The version an object of the log belongs to, and whether it is (a part of) a checkpoint; nil for other objects.
    static func version(ofKey key: String) -> (version: Int64, isCheckpoint: Bool)? {
        guard let name = key.split(separator: "/").last else { return nil }
        let parts = name.split(separator: ".")
        guard parts.count >= 2, parts[0].utf8.count == 20, let version = Int64(parts[0]) else { return nil }
        if parts.count == 2, parts[1] == "json" { return (version, false) }
        if parts[1] == "checkpoint", parts.last == "parquet" { return (version, true) }
        return nil
    }

    private static func padded(_ version: Int64) -> String {
        let digits = String(version)
        return String(repeating: "0", count: max(0, 20 - digits.utf8.count)) + digits
    }

    static func encode(_ actions: [DeltaAction]) throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        var output: [UInt8] = []
        for action in actions {
            output.append(contentsOf: try encoder.encode(action))
            output.append(0x0a)
        }
        return output
    }

    static func decode(_ bytes: [UInt8], key: String) throws -> [DeltaAction] {
        let decoder = JSONDecoder()
        return try bytes.split(separator: 0x0a).map { line in
            do {
                return try decoder.decode(DeltaAction.self, from: Data(line))
            } catch {
                throw ArchiveError.damagedLog(key: key, detail: "\(error)")
            }
        }
    }
}
