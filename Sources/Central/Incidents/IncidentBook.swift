// The list of incidents: which are open, which were. Pure; its owner writes what changed to disk and to the log.
//
// Bounded (I7): at most `maxIncidents`, of which there can be one for each code and relay; when it is full, the one
// closed longest ago goes, and with none closed the oldest, which is counted. What another node knows of is taken only
// where it is worth more than what would have to go: two nodes with full lists do not pass incidents to and fro.

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
    /// Ids of incidents that other nodes of a cluster should hear of.
    private var untold: Set<String> = []
    private var changes: [Change] = []
    package private(set) var dropped = 0

    package init(_ stored: [Incident] = [], capacity: Int = maxIncidents) {
        precondition(capacity > 0, "a list of incidents holds one at least")
        self.capacity = capacity
        incidents = Dictionary(stored.map { ($0.id, $0) }) { $1 }
    }

    /// Open ones first, each part newest first.
    package var all: [Incident] {
        incidents.values.sorted { Self.worth($0) > Self.worth($1) }
    }

    package subscript(id: String) -> Incident? { incidents[id] }

    package func openCount(_ code: IncidentCode) -> Int { incidents.values.count { $0.isOpen && $0.code == code } }

    /// Something has happened `count` more times. Returns how often in all.
    /// - Parameters:
    ///   - earlier: how often it had happened as far as is known beside this list.
    ///   - level: see `Incident.level`.
    @discardableResult
    package mutating func happened(
        _ code: IncidentCode, _ relayID: String?, count: Int = 1, after earlier: Int = 0, level: Int? = nil,
        detail: String, at now: Timestamp
    ) -> Int {
        precondition(count > 0, "what has happened has happened at least once")
        let total = max(incidents[Incident.id(code, relayID)]?.total ?? 0, earlier) + count
        update(code, relayID, at: now) { incident in
            incident.count += count
            incident.total = total
            incident.level = level
            incident.detail = detail
        }
        return total
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
            incident.total = count
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
        // A node whose clock is behind closes what another one has seen later.
        incident.closedAt = max(now, incident.lastSeen)
        incident.closedBy = by
        incident.note = note
        keep(incident)
        changes.append(Change(kind: .closed, incident: incident))
        return incident
    }

    // MARK: Other nodes

    /// Takes over another node's word where it is the newer one. Returns the newer of the two.
    package mutating func adopt(_ word: Incident) -> Incident {
        precondition(word.code.isShared, "what closes by itself is judged here")
        let known = incidents[word.id]
        if let known, !word.isNewer(than: known) {
            if known == word { untold.remove(word.id) }
            return known
        }
        if known == nil, incidents.count >= capacity {
            guard let last = leastWorth, Self.worth(last) < Self.worth(word) else { return word }
            makeRoom()
        }
        incidents[word.id] = word
        unsaved.insert(word.id)
        untold.remove(word.id)
        let wasOpen = known?.isOpen ?? false
        if word.isOpen != wasOpen { changes.append(Change(kind: word.isOpen ? .opened : .closed, incident: word)) }
        return word
    }

    /// What other nodes should hear: what has changed here since the last call, or all of it.
    package mutating func takeUntold(all: Bool) -> [Incident] {
        defer { untold = [] }
        return all ? incidents.values.filter(\.code.isShared) : untold.compactMap { incidents[$0] }
    }

    // MARK: The log and the disk

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
        keep(incident)
        if isNew { changes.append(Change(kind: .opened, incident: incident)) }
    }

    private mutating func keep(_ incident: Incident) {
        incidents[incident.id] = incident
        unsaved.insert(incident.id)
        if incident.code.isShared { untold.insert(incident.id) }
    }

    /// Open ones are worth more than closed ones, then new ones more than old ones.
    private static func worth(_ incident: Incident) -> (Int, Int64, String) {
        (incident.isOpen ? 1 : 0, incident.lastSeen.microseconds, incident.id)
    }

    private var leastWorth: Incident? { incidents.values.min { Self.worth($0) < Self.worth($1) } }

    private mutating func makeRoom() {
        guard incidents.count >= capacity, let last = leastWorth else { return }
        if last.isOpen { dropped += 1 }
        incidents[last.id] = nil
        unsaved.insert(last.id)
    }
}
