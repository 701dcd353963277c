// The cluster's stream on one real server: what goes in comes out, in order, until it is released.

import Central
import Compression
import JSON
import Models
import NATS
import Synchronization
import SyncProtocol
import System
import TestSupport
import Testing

@Suite("the cluster's stream", .enabled(if: NATSServers.isAvailable, "nats-server is missing: make deps"))
struct NATSStreamTests {
    static func numbers(_ entry: StreamEntry) throws -> [Int64] {
        let lines = try Zstd.decompress(
            entry.payload, maxBytes: SyncLimits.inflatedBatchBytes, maxRatio: SyncLimits.inflationRatio)
        let parser = LineParser()
        var numbers: [Int64] = []
        lines.withUnsafeBytes { bytes in
            NDJSON.forEachLine(in: bytes) { _, line in
                if let n = (try? parser.parse(line))?.n { numbers.append(n) }
            }
        }
        return numbers
    }

    @Test("batches come back as parts on one axis of positions, the ledger's part last, for every reader alike")
    func roundTrip() throws {
        let servers = try NATSServers()
        let node = try StreamNode(servers)
        var source = BatchSource(seed: 21)
        let batches = try (0..<6).map { _ in try source.batch(records: 40) }
        let positions = try batches.map { try node.append($0) }
        #expect(positions == positions.sorted() && node.stream.lastPosition == positions.last)
        let all = try node.stream.read(after: .everything(after: 0), maxBytes: 64 << 20)
        #expect(all.map(\.position) == Array(1...24))
        for (index, batch) in batches.enumerated() {
            let parts = Array(all[4 * index..<4 * index + 4])
            #expect(parts.last?.partition == 0 && parts.last?.position == positions[index])
            #expect(Set(parts.compactMap(\.partition)) == [0, 1, 2, 3])
            #expect(parts.allSatisfy { $0.header.numbers == batch.header.numbers && $0.receivedAt == batch.receivedAt })
            let found = try parts.flatMap { try Self.numbers($0) }
            #expect(IntervalSet(found.map { $0...$0 }) == batch.header.numbers)
        }
        // Each partition after a position of its own; in small reads.
        var cursor = StreamCursor.partitions([1: 0, 3: 10])
        var found: [StreamEntry] = []
        while true {
            let read = try node.stream.read(after: cursor, maxBytes: 1)
            if read.isEmpty { break }
            for entry in read { cursor.pass(entry) }
            found += read
        }
        let wanted = all.filter { $0.partition == 1 || ($0.partition == 3 && $0.position > 10) }
        #expect(Set(found.map(\.position)) == Set(wanted.map(\.position)) && found.count == wanted.count)
        #expect(try node.stream.read(after: .partitions([:]), maxBytes: 1 << 20).isEmpty)
        #expect(try node.stream.read(after: .everything(after: 24), maxBytes: 1 << 20).isEmpty)
        withExtendedLifetime(servers) {}
    }

    @Test("a second node sees what the first one appended: it waits for it, counts it, is told of the batch, reads it")
    func twoNodes() throws {
        let servers = try NATSServers()
        let first = try StreamNode(servers, name: "first")
        let second = try StreamNode(servers, name: "second")
        var source = BatchSource(seed: 22)
        #expect(!second.stream.wait(beyond: 0, timeoutSeconds: 0.05))
        let waiting = Monitor<Bool?>(nil)
        let other = second.stream
        let thread = WorkerThread(name: "waits") {
            let isThere = other.wait(beyond: .partitions([2: 0]), timeoutSeconds: 60)
            waiting.update { $0 = isThere }
        }
        let batches = try (0..<3).map { _ in try source.batch(records: 30) }
        for batch in batches { try first.append(batch) }
        thread.join()
        #expect(waiting.withLock { $0 } == true)
        #expect(eventually { second.stream.records(after: 0) == 90 && second.stream.batches(after: 0) == 12 })
        #expect(second.stream.records(after: .everything(after: 4)) == 60)
        #expect(second.stream.lastPosition == 12)
        var told: [IntervalSet] = []
        try second.stream.recover(after: 0) { entry in
            #expect(entry.partition == 0 && entry.payload.isEmpty)
            told.append(entry.header.numbers)
        }
        #expect(told == batches.map(\.header.numbers))
        // From a position on, as a node that follows asks again.
        var later: [Int64] = []
        try second.stream.recover(after: 4) { later.append($0.position) }
        #expect(later == [8, 12])
        #expect(try second.stream.read(from: 5, maxBytes: 64 << 20).map(\.position) == Array(5...12))
        // A node that starts now knows the same.
        let third = try StreamNode(servers, name: "third")
        var known: [IntervalSet] = []
        try third.stream.recover(after: 0) { known.append($0.header.numbers) }
        #expect(known == told)
        #expect(eventually { third.stream.records(after: 0) == 90 })
        withExtendedLifetime(servers) {}
    }

