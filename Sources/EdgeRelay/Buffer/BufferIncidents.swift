// What went wrong with stored records, for the operator: in the log, in `/v1/status` and as metrics, with exact numbers.

package import Models
package import SegmentedLog
import JSON
import Synchronization

package struct BufferIncident: Sendable, Equatable {
    package var at: Timestamp
    package var epoch: String
    /// `salvaged`, `damaged`, `overlap` or `unreadable`.
    package var kind: String
    package var path: String
    package var detail: String
    package var keptRecords: Int
    package var lost: [ClosedRange<Int64>]
    /// False if records beyond the known ones may be lost too.
    package var isExact: Bool

    package var lostRecords: Int { lost.reduce(0) { $0 + $1.count } }

    package init(_ incident: LogIncident, epoch: String, at: Timestamp) {
        self.at = at
        self.epoch = epoch
        kind = "\(incident.kind)"
        path = incident.path
        detail = incident.detail
        keptRecords = incident.salvagedEntries
        lost = incident.lostPositions
        isExact = incident.lossIsExact
    }

    func appendJSON(to output: inout JSONWriter) {
        output.object {
            $0.member("at", at)
            $0.member("epoch", epoch)
            $0.member("kind", kind)
            $0.member("file", path)
            $0.member("detail", detail)
            $0.member("kept_records", keptRecords)
            $0.member("lost_records", lostRecords)
            $0.member("exact", isExact)
            $0.key("lost")
            $0.array { output in
                for range in lost.prefix(BufferIncidents.rangesShown) {
                    output.array {
                        $0.integer(range.lowerBound)
                        $0.integer(range.upperBound)
                    }
                }
            }
        }
    }
}

/// The incidents of this life of the relay.
package final class BufferIncidents: Sendable {
    /// Kept for `/v1/status`; all of them are in the log.
    package static let shown = 20
    static let rangesShown = 100

    package struct Snapshot: Sendable, Equatable {
        package var count = 0
        /// Newest first.
        package var latest: [BufferIncident] = []
    }

    private let state = Mutex(Snapshot())

    package init() {}

    package var snapshot: Snapshot { state.withLock { $0 } }

    func record(_ incident: BufferIncident) {
        state.withLock { state in
            state.count += 1
            state.latest.insert(incident, at: 0)
            if state.latest.count > Self.shown { state.latest.removeLast() }
        }
    }
}
