// Which partitions an archiver of a cluster writes. Without a scope there is one archiver for a lake, its stream is
// embedded, and a batch is archived whole.
//
// With one, the stream gives every batch as one message for each partition (`StreamedBatch.partition`), all on one axis
// of positions. Each partition goes its own way: it has its own position (`txn(archiver-pNN)`), its own sets of
// settled numbers and of identities, its own files and its own snapshots. So any set of partitions can be written by
// anybody at any time, and moving one takes nothing but reading its state from the lake. `cluster-archive.md` in docs
// has the whole argument.

package struct ArchiverScope: Hashable, Sendable {
    package static let counts = 1...100

    /// Ascending.
    package let owned: [Int]
    /// Of the lake: the same for its whole life.
    package let count: Int

    package init(owned: some Sequence<Int>, of count: Int) {
        precondition(Self.counts.contains(count), "an archive has 1 to 100 partitions")
        self.owned = Set(owned).sorted()
        self.count = count
        precondition(self.owned.allSatisfy { (0..<count).contains($0) }, "a partition is one of its number")
    }

    package var isWhole: Bool { owned.count == count }

    var partitions: [DronePartition] { owned.map { DronePartition(index: $0, count: count) } }
}
