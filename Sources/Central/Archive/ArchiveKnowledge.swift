// What the rest of central asks the archive, whoever does the archiving: in one process the archiver knows it by itself
// (`Archiver`), in a cluster a node learns it from the commits of all (`ArchiveFollower`). Both speak of committed
// versions only, so nothing said from this can be taken back (I4).

package import SyncProtocol

/// Thread-safe; answers from memory, at once.
package protocol ArchiveKnowledge: Sendable {
    /// Every batch up to this stream position is in a committed version, whichever partition it belongs to.
    var committedPosition: Int64 { get }
    /// The record numbers of one life of a relay that are archived: in a cluster those that every partition has
    /// settled.
    func archivedRanges(relayID: String, epoch: String) -> IntervalSet
    /// nil if nothing of this life of the relay is archived.
    func relayState(relayID: String, epoch: String) -> RelayArchiveState?
    var statistics: ArchiveStatistics { get }
}

extension Archiver: ArchiveKnowledge {}
