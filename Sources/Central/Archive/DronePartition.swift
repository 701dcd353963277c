// Which of the archiver's partitions a drone belongs to: XXH3-64 of its id, modulo their number. Rows of a drone are
// only ever in files of its partition or in files of no partition, so a question about one drone passes over the rest.
// The number of partitions may change between two starts: a file's tag says how many there were when it was written.

import Crypto

package struct DronePartition: Hashable, Sendable {
    package var index: Int
    package var count: Int

    package init(index: Int, count: Int) {
        precondition(count > 0 && (0..<count).contains(index), "a partition is one of its number")
        self.index = index
        self.count = count
    }

    /// `3/4`; nil if the text is not that.
    init?(text: String) {
        let parts = text.split(separator: "/").map { Int($0) }
        guard parts.count == 2, let index = parts[0], let count = parts[1], count > 0, (0..<count).contains(index)
        else { return nil }
        self.init(index: index, count: count)
    }

    var text: String { "\(index)/\(count)" }

    package static func index(ofDrone droneID: String, count: Int) -> Int {
        guard count > 1 else { return 0 }
        return Int(XXH3.hash64(Array(droneID.utf8)) % UInt64(count))
    }

    package func mayHold(drone droneID: String) -> Bool { Self.index(ofDrone: droneID, count: count) == index }
}
