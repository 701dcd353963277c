// What nodes of a cluster tell each other about a relay beside its newest report: what earlier reports said that still
// matters, and whether it is retired. Everything else of a ledger follows from the stream, the archive and that report.
//
// Of the lives only those are in it that a newer report no longer lists (or lists with fewer records than before) and
// of which records are lost: that they existed no other place knows. Merging is the maximum of each: commutative,
// associative, idempotent.

import SyncProtocol

package struct RelayMemory: Codable, Hashable, Sendable {
    package var relayID: String
    /// By life, the highest number that a report ever told.
    package var known: [String: Int64] = [:]
    package var retirement: RelayLedger.Retirement?

    package init(relayID: String, known: [String: Int64] = [:], retirement: RelayLedger.Retirement? = nil) {
        self.relayID = relayID
        self.known = known
        self.retirement = retirement
    }

    private static let mostRecords: Int64 = 1 << 40

    /// Numbers that a relay can have: what came from another node is looked at before it is taken.
    package var isPlausible: Bool { known.values.allSatisfy { (1...Self.mostRecords).contains($0) } }
    package var isEmpty: Bool { known.isEmpty && retirement == nil }

    package func merged(with other: RelayMemory) -> RelayMemory {
        precondition(relayID == other.relayID, "two relays are not one")
        var merged = self
        merged.known.merge(other.known) { max($0, $1) }
        if let word = other.retirement, retirement.map({ word.isNewer(than: $0) }) ?? true { merged.retirement = word }
        return merged
    }
}

extension RelayLedger {
    package var memory: RelayMemory {
        var memory = RelayMemory(relayID: relayID, retirement: retirement)
        for life in lives where life.known > 0 {
            let isInReport = life.isHeld && life.told >= life.known
            if !isInReport, !life.saidReceived.contains(1...life.known) { memory.known[life.epoch] = life.known }
        }
        return memory
    }

    /// Another node's.
    package mutating func adopt(_ memory: RelayMemory) {
        precondition(memory.relayID == relayID, "a ledger is of one relay")
        for (epoch, known) in memory.known.sorted(by: { $0.key < $1.key }) {
            let index = index(of: epoch)
            lives[index].known = max(lives[index].known, known)
            lives[index].through = max(lives[index].through, known)
            lives[index].isFamiliar = true
            guard let report, !report.epochs.contains(where: { $0.epoch == epoch }) else { continue }
            lives[index].isHeld = false
            lives[index].isOver = true
            lives[index].waiting = 0
        }
        if let word = memory.retirement { _ = adopt(word) }
    }

    // MARK: Incidents that were raised

    /// How many events of a kind an incident was ever raised for, at any node, as far as is known here.
    package func raised(_ code: IncidentCode) -> Int {
        switch code {
        case .identityConflict: conflictsRaised
        case .recordConflict: recordConflictsRaised
        // A ledger from before this was counted.
        case .recordsLost: othersRaised?[code.rawValue] ?? lostRaised
        default: othersRaised?[code.rawValue] ?? 0
        }
    }

    package mutating func raise(_ code: IncidentCode, through total: Int) {
        let raised = max(raised(code), total)
        switch code {
        case .identityConflict: conflictsRaised = raised
        case .recordConflict: recordConflictsRaised = raised
        default: othersRaised = (othersRaised ?? [:]).merging([code.rawValue: raised]) { $1 }
        }
    }

    /// What another node raised need not be raised here. True if that is news.
    package mutating func adopt(_ incident: Incident) -> Bool {
        guard incident.total > raised(incident.code) else { return false }
        raise(incident.code, through: incident.total)
        if incident.code == .recordsLost, let level = incident.level { lostRaised = level }
        return true
    }
}
