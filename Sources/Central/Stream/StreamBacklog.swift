// What a node knows of the entries in the stream without reading them: for each partition the last position, and how
// many entries and records wait beyond any position. Pure. Fed by the headers that every node follows.
//
// Exact for the newest entries; where very many wait, neighbours are put together and a position between them counts
// them by share, so memory is bounded whatever happens downstream (I7).

package struct StreamBacklog: Sendable {
    private struct Block {
        var first: Int64
        var last: Int64
        var entries: Int
        var records: Int

        /// The share of it beyond a position.
        func beyond(_ position: Int64) -> (entries: Int, records: Int) {
            if position < first { return (entries, records) }
            if position >= last { return (0, 0) }
            let share = Double(last - position) / Double(last - first + 1)
            return (Int((Double(entries) * share).rounded(.up)), Int((Double(records) * share).rounded(.up)))
        }
    }

    private struct Partition {
        var last: Int64 = 0
        var blocks: [Block] = []
        var entries = 0
    }

    /// Of each partition.
    package static let maxBlocks = 4_096

    private var partitions: [Int: Partition] = [:]
    package private(set) var lastPosition: Int64 = 0

    package init() {}

    /// What it takes in memory, in blocks.
    package var blockCount: Int { partitions.values.reduce(0) { $0 + $1.blocks.count } }

    /// The stream goes up to here already.
    package mutating func startBehind(_ position: Int64) { lastPosition = max(lastPosition, position) }

    /// An entry, in the order of positions within its partition; one that is known already changes nothing.
    package mutating func add(_ position: Int64, partition: Int, records: Int) {
        lastPosition = max(lastPosition, position)
        guard position > (partitions[partition]?.blocks.last?.last ?? 0) else { return }
        var entry = partitions[partition] ?? Partition()
        entry.last = max(entry.last, position)
        entry.blocks.append(Block(first: position, last: position, entries: 1, records: records))
        entry.entries += 1
        if entry.blocks.count > Self.maxBlocks { entry.blocks = Self.joined(entry.blocks) }
        partitions[partition] = entry
    }

    /// An entry that is durable though its header has not come by yet.
    package mutating func saw(_ position: Int64, partition: Int) {
        lastPosition = max(lastPosition, position)
        partitions[partition, default: Partition()].last = max(partitions[partition]?.last ?? 0, position)
    }

    private static func joined(_ blocks: [Block]) -> [Block] {
        stride(from: 0, to: blocks.count, by: 2).map { index in
            guard index + 1 < blocks.count else { return blocks[index] }
            let (left, right) = (blocks[index], blocks[index + 1])
            return Block(
                first: left.first, last: right.last, entries: left.entries + right.entries,
                records: left.records + right.records)
        }
    }

    package func hasMore(than cursor: StreamCursor) -> Bool {
        switch cursor {
        case .everything(let position): lastPosition > position
        case .partitions(let positions):
            positions.contains { partitions[$0.key].map { $0.last } ?? 0 > $0.value }
        }
    }

    /// Whether entries that nobody has released, as far as is known, lie beyond a cursor.
    package func waits(beyond cursor: StreamCursor) -> Bool {
        partitions.contains { index, partition in
            guard let position = cursor.position(in: index), let last = partition.blocks.last else { return false }
            return last.last > position
        }
    }

    package func waiting(after cursor: StreamCursor) -> (entries: Int, records: Int) {
        var entries = 0
        var records = 0
        for (index, partition) in partitions {
            guard let position = cursor.position(in: index) else { continue }
            for block in partition.blocks.reversed() {
                let beyond = block.beyond(position)
                if beyond.entries == 0 { break }
                entries += beyond.entries
                records += beyond.records
            }
        }
        return (entries, records)
    }

    /// Whether anything of a partition is still there up to a position.
    package func holds(_ partition: Int, through position: Int64) -> Bool {
        partitions[partition]?.blocks.first.map { $0.first <= position } ?? false
    }

    /// Entries that the stream may have forgotten.
    package mutating func release(_ passed: StreamCursor) {
        for index in partitions.keys {
            guard let position = passed.position(in: index), var partition = partitions[index] else { continue }
            let kept = partition.blocks.drop { $0.last <= position }
            partition.entries -= partition.blocks.prefix(partition.blocks.count - kept.count).reduce(0) {
                $0 + $1.entries
            }
            partition.blocks = Array(kept)
            partitions[index] = partition
        }
    }

    /// Another node has released entries: only the newest so many are still there.
    package mutating func keepNewest(_ count: Int, of index: Int) {
        guard var partition = partitions[index], partition.entries > count else { return }
        var blocks = partition.blocks[...]
        while let first = blocks.first, partition.entries - first.entries >= count {
            partition.entries -= first.entries
            blocks = blocks.dropFirst()
        }
        partition.blocks = Array(blocks)
        partitions[index] = partition
    }
}