    @Test("what is released is gone for every node, partition by partition, and the rest stays")
    func release() throws {
        let servers = try NATSServers()
        let node = try StreamNode(servers)
        let other = try StreamNode(servers, name: "other")
        var source = BatchSource(seed: 23)
        for _ in 0..<5 { try node.append(try source.batch(records: 20)) }
        let all = try node.stream.read(from: 1, maxBytes: 64 << 20)
        #expect(eventually { node.stream.batches(after: 0) == 20 && other.stream.batches(after: 0) == 20 })
        try node.stream.release(.partitions([1: 12, 2: 20]))
        let left = try node.stream.read(from: 1, maxBytes: 64 << 20)
        let wanted = all.filter { !($0.partition == 1 && $0.position <= 12) && $0.partition != 2 }
        #expect(left.map(\.position) == wanted.map(\.position))
        #expect(node.stream.batches(after: 0) == wanted.count)
        #expect(eventually { other.stream.batches(after: 0) == wanted.count })
        // Twice is harmless; everything leaves nothing, and positions go on.
        try node.stream.release(.partitions([1: 12]))
        try node.stream.release(.everything(after: 20))
        #expect(try other.stream.read(from: 1, maxBytes: 1 << 20).isEmpty)
        #expect(eventually { other.stream.totalBytes == 0 && other.stream.batches(after: 0) == 0 })
        #expect(try node.append(try source.batch(records: 1)) == 24)
        withExtendedLifetime(servers) {}
    }

    @Test("a full stream acknowledges nothing more, keeps what it has, and takes batches again after a release (F53)")
    func full() throws {
        let servers = try NATSServers()
        let node = try StreamNode(servers, maxBytes: 1 << 20)
        var source = BatchSource(seed: 24)
        var acknowledged: [Int64] = []
        var refusal: NATSError?
        for _ in 0..<40 where refusal == nil {
            do {
                acknowledged.append(
                    try node.append(try source.batch(records: 100, paddingBytes: 1_000, withOthers: false)))
            } catch let error as NATSError {
                refusal = error
            }
        }
        #expect(refusal?.isFull == true)
        #expect(!acknowledged.isEmpty)
        let ledger = try node.stream.read(after: .partitions([0: 0]), maxBytes: 64 << 20).map(\.position)
        #expect(ledger == acknowledged)
        try node.stream.release(.everything(after: node.stream.lastPosition))
        #expect(try node.append(try source.batch(records: 10)) > acknowledged.last ?? 0)
        withExtendedLifetime(servers) {}
    }

    @Test("the same batch again, by another node, is stored once and acknowledged with the position it has")
    func duplicates() throws {
        let servers = try NATSServers()
        let first = try StreamNode(servers)
        let second = try StreamNode(servers, name: "second")
        var source = BatchSource(seed: 25)
        let batch = try source.batch(records: 50)
        let position = try first.append(batch)
        #expect(try second.append(batch) == position)
        #expect(try first.append(batch) == position)
        #expect(try first.stream.read(from: 1, maxBytes: 64 << 20).count == 4)
        withExtendedLifetime(servers) {}
    }

    @Test("a batch larger than a message goes through in pieces, and a message at the limit comes back whole")
    func large() throws {
        let servers = try NATSServers()
        let node = try StreamNode(servers, partitions: 2)
        var source = BatchSource(seed: 26)
        let batch = try source.batch(records: 900, drones: 1, paddingBytes: 2_000, withOthers: false)
        try node.append(batch)
        var settled = Settled(partitions: 2)
        for entry in try node.stream.read(from: 1, maxBytes: 64 << 20) {
            settled.take(entry, numbers: try Self.numbers(entry))
        }
        #expect(settled.archived == batch.header.numbers)
        #expect(settled.lines.count == 900 && settled.lines.values.allSatisfy { $0 == 1 })
        // The servers' limit to the byte, headers included.
        let jetStream = JetStream(
            try NATSConnection(NATSConfiguration(urls: servers.urls, name: "edge"), events: { _ in }))
        var message = OutgoingMessage(
            subject: "columba.p01", headers: [("Nats-Msg-Id", "edge"), (StreamHeaderText.name, "x")], payload: [])
        message.payload = [UInt8](repeating: 7, count: (1 << 20) - message.bytes)
        #expect(message.bytes == 1 << 20)
        let position = try jetStream.publish(message).sequence
        #expect(try jetStream.read("COLUMBA", subjects: "columba.*", from: position).first?.payload == message.payload)
        message.payload.append(7)
        message.headers[0].value = "edgf"
        #expect(throws: NATSError.self) { try jetStream.publish(message) }
        // It is none of ours: readers pass over it.
        #expect(try node.stream.read(from: Int64(position), maxBytes: 1 << 20).isEmpty)
        withExtendedLifetime(servers) {}
    }

