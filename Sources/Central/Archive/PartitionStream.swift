// What the archivers of a cluster want of its stream: a small part of `BatchStream`, so that tests can play it.
// `StreamPartitions` gives them the real one.

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
