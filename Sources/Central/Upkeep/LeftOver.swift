// Which Parquet files in a table's folder its newest version does not name, and which of them may go. Pure.

package import Models
package import ObjectStore

package struct LeftOver: Hashable, Sendable {
    package struct File: Hashable, Sendable {
        package var key: String
        /// Relative to the table.
        package var path: String
        package var bytes: Int
    }

    /// Left the table longer ago than the grace: replaced by a compaction.
    package var replaced: [File] = []
    /// No version that is remembered names them: a crash came before their commit.
    package var orphans: [File] = []
    /// Left the table within the grace.
    package var kept = 0
    /// Named by nobody and younger than the grace: perhaps about to be committed.
    package var young = 0

    package var removable: [File] { replaced + orphans }

    /// `objects` must have been listed before `snapshot` was read.
    package static func find(
        in objects: [ObjectInfo], table: String, _ snapshot: DeltaSnapshot, now: Timestamp, graceSeconds: Double
    ) -> LeftOver {
        var left = LeftOver()
        let prefix = table + "/"
        for object in objects where object.key.hasPrefix(prefix) && object.key.hasSuffix(".parquet") {
            let path = String(object.key.dropFirst(prefix.count))
            guard !path.hasPrefix("_"), snapshot.files[path] == nil else { continue }
            let file = File(key: object.key, path: path, bytes: object.bytes)
            let isYoung = now.seconds(since: Timestamp(microseconds: object.modifiedMicroseconds)) <= graceSeconds
            if let removedAt = snapshot.removed[path] {
                let isRecent =
                    removedAt > 0
                    ? now.seconds(since: Timestamp(microseconds: removedAt * 1000)) <= graceSeconds : isYoung
                if isRecent { left.kept += 1 } else { left.replaced.append(file) }
            } else if isYoung {
                left.young += 1
            } else {
                left.orphans.append(file)
            }
        }
        return left
    }
}

extension DeltaTable {
    /// Removes files the newest version does not name, once they are older than the grace; returns what went (with
    /// `dryRun`: what would go). Readers that opened an older version longer ago than that fail.
    package func vacuum(now: Timestamp, graceSeconds: Double, dryRun: Bool = false) throws -> LeftOver {
        let objects = try store.list(schema.name)
        let snapshot = try refresh()
        guard snapshot.version >= 0 else { return LeftOver() }
        let left = LeftOver.find(in: objects, table: schema.name, snapshot, now: now, graceSeconds: graceSeconds)
        if !dryRun {
            for file in left.removable { try store.remove(file.key) }
        }
        return left
    }
}