    @Test("closing answers what was taken; afterwards nothing is taken")
    func close() throws {
        let servers = try NATSServers()
        let node = try StreamNode(servers)
        var source = BatchSource(seed: 27)
        let answers = Mutex<[Int64]>([])
        for _ in 0..<10 {
            let isTaken = node.stream.append(try source.batch(records: 5)) { result in
                if case .success(let position) = result { answers.withLock { $0.append(position) } }
            }
            #expect(isTaken)
        }
        node.stop()
        #expect(answers.withLock { $0.sorted() } == answers.withLock { Array(Set($0)).sorted() })
        #expect(answers.withLock { $0.count } == 10)
        #expect(!node.stream.append(try source.batch(records: 1)) { _ in })
        #expect(!node.stream.wait(beyond: .max, timeoutSeconds: 10))
        withExtendedLifetime(servers) {}
    }

    @Test("a stream with another number of partitions is refused, and says what to set")
    func partitions() throws {
        let servers = try NATSServers()
        let node = try StreamNode(servers)
        let error = #expect(throws: NATSError.self) { try StreamNode(servers, partitions: 8) }
        #expect(error?.code == .conflict && error?.description.contains("archive.partitions") == true)
        withExtendedLifetime((servers, node)) {}
    }

    @Test("a stream larger than the servers' room is refused, and says what to set")
    func room() throws {
        let servers = try NATSServers(maxFile: "100MB")
        let error = #expect(throws: NATSError.self) { try StreamNode(servers, maxBytes: 200 << 20) }
        #expect(error?.code == .conflict && error?.description.contains("stream.max_bytes") == true)
        withExtendedLifetime(servers) {}
    }

    @Test("positions never come twice: a stream made anew begins beyond the lake, one that lost its end is filled up")
    func positionsGoOn() throws {
        let servers = try NATSServers()
        var source = BatchSource(seed: 28)
        let fresh = try StreamNode(servers, archivedThrough: 5_000)
        #expect(try fresh.append(try source.batch(records: 3)) > 5_000)
        let last = fresh.stream.lastPosition
        fresh.stop()
        // The lake has archived what the servers have lost.
        let again = try StreamNode(servers, archivedThrough: last + 700)
        let position = try again.append(try source.batch(records: 3))
        #expect(position > last + 700)
        #expect(try again.stream.read(from: last + 1, maxBytes: 1 << 20).map(\.partition).last == 0)
        #expect(try again.stream.read(from: last + 1, maxBytes: 1 << 20).count == 4)
        again.stop()
        #expect(throws: NATSError.self) { try StreamNode(servers, archivedThrough: position + 2_000_000) }
        withExtendedLifetime(servers) {}
    }

    @Test("a stream that is deleted under a running node ends the node: only a new start knows what relays hear (F51)")
    func deleted() throws {
        let servers = try NATSServers()
        let reason = Monitor<String?>(nil)
        let node = try StreamNode(servers, onFatal: { text in reason.update { $0 = text } })
        var source = BatchSource(seed: 29)
        try node.append(try source.batch(records: 3))
        #expect(eventually { node.stream.batches(after: 0) == 4 })
        let jetStream = JetStream(
            try NATSConnection(NATSConfiguration(urls: servers.urls, name: "operator"), events: { _ in }))
        try jetStream.delete("COLUMBA")
        #expect(reason.wait(timeoutSeconds: 60) { $0 }?.contains("stream is gone") == true)
        node.stop()
        // The new start takes batches again, beyond everything before.
        let next = try StreamNode(servers, archivedThrough: 4)
        #expect(try next.append(try source.batch(records: 3)) > 4)
        withExtendedLifetime(servers) {}
    }

    @Test("what arrived since a time is found by position, and whether it is all still there")
    func since() throws {
        let servers = try NATSServers()
        let node = try StreamNode(servers)
        let past = Timestamp(microseconds: 1_600_000_000_000_000)
        let future = Timestamp(microseconds: 4_000_000_000_000_000)
        #expect(node.stream.firstPosition(since: past) == (1, true))
        var source = BatchSource(seed: 30)
        for _ in 0..<2 { try node.append(try source.batch(records: 3)) }
        #expect(node.stream.firstPosition(since: past) == (1, true))
        #expect(node.stream.firstPosition(since: future) == (9, true))
        try node.stream.release(.partitions([1: 8]))
        #expect(node.stream.firstPosition(since: past).isWhole == false)
        withExtendedLifetime(servers) {}
    }
}
