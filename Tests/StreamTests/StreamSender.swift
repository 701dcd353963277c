// Who sends batches to the cluster's stream while its servers fail, and what came of them.

import Central
import Synchronization
import SyncProtocol
import System
import TestSupport

/// A relay: sends its batches, each again until it is acknowledged, and notes the longest pause.
final class StreamSender: Sendable {
    struct Progress {
        var acknowledged = IntervalSet()
        var batches = 0
        var resends = 0
        var longestPause = 0.0
        var isStopping = false
    }

    let progress = Mutex(Progress())

    func stop() { progress.withLock { $0.isStopping = true } }

    func run(_ node: StreamNode, seed: UInt64) {
        var source = BatchSource(seed: seed)
        let time = SystemTime()
        while !progress.withLock({ $0.isStopping }) {
            guard let batch = try? source.batch(records: 60, paddingBytes: 200, withOthers: false) else { return }
            let started = time.monotonicNanoseconds()
            while (try? node.append(batch)) == nil {
                if progress.withLock({ progress in
                    progress.resends += 1
                    return progress.isStopping
                }) {
                    return
                }
            }
            let seconds = Double(time.monotonicNanoseconds() - started) / 1e9
            progress.withLock { progress in
                progress.acknowledged.formUnion(batch.header.numbers)
                progress.batches += 1
                progress.longestPause = max(progress.longestPause, seconds)
            }
        }
    }
}

extension StreamNode {
    /// The server that leads the stream now.
    func leader(among servers: NATSServers) -> Int? {
        var index: Int?
        _ = eventually(within: 20, everyMilliseconds: 50) {
            guard let name = stream.leaderName, let found = servers.names.firstIndex(of: name) else { return false }
            index = found
            return true
        }
        return index
    }

    /// What archivers would make of all that is in the stream.
    func settle(partitions: Int) throws -> Settled {
        var settled = Settled(partitions: partitions)
        var cursor = StreamCursor.everything(after: 0)
        while true {
            let entries = try stream.read(after: cursor, maxBytes: 32 << 20)
            if entries.isEmpty { return settled }
            for entry in entries {
                settled.take(entry, numbers: try NATSStreamTests.numbers(entry))
                cursor.pass(entry)
            }
        }
    }
}
