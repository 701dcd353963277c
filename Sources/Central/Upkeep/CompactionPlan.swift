// Which files to replace by fewer, larger ones. Pure: a table's files and the time go in, jobs come out.
//
// Rows come in small files, for freshness. A job takes files of one day and one partition that are neighbours in the
// order of arrival, so that a large file is a slice of time, sorted by place inside. Rules:
// - A file of half the target or more is never rewritten: every row is rewritten a few times at most.
// - While a day still grows, files wait in two tiers until enough of them are together: small ones become middling
//   ones, middling ones become large ones.
// - A day is closed when it is over and nothing has come for an hour; then what is left is put together.
// - Files that Columba did not write, and files of an archive call that `reports` does not have yet, are left alone.

package struct CompactionSettings: Hashable, Sendable {
    /// A large file has about so many bytes, from half to one and a half times as many.
    package var targetBytes = 256 << 20
    /// So many files of a tier, or more, are put together while their day still grows.
    package var filesPerStep = 16
    /// A closed day with fewer files than this below half the target is left as it is.
    package var filesOfClosedDay = 4
    package var closedAfterSeconds = 3600.0
    /// A job opens all its files at once.
    static let maxFilesPerJob = 512

    package init() {}

    /// Below this a file is of the first tier.
    var smallBytes: Int { max(1, targetBytes / 64) }
    /// Below this it is of the second.
    var middlingBytes: Int { max(1, targetBytes / 4) }
    var largeBytes: Int { max(1, targetBytes / 2) }
}

package struct CompactionJob: Hashable, Sendable {
    package var table: String
    /// Empty for a table without days.
    package var day: String
    package var partition: DronePartition?
    /// In the order of arrival.
    package var files: [DeltaFile]

    package var bytes: Int { files.reduce(0) { $0 + $1.bytes } }
    package var rows: Int { files.reduce(0) { $0 + $1.rows } }
}

package enum CompactionMode: Hashable, Sendable {
    /// What a person asked for: everything that can be put together.
    case everything
    /// What central does by itself, now (microseconds since 1970).
    case automatic(now: Int64)
}

package struct CompactionPlan {
    let settings: CompactionSettings

    package init(_ settings: CompactionSettings) {
        precondition(settings.filesPerStep > 1 && settings.filesOfClosedDay > 1, "one file alone is not compacted")
        self.settings = settings
    }

    private struct Place: Hashable {
        var day: String
        var partition: DronePartition?
    }

    /// `through`: the stream position that `reports` has.
    package func jobs(
        table: String, files: some Sequence<DeltaFile>, through position: Int64, _ mode: CompactionMode
    ) -> [CompactionJob] {
        var places: [Place: [DeltaFile]] = [:]
        for file in files {
            guard let filePosition = file.position, filePosition <= position else { continue }
            guard file.bytes < settings.largeBytes else { continue }
            places[Place(day: file.day, partition: file.tags.partition), default: []].append(file)
        }
        let order = places.keys.sorted {
            ($0.day, $0.partition?.count ?? 0, $0.partition?.index ?? 0)
                < ($1.day, $1.partition?.count ?? 0, $1.partition?.index ?? 0)
        }
        return order.flatMap { place -> [CompactionJob] in
            let waiting = (places[place] ?? []).sorted {
                ($0.tags.firstPosition ?? 0, $0.path) < ($1.tags.firstPosition ?? 0, $1.path)
            }
            return groups(waiting, place.day, mode).map {
                CompactionJob(table: table, day: place.day, partition: place.partition, files: $0)
            }
        }
    }

    private func groups(_ files: [DeltaFile], _ day: String, _ mode: CompactionMode) -> [[DeltaFile]] {
        guard case .automatic(let now) = mode else { return packed(files).filter { $0.count > 1 } }
        if isClosed(day, files, now) {
            guard files.count >= settings.filesOfClosedDay else { return [] }
            return packed(files).filter { $0.count > 1 }
        }
        let small = files.filter { $0.bytes < settings.smallBytes }
        let middling = files.filter { $0.bytes >= settings.smallBytes && $0.bytes < settings.middlingBytes }
        return packed(small).filter { $0.count >= settings.filesPerStep || isLarge($0) }
            + packed(middling).filter { $0.count >= settings.filesPerStep || isLarge($0) }
    }

    private func isLarge(_ group: [DeltaFile]) -> Bool {
        group.count > 1 && group.reduce(0) { $0 + $1.bytes } >= settings.largeBytes
    }

    private func isClosed(_ day: String, _ files: [DeltaFile], _ now: Int64) -> Bool {
        guard !day.isEmpty, day < RowEncoder.dayText(Int(now / 86_400_000_000)) else { return false }
        let newest = files.map(\.modificationTime).max() ?? 0
        return Double(now / 1000 - newest) / 1000 >= settings.closedAfterSeconds
    }

    /// Neighbours together until they reach the target.
    private func packed(_ files: [DeltaFile]) -> [[DeltaFile]] {
        var groups: [[DeltaFile]] = []
        var group: [DeltaFile] = []
        var bytes = 0
        for file in files {
            group.append(file)
            bytes += file.bytes
            if bytes >= settings.targetBytes || group.count >= CompactionSettings.maxFilesPerJob {
                groups.append(group)
                group = []
                bytes = 0
            }
        }
        return group.isEmpty ? groups : groups + [group]
    }
}
