// What the archivers of a cluster want of its stream: a small part of `BatchStream`, so that tests can play it.

/// A cluster's stream, as far as archiving goes. Positions are by partition: what a reader no longer needs.
package protocol PartitionStream: Sendable {
    /// Durable entries of these partitions, each after its position, ascending; about `maxBytes` of payload. Blocks.
    func read(after positions: [Int: Int64], maxBytes: Int) throws -> [StreamEntry]
    /// Waits until there is something to read; false when the time is over.
    func wait(beyond positions: [Int: Int64], timeoutSeconds: Double) -> Bool
    /// About so many records wait there.
    func records(after positions: [Int: Int64]) -> Int
    /// Everything up to here is in committed versions.
    func release(_ positions: [Int: Int64]) throws
}

/// The cluster's stream itself.
package struct ClusterBatches: PartitionStream {
    private let stream: any BatchStream

    package init(_ stream: any BatchStream) {
        precondition(stream.partitionCount != nil, "a stream without partitions has one archiver, which needs no owner")
        self.stream = stream
    }

    package func read(after positions: [Int: Int64], maxBytes: Int) throws -> [StreamEntry] {
        try stream.read(after: .partitions(positions), maxBytes: maxBytes)
    }

    package func wait(beyond positions: [Int: Int64], timeoutSeconds: Double) -> Bool {
        stream.wait(beyond: .partitions(positions), timeoutSeconds: timeoutSeconds)
    }

    package func records(after positions: [Int: Int64]) -> Int { stream.records(after: .partitions(positions)) }

    package func release(_ positions: [Int: Int64]) throws { try stream.release(.partitions(positions)) }
}
