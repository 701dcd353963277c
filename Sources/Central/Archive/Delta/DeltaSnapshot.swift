// The state of a Delta table at one version: what the actions of all versions up to it add up to. A checkpoint is this
// state written down, so it holds everything a checkpoint must.

package struct DeltaFile: Hashable, Sendable {
    /// Relative to the table, decoded.
    package var path: String
    package var partitionValues: [String: String?]
    package var bytes: Int
    /// Milliseconds since 1970.
    package var modificationTime: Int64
    /// As in the log.
    package var stats: String?
    package var statistics: RecordedStatistics?
    package var tags: FileTags
    /// The tags as they came, also those of other engines.
    var allTags: [String: String?]?

    package init(
        path: String, partitionValues: [String: String?], bytes: Int, modificationTime: Int64, stats: String?,
        tags: FileTags, allTags: [String: String?]? = nil
    ) {
        self.path = path
        self.partitionValues = partitionValues
        self.bytes = bytes
        self.modificationTime = modificationTime
        self.stats = stats
        self.tags = tags
        self.allTags = allTags
        statistics = RecordedStatistics(json: stats)
    }

    /// No row in it is of a later archive call than this stream position; nil if somebody else wrote it.
    package var position: Int64? { tags.lastPosition }
    package var rows: Int { statistics?.numRecords ?? 0 }

    /// Whether rows of this partition's drones may be in it. Files of a life of the lake with another number of
    /// partitions, or with none, may hold anybody's.
    func mayHold(_ partition: DronePartition?) -> Bool {
        guard let partition, let own = tags.partition, own.count == partition.count else { return true }
        return own.index == partition.index
    }

    /// `2026-11-20`; empty in a table without partitions.
    package var day: String { (partitionValues["date"] ?? nil) ?? "" }
}

package struct DeltaSnapshot: Sendable {
    package var version: Int64 = -1
    package var protocolVersions: DeltaProtocol?
    package var metadata: DeltaMetadata?
    package var files: [String: DeltaFile] = [:]
    /// Files no longer part of the table, which readers of an older version may still hold open, and when they left it
    /// (milliseconds since 1970).
    package var removed: [String: Int64] = [:]
    package var transactions: [String: Int64] = [:]
    package var rows = 0
    package var bytes = 0

    package init() {}

    /// What a checkpoint says.
    init(checkpoint actions: [DeltaAction], version: Int64) throws {
        self.version = version - 1
        try apply(actions, version: version, isCheckpoint: true)
    }

    mutating func apply(_ actions: [DeltaAction], version: Int64, isCheckpoint: Bool = false) throws {
        precondition(version == self.version + 1, "versions of a table are applied in order")
        let position = actions.compactMap(\.txn).first { ArchiverPartition.isOne($0.appId) }?.version
        for action in actions {
            if let wanted = action.protocol {
                guard wanted.minReaderVersion <= 1, wanted.minWriterVersion <= 2 else {
                    throw ArchiveError.unsupportedTable(
                        detail: "it needs Delta reader \(wanted.minReaderVersion), writer \(wanted.minWriterVersion)")
                }
                protocolVersions = wanted
            }
            if let metaData = action.metaData { metadata = metaData }
            if let txn = action.txn { transactions[txn.appId] = txn.version }
            if let remove = action.remove {
                let path = PercentEncoding.decode(remove.path)
                forget(path)
                removed[path] = remove.deletionTimestamp ?? 0
            }
        }
        // Whatever a version removes, it removes from the versions before.
        for action in actions {
            if let add = action.add { keep(add, position: isCheckpoint ? nil : position) }
        }
        self.version = version
    }

    private mutating func forget(_ path: String) {
        guard let file = files.removeValue(forKey: path) else { return }
        rows -= file.rows
        bytes -= file.bytes
    }

    private mutating func keep(_ add: DeltaAdd, position: Int64?) {
        let path = PercentEncoding.decode(add.path)
        forget(path)
        removed[path] = nil
        var tags = FileTags(add.tags)
        // Columba's first files had no tags: their commit says which call wrote them.
        if tags.lastPosition == nil, let position {
            tags.firstPosition = position
            tags.lastPosition = position
        }
        let file = DeltaFile(
            path: path, partitionValues: add.partitionValues, bytes: add.size, modificationTime: add.modificationTime,
            stats: add.stats, tags: tags,
            allTags: tags.dictionary.map { (add.tags ?? [:]).merging($0) { $1 } } ?? add.tags)
        files[path] = file
        rows += file.rows
        bytes += file.bytes
    }

    /// Everything, in an order that does not depend on hashing. Files that left the table before `tombstonesSince`
    /// (milliseconds since 1970) are not mentioned any more.
    func checkpoint(tombstonesSince: Int64) -> [DeltaAction] {
        var actions: [DeltaAction] = []
        if let protocolVersions { actions.append(DeltaAction(protocol: protocolVersions)) }
        if let metadata { actions.append(DeltaAction(metaData: metadata)) }
        for (application, version) in transactions.sorted(by: { $0.key < $1.key }) {
            actions.append(
                DeltaAction(txn: DeltaTransaction(appId: application, version: version, lastUpdated: nil)))
        }
        for file in files.values.sorted(by: { $0.path < $1.path }) { actions.append(.add(file.add)) }
        for (path, at) in removed.sorted(by: { $0.key < $1.key }) where at >= tombstonesSince {
            actions.append(
                .remove(
                    DeltaRemove(path: PercentEncoding.encode(path), deletionTimestamp: at, dataChange: false)))
        }
        return actions
    }
}

extension DeltaFile {
    /// As an action that changes no data: in a checkpoint.
    var add: DeltaAdd {
        DeltaAdd(
            path: PercentEncoding.encode(path), partitionValues: partitionValues, size: bytes,
            modificationTime: modificationTime, dataChange: false, stats: stats, tags: allTags)
    }
}

/// Paths in a Delta log are percent-encoded URIs. What Columba writes needs no encoding; other writers' paths may.
enum PercentEncoding {
    static func decode(_ text: String) -> String {
        guard text.utf8.contains(UInt8(ascii: "%")) else { return text }
        var output: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            let digits = rest.prefix(2)
            if byte == UInt8(ascii: "%"), digits.count == 2,
                let value = UInt8(String(decoding: digits, as: UTF8.self), radix: 16)
            {
                output.append(value)
                rest = rest.dropFirst(2)
            } else {
                output.append(byte)
            }
        }
        return String(decoding: output, as: UTF8.self)
    }

    private static let plain = Set(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/=:@!$&'()*+,;".utf8)

    static func encode(_ text: String) -> String {
        guard !text.utf8.allSatisfy(plain.contains) else { return text }
        let digits = Array("0123456789ABCDEF".utf8)
        var output: [UInt8] = []
        for byte in text.utf8 {
            if plain.contains(byte) {
                output.append(byte)
            } else {
                output += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return String(decoding: output, as: UTF8.self)
    }
}
