// The digests that the deduplicator does not remember, from the tables: as few files as possible, one question to the
// engine for each step and table.
//
// A copy has its original's time: so the first step asks only files whose range of times holds the time of something
// wanted, however large the archive. What that does not find (another report under a known identity, a report whose
// drone has no clock) is looked for in all other files that its drone, number and partition allow.

import Crypto
import Models
import ObjectStore

/// A report whose identity has been archived before.
struct IdentityQuestion {
    var identity: ReportIdentity
    /// Microseconds since 1970.
    var observedAt: Int64
}

/// A record whose number is settled already.
struct RecordQuestion {
    var number: RecordNumber
    var digest: SHA256Digest
    /// Microseconds since 1970.
    var receivedAt: Int64
}

struct DigestLookup {
    let engine: any ArchiveEngine

    /// What `reports` holds of these identities.
    func identities(
        _ questions: [IdentityQuestion], in table: DeltaTable, through position: Int64
    ) throws -> [ReportIdentity: SHA256Digest] {
        let partitions = WantedPartitions(questions.map(\.identity.droneID))
        let times = WantedTimes(questions.map(\.observedAt))
        var wanted = Set(questions.map(\.identity))
        var found: [ReportIdentity: SHA256Digest] = [:]
        for isNear in [true, false] {
            guard let drones = Bounds(wanted.map(\.droneID)), let numbers = Bounds(wanted.map(\.seq)) else { break }
            let files = files(table, through: position) { file, low, high in
                times.mayBe(from: low?.observedAt, to: high?.observedAt) == isNear
                    && drones.overlaps(low?.drone_id, high?.drone_id) && numbers.overlaps(low?.seq, high?.seq)
                    && partitions.mayBe(in: file.tags.partition)
            }
            guard !files.isEmpty else { continue }
            try table.store.withLocalFiles(files) { paths in
                found.merge(try engine.digests(of: wanted, in: paths)) { first, _ in first }
            }
            wanted.subtract(found.keys)
        }
        return found
    }

    /// Digests stored under these record numbers, in any of the tables: for each question its own digest if that is
    /// among them, else all there are. `partition`: whose records they are; files of other partitions have none of
    /// them.
    func records(
        _ questions: [RecordQuestion], in tables: [DeltaTable], through position: Int64,
        partition: DronePartition? = nil
    ) throws -> [RecordNumber: [SHA256Digest]] {
        let times = WantedTimes(questions.map(\.receivedAt))
        var open = questions
        var found: [RecordNumber: [SHA256Digest]] = [:]
        for isNear in [true, false] {
            let wanted = Set(open.map(\.number))
            guard let relays = Bounds(wanted.map(\.source.relayID)), let numbers = Bounds(wanted.map(\.n)) else {
                break
            }
            for table in tables {
                let files = files(table, through: position) { file, low, high in
                    times.mayBe(from: low?.receivedAt, to: high?.receivedAt) == isNear
                        && file.mayHold(partition)
                        && relays.overlaps(low?.relay_id, high?.relay_id)
                        && numbers.overlaps(low?.relay_seq, high?.relay_seq)
                }
                guard !files.isEmpty else { continue }
                try table.store.withLocalFiles(files) { paths in
                    found.merge(try engine.digests(of: wanted, in: paths)) { $0 + $1 }
                }
            }
            open.removeAll { found[$0.number]?.contains($0.digest) ?? false }
        }
        return found
    }

    // MARK: - Inside

    /// Which partitions the wanted drones are in, for each number of partitions that files were written with.
    private final class WantedPartitions {
        private let drones: Set<String>
        private var indices: [Int: Set<Int>] = [:]

        init(_ wanted: [String]) { drones = Set(wanted) }

        func mayBe(in partition: DronePartition?) -> Bool {
            guard let partition else { return true }
            if let known = indices[partition.count] { return known.contains(partition.index) }
            let found = Set(drones.map { DronePartition.index(ofDrone: $0, count: partition.count) })
            indices[partition.count] = found
            return found.contains(partition.index)
        }
    }

    private struct WantedTimes {
        private let sorted: [Int64]

        init(_ times: [Int64]) { sorted = times.sorted() }

        /// Whether one of them lies in the range; true if the range is not known.
        func mayBe(from low: Int64?, to high: Int64?) -> Bool {
            guard let low, let high else { return true }
            var range = sorted.startIndex..<sorted.endIndex
            while !range.isEmpty {
                let middle = range.lowerBound + range.count / 2
                if sorted[middle] < low {
                    range = (middle + 1)..<range.upperBound
                } else {
                    range = range.lowerBound..<middle
                }
            }
            return range.lowerBound < sorted.endIndex && sorted[range.lowerBound] <= high
        }
    }

    private struct Bounds<Value: Comparable> {
        var smallest: Value
        var largest: Value

        init?(_ values: [Value]) {
            guard let smallest = values.min(), let largest = values.max() else { return nil }
            self.smallest = smallest
            self.largest = largest
        }

        func overlaps(_ low: Value?, _ high: Value?) -> Bool {
            guard let low, let high else { return true }
            return low <= largest && smallest <= high
        }
    }

    /// Files a later archive call of a crashed archiver added do not count: their rows are decided again (`Archiver`).
    private func files(
        _ table: DeltaTable, through position: Int64,
        _ mayHold: (DeltaFile, RecordedStatistics.Keys?, RecordedStatistics.Keys?) -> Bool
    ) -> [SizedKey] {
        table.snapshot.files.values.filter { file in
            guard file.position ?? 0 <= position else { return false }
            return mayHold(file, file.statistics?.minValues, file.statistics?.maxValues)
        }
        .map { table.object($0) }.sorted { $0.key < $1.key }
    }
}
