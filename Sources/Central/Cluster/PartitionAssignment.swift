// Which live archiver has which partition of the archive. Pure: every node computes the same from the same live set,
// without asking anybody; while two nodes see different sets, the Delta log decides who commits.
//
// Rendezvous hashing (Thaler, Ravishankar, "A Name-Based Mapping Scheme for Rendezvous", 1996) with a ceiling: a
// partition goes to the node whose name and the partition's number hash highest, unless that node has its fair share
// already. Without the ceiling one of three nodes would have none of eight partitions once in nine fleets, and the
// busiest half of them. The price: when a node goes, now and then a partition moves that was not the lost node's
// (decision 0085 has the figures).

import Crypto

package struct PartitionAssignment: Sendable, Equatable {
    /// By partition; empty while nobody is live.
    package let owners: [String]

    package init(partitions: Int, archivers: Set<String>) {
        precondition(partitions > 0, "an archive has at least one partition")
        guard !archivers.isEmpty else {
            owners = []
            return
        }
        let ceiling = (partitions + archivers.count - 1) / archivers.count
        var load: [String: Int] = [:]
        owners = (0..<partitions).map { partition in
            let free = archivers.filter { load[$0, default: 0] < ceiling }
            let best = free.max { Self.rank($0, partition) < Self.rank($1, partition) }
            guard let best else { preconditionFailure("the shares of all nodes together hold every partition") }
            load[best, default: 0] += 1
            return best
        }
    }

    /// A node's claim to a partition; names break the tie that never comes.
    private static func rank(_ node: String, _ partition: Int) -> (UInt64, String) {
        (XXH3.hash64(Array(node.utf8), seed: UInt64(partition)), node)
    }

    package func owner(of partition: Int) -> String? {
        owners.indices.contains(partition) ? owners[partition] : nil
    }

    package func partitions(of node: String) -> Set<Int> {
        Set(owners.indices.filter { owners[$0] == node })
    }
}
