// What the live view needs of a batch, gathered where its records are parsed anyway: intake hands it over when the
// batch is durable, and only what it did not hand over (after a start, or when the view is far behind) is read from
// the stream again. Parsing every report a second time for the view cost central a seventh of its processor time.

import Crypto
package import JSON
package import Models
import Synchronization

package struct LiveFacts: Sendable {
    enum Record: Sendable {
        case report(LiveReport)
        case raised(Alert)
        case changed(AlertStateChange)
    }

    let relayID: String
    let epoch: String
    let receivedAt: Timestamp
    /// In the relay's order, with the record's number.
    private(set) var records: [(n: Int64, record: Record)] = []

    private static let cellCharacters = 6
    /// As in the archive: a clock further off than this is suspect, and its times say nothing.
    private static let suspectSeconds = 24 * 3_600.0

    package init(relayID: String, epoch: String, receivedAt: Timestamp) {
        self.relayID = relayID
        self.epoch = epoch
        self.receivedAt = receivedAt
    }

    package mutating func add(_ line: ParsedLine, _ record: ExaminedRecord) {
        switch record {
        case .report(let report): records.append((line.n, .report(live(report, line))))
        case .alert(let alert): records.append((line.n, .raised(alert)))
        case .alertState(let change): records.append((line.n, .changed(change)))
        }
    }

    private func live(_ report: ParsedReport, _ line: ParsedLine) -> LiveReport {
        let observed = report.observedAt ?? line.receivedAt
        let isSuspect = abs(line.receivedAt.seconds(since: observed)) > Self.suspectSeconds
        return LiveReport(
            relayID: relayID, droneID: report.droneID,
            cell: Geohash.encode(
                latitude: report.latitude, longitude: report.longitude, length: Self.cellCharacters),
            latenessSeconds: isSuspect ? nil : max(0, receivedAt.seconds(since: observed)),
            scores: (0..<report.citizenCount).map { index in
                let citizen = report.citizen(at: index)
                return (citizen.name.withText { XXH3.hash64($0) }, citizen.peacescore)
            })
    }
}

/// From intake to the live view: the facts of durable batches by their position in the stream. Bounded; what finds no
/// room is not handed over, and the view reads it from the stream.
package final class LiveHandOver: Sendable {
    /// Records waiting at most: some 300 bytes each.
    package static let maxRecords = 50_000

    private struct State {
        var facts: [Int64: LiveFacts] = [:]
        var records = 0
        /// The view is beyond this position: what comes too late for it must not lie here for ever.
        var passed: Int64 = .min
    }

    private let state = Mutex(State())
    private let maxRecords: Int

    package init(maxRecords: Int = LiveHandOver.maxRecords) { self.maxRecords = maxRecords }

    /// Whether gathering facts is worth it now: never where the view reads the stream itself (a cluster).
    package var hasRoom: Bool { state.withLock { $0.records < maxRecords } }

    /// Records handed over that the view has not taken.
    package var waiting: Int { state.withLock { $0.records } }

    package func offer(_ facts: LiveFacts, at position: Int64) {
        state.withLock { state in
            let hasRoom = state.records + facts.records.count <= maxRecords
            guard position > state.passed, state.facts[position] == nil, hasRoom else { return }
            state.facts[position] = facts
            state.records += facts.records.count
        }
    }

    /// The facts of the batch at `position`, once.
    func take(_ position: Int64) -> LiveFacts? {
        state.withLock { state in
            guard let facts = state.facts.removeValue(forKey: position) else { return nil }
            state.records -= facts.records.count
            return facts
        }
    }

    /// The view has read this far by itself.
    func drop(through position: Int64) {
        state.withLock { state in
            state.passed = max(state.passed, position)
            for key in state.facts.keys where key <= position {
                state.records -= state.facts.removeValue(forKey: key)?.records.count ?? 0
            }
        }
    }
}
