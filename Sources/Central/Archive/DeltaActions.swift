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
}

package struct DeltaRemove: Codable, Hashable, Sendable {
    package var path: String
    package var deletionTimestamp: Int64?
    package var dataChange: Bool
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
    static func add(_ value: DeltaAdd) -> DeltaAction { DeltaAction(add: value) }
}

package enum DeltaLogFile {
    /// `<table>/_delta_log/00000000000000000007.json`
    static func key(table: String, version: Int64) -> String {
        let digits = String(version)
        return "\(table)/_delta_log/" + String(repeating: "0", count: max(0, 20 - digits.utf8.count)) + digits + ".json"
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
