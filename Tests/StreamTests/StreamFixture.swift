// The cluster's stream on real servers, as a node would hold it.

import Central
import Log
import Models
import NATS
import SyncProtocol
import System
import TestSupport

final class StreamNode: Sendable {
    let stream: NATSStream
    private let thread: WorkerThread

    init(
        _ servers: NATSServers, partitions: Int = 4, replicas: Int? = nil, maxBytes: Int64 = 256 << 20,
        archivedThrough: Int64 = 0, name: String = "node", batchSeconds: Double? = nil, lake: String? = nil,
        only: Int? = nil,
        onFatal: @escaping @Sendable (String) -> Void = { _ in }
    ) throws {
        var configuration = Self.configuration(
            servers, partitions: partitions, replicas: replicas, maxBytes: maxBytes, name: name)
        configuration.lake = lake
        if let only { configuration.nats.urls = [servers.urls[only]] }
        if let batchSeconds { configuration.publishing.batchNanoseconds = UInt64(batchSeconds * 1e9) }
        let stream = try NATSStream(
            configuration, archivedThrough: archivedThrough, time: SystemTime(),
            log: Log(component: "test", minimum: .error), onFatal: onFatal)
        self.stream = stream
        thread = WorkerThread(name: "stream-writer", stackBytes: 4 << 20) { stream.run() }
    }

    static func configuration(
        _ servers: NATSServers, partitions: Int = 4, replicas: Int? = nil, maxBytes: Int64 = 256 << 20,
        name: String = "node"
    ) -> NATSStreamConfiguration {
        var configuration = NATSStreamConfiguration(nats: NATSConfiguration(urls: servers.urls, name: name))
        configuration.partitions = partitions
        configuration.replicas = replicas ?? servers.count
        configuration.maxBytes = maxBytes
        configuration.refreshSeconds = 0.25
        configuration.startSeconds = 30
        return configuration
    }

    deinit { stop() }

    /// Answers everything that was taken, then lets go.
    func stop() {
        stream.close()
        thread.join()
        stream.closeLog()
    }

    /// Appends and waits for the answer. Throws what the stream answered.
    @discardableResult
    func append(_ batch: NewBatch) throws -> Int64 {
        let answer = Monitor<Result<Int64, any Error>?>(nil)
        guard stream.append(batch, answer: { result in answer.update { $0 = result } }) else { throw NotTaken() }
        let result = answer.wait(timeoutSeconds: 60) { $0 } ?? .failure(NotTaken())
        return try result.get()
    }

    struct NotTaken: Error {}
}

/// What archivers would have made of the entries: per partition the record numbers that are settled, and the lines.
struct Settled {
    private(set) var covers: [Int: IntervalSet] = [:]
    private(set) var lines: [Int64: Int] = [:]
    private var last: [Int: Int64] = [:]
    let partitions: Int

    init(partitions: Int) { self.partitions = partitions }

    /// An archiver skips a line whose number is settled: a resend is no row.
    mutating func take(_ entry: StreamEntry, numbers: [Int64]) {
        let partition = entry.partition ?? 0
        let settled = covers[partition] ?? IntervalSet()
        for n in numbers where !settled.contains(n) { lines[n, default: 0] += 1 }
        covers[partition, default: IntervalSet()].formUnion(entry.header.numbers)
        last[partition] = max(last[partition] ?? 0, entry.position)
    }

    /// Settled in every partition: what a relay would be told `archived`.
    var archived: IntervalSet {
        (0..<partitions).reduce(covers[0] ?? IntervalSet()) { $0.intersection(covers[$1] ?? IntervalSet()) }
    }

    var cursor: StreamCursor {
        .partitions(Dictionary(uniqueKeysWithValues: (0..<partitions).map { ($0, last[$0] ?? 0) }))
    }
}
