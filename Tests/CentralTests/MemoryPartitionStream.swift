// A cluster's stream in memory: entries by position, forgotten when they are released; it can be made to fail.

import Central
import Compression
import SyncProtocol
import Synchronization
import System

final class MemoryPartitionStream: PartitionStream {
    struct Unreachable: Error {}

    private struct State {
        var entries: [StreamEntry] = []
        var failingReads = 0
        var released: [Int: Int64] = [:]
    }

    private let state = Monitor(State())

    func append(_ messages: [StreamedBatch], damaging damaged: Set<Int64> = []) throws {
        let entries = try messages.map { message in
            let header = StreamHeader(
                relay: message.relayID, epoch: message.epoch, numbers: message.cover ?? IntervalSet(),
                rejected: message.skip.ranges.joined().map {
                    RejectedRecord(n: $0, code: message.skipCodes[$0] ?? "rejected")
                },
                records: message.ndjson.split(separator: 0x0a).count, partition: message.partition)
            let payload =
                damaged.contains(message.position)
                ? Array("no frame".utf8) : try Zstd.compress(message.ndjson, level: 1)
            return StreamEntry(
                position: message.position, receivedAt: message.centralReceivedAt, header: header, payload: payload)
        }
        state.update { $0.entries = ($0.entries + entries).sorted { $0.position < $1.position } }
    }

    func failReads(_ count: Int) { state.update { $0.failingReads = count } }
    var count: Int { state.withLock { $0.entries.count } }
    var released: [Int: Int64] { state.withLock { $0.released } }

    func read(after positions: [Int: Int64], maxBytes: Int) throws -> [StreamEntry] {
        let fails = state.update { state in
            state.failingReads -= 1
            return state.failingReads >= 0
        }
        if fails { throw Unreachable() }
        return state.withLock { state in
            // A few at a time, so that one commit reads more than once.
            Array(state.entries.filter { Self.wants(positions, $0) }.prefix(7))
        }
    }

    func wait(beyond positions: [Int: Int64], timeoutSeconds: Double) -> Bool {
        state.wait(timeoutSeconds: timeoutSeconds) { state in
            state.entries.contains { Self.wants(positions, $0) } ? true : nil
        } ?? false
    }

    func records(after positions: [Int: Int64]) -> Int {
        state.withLock { $0.entries.filter { Self.wants(positions, $0) }.reduce(0) { $0 + $1.header.records } }
    }

    func release(_ positions: [Int: Int64]) {
        state.update { state in
            state.entries.removeAll { !Self.wants(positions, $0) && positions[$0.partition ?? -1] != nil }
            state.released.merge(positions) { max($0, $1) }
        }
    }

    private static func wants(_ positions: [Int: Int64], _ entry: StreamEntry) -> Bool {
        entry.partition.flatMap { positions[$0] }.map { entry.position > $0 } ?? false
    }
}
