// What a node knows of the stream from headers alone.

import Central
import Models
import SyncProtocol
import TestSupport
import Testing

@Suite("the stream's backlog")
struct StreamBacklogTests {
    @Test("what waits is counted beyond each partition's own position")
    func counts() {
        var backlog = StreamBacklog()
        for position in Int64(1)...40 { backlog.add(position, partition: Int(position % 4), records: Int(position)) }
        #expect(backlog.lastPosition == 40)
        #expect(backlog.waiting(after: .everything(after: 0)) == (40, 820))
        #expect(backlog.waiting(after: .everything(after: 38)) == (2, 79))
        #expect(
            backlog.waiting(after: .partitions([0: 36, 3: 0])) == (
                11, 40 + (3...39).filter { $0 % 4 == 3 }.reduce(0, +)
            ))
        #expect(backlog.waiting(after: .partitions([:])) == (0, 0))
        #expect(backlog.hasMore(than: .partitions([0: 39])) && !backlog.hasMore(than: .partitions([0: 40, 3: 39])))
        #expect(backlog.hasMore(than: .everything(after: 39)) && !backlog.hasMore(than: .everything(after: 40)))
        #expect(!backlog.hasMore(than: .partitions([9: 0])))
    }

    @Test("an entry told twice counts once, and one known from its acknowledgement alone can be waited for")
    func twice() {
        var backlog = StreamBacklog()
        backlog.saw(5, partition: 1)
        #expect(backlog.hasMore(than: .partitions([1: 4])) && backlog.waiting(after: .everything(after: 0)) == (0, 0))
        backlog.add(3, partition: 1, records: 2)
        backlog.add(5, partition: 1, records: 4)
        backlog.add(5, partition: 1, records: 4)
        backlog.add(3, partition: 1, records: 2)
        #expect(backlog.waiting(after: .everything(after: 0)) == (2, 6))
        #expect(!backlog.hasMore(than: .partitions([1: 5])))
    }

    @Test("released entries are forgotten, by this node's release or another one's")
    func release() {
        var backlog = StreamBacklog()
        for position in Int64(1)...20 { backlog.add(position, partition: Int(position % 2), records: 1) }
        #expect(backlog.holds(0, through: 2) && !backlog.holds(0, through: 1))
        backlog.release(.partitions([0: 10]))
        #expect(backlog.waiting(after: .everything(after: 0)) == (15, 15))
        #expect(!backlog.holds(0, through: 10) && backlog.holds(0, through: 12) && backlog.holds(1, through: 1))
        backlog.keepNewest(3, of: 1)
        #expect(backlog.waiting(after: .everything(after: 0)) == (8, 8))
        #expect(backlog.waiting(after: .partitions([1: 14])) == (3, 3))
        backlog.keepNewest(30, of: 1)
        backlog.keepNewest(0, of: 0)
        #expect(backlog.waiting(after: .everything(after: 0)) == (3, 3))
        #expect(backlog.lastPosition == 20 && backlog.hasMore(than: .partitions([0: 19])))
    }

    @Test("memory stays bounded however much waits, and totals stay exact")
    func bounded() {
        var backlog = StreamBacklog()
        let count: Int64 = 100_000
        for position in 1...count { backlog.add(position, partition: 0, records: 3) }
        #expect(backlog.waiting(after: .everything(after: 0)) == (100_000, 300_000))
        let half = backlog.waiting(after: .everything(after: 50_000))
        #expect(abs(half.entries - 50_000) < 200 && abs(half.records - 150_000) < 600)
        #expect(backlog.blockCount <= StreamBacklog.maxBlocks)
        backlog.release(.everything(after: count))
        #expect(backlog.waiting(after: .everything(after: 0)) == (0, 0))
    }
}

@Suite("a reader's place in the stream")
struct StreamCursorTests {
    private func entry(_ position: Int64, _ partition: Int?) -> StreamEntry {
        StreamEntry(
            position: position, receivedAt: .init(microseconds: 0),
            header: StreamHeader(
                relay: "r", epoch: "e", numbers: .init(), rejected: [], records: 0, partition: partition), payload: [])
    }

    @Test("a cursor wants what lies beyond it, in its partitions, and moves with what was read")
    func cursor() {
        var cursor = StreamCursor.partitions([1: 10, 3: 20])
        #expect(cursor.lowest == 10 && cursor.position(in: 3) == 20 && cursor.position(in: 2) == nil)
        #expect(cursor.wants(11, in: 1) && !cursor.wants(20, in: 3) && !cursor.wants(99, in: 2))
        cursor.pass(entry(15, 1))
        cursor.pass(entry(12, 1))
        cursor.pass(entry(90, 2))
        #expect(cursor == .partitions([1: 15, 3: 20]))
        var all = StreamCursor.everything(after: 4)
        #expect(all.wants(5, in: 7) && all.wants(5, in: nil) && !all.wants(4, in: nil))
        all.pass(entry(9, 2))
        #expect(all == .everything(after: 9))
        var embedded = StreamCursor.partitions([0: 1])
        embedded.pass(entry(2, nil))
        #expect(embedded == .partitions([0: 2]) && embedded.wants(3, in: nil))
        #expect(StreamCursor.partitions([:]).lowest == .max)
    }
}
