// The list of incidents: which are open, which were. Pure; its owner writes what changed to disk and to the log.
//
// Bounded (I7): at most `maxIncidents`, of which there can be one for each code and relay; when it is full, the one
// closed longest ago goes, and with none closed the oldest, which is counted.

package import Models

package struct IncidentBook: Sendable {
    package static let maxIncidents = 5_000

    /// One that opened or closed: for the log.
    package struct Change: Sendable, Equatable {
        package enum Kind: Sendable, Equatable { case opened, closed }
        package let kind: Kind
        package let incident: Incident
    }

    private var incidents: [String: Incident]
    private let capacity: Int
    /// Ids that differ from what is on disk.
    private var unsaved: Set<String> = []
    private var changes: [Change] = []
    package private(set) var dropped = 0

    package init(_ stored: [Incident] = [], capacity: Int = maxIncidents) {
        precondition(capacity > 0, "a list of incidents holds one at least")
        self.capacity = capacity
        incidents = Dictionary(stored.map { ($0.id, $0) }) { $1 }
    }

    /// Open ones first, each part newest first.
    package var all: [Incident] {
        incidents.values.sorted {
            ($0.isOpen ? 1 : 0, $0.lastSeen.microseconds, $0.id) > ($1.isOpen ? 1 : 0, $1.lastSeen.microseconds, $1.id)
        }
    }

    package subscript(id: String) -> Incident? { incidents[id] }

    package func openCount(_ code: IncidentCode) -> Int { incidents.values.count { $0.isOpen && $0.code == code } }

    /// Something has happened `count` more times.
    package mutating func happened(
        _ code: IncidentCode, _ relayID: String?, count: Int = 1, detail: String, at now: Timestamp
    ) {
        precondition(count > 0, "what has happened has happened at least once")
        update(code, relayID, at: now) { incident in
            incident.count += count
            incident.detail = detail
        }
    }

    /// Something goes on, with so many concerned, or (`count` 0) does not.
    package mutating func goesOn(
        _ code: IncidentCode, _ relayID: String?, count: Int, detail: String, at now: Timestamp
    ) {
        guard count > 0 else { return isOver(code, relayID, at: now) }
        let known = incidents[Incident.id(code, relayID)]
        // The time alone is no reason to write it to disk each second.
        if let known, known.isOpen, known.count == count, known.detail == detail,
            now.seconds(since: known.lastSeen) < 60
        {
            return
        }
        update(code, relayID, at: now) { incident in
            incident.count = count
            incident.detail = detail
        }
    }

    package mutating func isOver(_ code: IncidentCode, _ relayID: String?, at now: Timestamp) {
        guard incidents[Incident.id(code, relayID)]?.isOpen == true else { return }
        _ = close(Incident.id(code, relayID), by: nil, note: nil, at: now)
    }

    /// A person's word, or (`by` nil) it was seen to be over. Nil: there is none, or it is closed.
    package mutating func close(_ id: String, by: String?, note: String?, at now: Timestamp) -> Incident? {
        guard var incident = incidents[id], incident.isOpen else { return nil }
        incident.closedAt = now
        incident.closedBy = by
        incident.note = note
        incidents[id] = incident
        unsaved.insert(id)
        changes.append(Change(kind: .closed, incident: incident))
        return incident
    }

    /// What opened and closed since the last call.
    package mutating func takeChanges() -> [Change] {
        defer { changes = [] }
        return changes
    }

    /// What is to be written (nil: removed), by id, since the last call.
    package mutating func takeUnsaved() -> [String: Incident?] {
        defer { unsaved = [] }
        return Dictionary(uniqueKeysWithValues: unsaved.map { ($0, incidents[$0]) })
    }

    /// The disk refused: they are still to be written.
    package mutating func notSaved(_ ids: some Sequence<String>) { unsaved.formUnion(ids) }

    private mutating func update(
        _ code: IncidentCode, _ relayID: String?, at now: Timestamp, _ body: (inout Incident) -> Void
    ) {
        let id = Incident.id(code, relayID)
        let known = incidents[id].flatMap { $0.isOpen ? $0 : nil }
        let isNew = known == nil
        var incident =
            known ?? Incident(code: code, relayID: relayID, openedAt: now, lastSeen: now, count: 0, detail: "")
        body(&incident)
        incident.lastSeen = now
        if incidents[id] == nil { makeRoom() }
        incidents[id] = incident
        unsaved.insert(id)
        if isNew { changes.append(Change(kind: .opened, incident: incident)) }
    }

    private mutating func makeRoom() {
        guard incidents.count >= capacity else { return }
        let closed = incidents.values.filter { !$0.isOpen }
        let candidates = closed.isEmpty ? Array(incidents.values) : closed
        if closed.isEmpty { dropped += 1 }
        guard let oldest = candidates.min(by: { ($0.lastSeen, $0.id) < ($1.lastSeen, $1.id) }) else { return }
        incidents[oldest.id] = nil
        unsaved.insert(oldest.id)
    }
}
