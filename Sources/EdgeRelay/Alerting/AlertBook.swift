// All alerts the station knows, with their states, and everyone who follows them. An alert enters here before its
// report is on disk (I6: alerts need neither disk nor uplink), and is pushed to every follower under the same lock, so
// that all see the same order and a follower that resumes misses nothing.
//
// Flapping: the same rule, drone and subject raised again within the fold window, while the first alert is open, is one
// situation. Each alert keeps its own id and is pushed and stored; the first one counts them, and what an operator
// decides about it holds for those folded into it.

package import HTTPServer
package import Models
import Synchronization

package final class AlertBook: Sendable {
    /// Alerts kept in memory; beyond it folded and closed ones are forgotten here, then the oldest. The buffer and the
    /// archive hold them all.
    package static let maxAlerts = 20_000
    /// A follower that reads so slowly that more than this is pending is disconnected; it resumes by Last-Event-ID.
    package static let maxPendingBytes = 1 << 20
    package static let maxFollowers = 256
    package static let defaultFoldSeconds = 300.0

    fileprivate struct State {
        let foldSeconds: Double
        var entries: [String: AlertEntry] = [:]
        /// The alert that further ones of the situation are folded into.
        var situations: [AlertSituation: String] = [:]
        /// When shelved alerts call for attention again.
        var shelved: [String: Timestamp] = [:]
        /// alert ids by the event that last touched them, oldest first; an id's earlier events are stale.
        var events: [(eventID: Int64, alertID: String)] = []
        var lastEventID: Int64 = 0
        var followers: [Int: HTTPResponseStream] = [:]
        var nextFollower = 0
        var raised = 0
        var late = 0
        var folded = 0
        /// Entries that changed since `takeUnsaved` was last called.
        var unsaved: Set<String> = []
    }

    private let state: Mutex<State>

    package init(foldSeconds: Double = AlertBook.defaultFoldSeconds) {
        state = Mutex(State(foldSeconds: foldSeconds))
    }

    // MARK: Changes

    /// Takes over what an earlier life had stored. Pushes nothing.
    package func restore(_ entries: [AlertEntry]) {
        state.withLock { state in
            for entry in entries.sorted(by: { $0.eventID < $1.eventID }) {
                let id = entry.alert.alertID
                state.entries[id] = entry
                state.events.append((entry.eventID, id))
                state.lastEventID = max(state.lastEventID, entry.eventID)
                if entry.alert.foldedInto == nil { state.situations[entry.situation] = id }
                if entry.alert.state == .shelved { state.shelved[id] = entry.lastChange?.until }
            }
            state.recount()
        }
    }

    /// Enters and pushes an alert. Answers the alert as it is in the book (folded or not), and false when the book had
    /// it already: the report was sent again.
    @discardableResult
    package func raise(_ alert: Alert, subject: String? = nil, at now: Timestamp) -> (alert: Alert, isNew: Bool) {
        state.withLock { state in
            if let known = state.entries[alert.alertID] { return (known.alert, false) }
            state.raised += 1
            if alert.isLate { state.late += 1 }
            var entry = AlertEntry(alert: alert, eventID: 0, subject: subject)
            state.fold(&entry, at: now)
            state.put(entry, at: now)
            state.forgetBeyondLimit()
            return (entry.alert, true)
        }
    }

    /// Nil when the alert may change so; a problem when there is no such alert or its state allows no such change.
    package func check(_ alertID: String, to next: AlertState) -> Problem? {
        state.withLock { state in
            guard let entry = state.effective(alertID) else {
                return Problem(status: 404, code: "no_such_alert", detail: "This relay knows no alert with this id.")
            }
            guard entry.alert.state.canBecome(next) else {
                return Problem(
                    status: 409, code: "wrong_state",
                    detail: "The alert is \(entry.alert.state.rawValue); it cannot become \(next.rawValue).")
            }
            return nil
        }
    }

    /// Carries a change out that is already on disk, and pushes it.
    package func apply(_ change: AlertStateChange, at now: Timestamp) -> AlertEntry? {
        state.withLock { $0.apply(change, at: now) }
    }

    /// Takes alerts from the shelf whose time is over: they are raised again. Answers the changes, to be stored.
    package func returnFromShelf(relayID: String, at now: Timestamp) -> [AlertStateChange] {
        state.withLock { state in
            let due = state.shelved.filter { $0.value <= now }.keys.sorted()
            return due.map { id in
                let change = AlertStateChange(
                    alertID: id, state: .raised, by: "columba", note: "The time on the shelf is over.", at: now,
                    relayID: relayID)
                _ = state.apply(change, at: now)
                return change
            }
        }
    }

    // MARK: Followers

    /// Sends what came after `lastEventID` (nothing when nil), then everything new. Nil when there are too many
    /// followers.
    package func follow(_ stream: HTTPResponseStream, after lastEventID: Int64?) -> Int? {
        state.withLock { state in
            guard state.followers.count < Self.maxFollowers else { return nil }
            if let lastEventID {
                for event in state.events.suffix(Self.maxAlerts) where event.eventID > lastEventID {
                    guard let entry = state.entries[event.alertID], entry.eventID == event.eventID else { continue }
                    _ = stream.write(entry.event())
                }
            }
            let id = state.nextFollower
            state.nextFollower += 1
            state.followers[id] = stream
            return id
        }
    }

    package func unfollow(_ id: Int) {
        _ = state.withLock { $0.followers.removeValue(forKey: id) }
    }

    /// A comment line to every follower, so that both ends notice a dead connection.
    package func heartbeat() {
        state.withLock { $0.push(Array(": heartbeat\n\n".utf8)) }
    }

    package func finishAll() {
        let streams = state.withLock { state in
            defer { state.followers = [:] }
            return Array(state.followers.values)
        }
        for stream in streams { stream.finish() }
    }

    // MARK: Questions

    /// Newest first.
    /// - Parameter folded: one entry a situation: those folded into another are left out.
    package func list(
        state wanted: AlertState?, since: Timestamp?, limit: Int, folded: Bool = false
    ) -> [AlertEntry] {
        state.withLock { state in
            var found: [AlertEntry] = []
            for event in state.events.reversed() {
                guard found.count < limit else { break }
                guard let entry = state.effective(event.alertID), entry.eventID == event.eventID else { continue }
                if let wanted, entry.alert.state != wanted { continue }
                if folded, let parent = entry.alert.foldedInto, state.entries[parent] != nil { continue }
                let raisedAt = folded ? entry.lastRaisedAt ?? entry.alert.raisedAt : entry.alert.raisedAt
                if let since, raisedAt < since { continue }
                found.append(entry)
            }
            return found.sorted { $0.alert.raisedAt > $1.alert.raisedAt }
        }
    }

    package func entry(_ alertID: String) -> AlertEntry? { state.withLock { $0.effective(alertID) } }

    package struct Counts: Sendable, Equatable {
        package var known = 0
        package var raised = 0
        package var open = 0
        package var followers = 0
        package var late = 0
        package var folded = 0
    }

    package var counts: Counts {
        state.withLock { state in
            Counts(
                known: state.entries.count, raised: state.raised,
                open: state.entries.keys.count { state.effective($0)?.alert.state != .closed },
                followers: state.followers.count, late: state.late, folded: state.folded)
        }
    }

    /// What changed since the last call, for the state store.
    package func takeUnsaved() -> [AlertEntry] {
        state.withLock { state in
            defer { state.unsaved.removeAll(keepingCapacity: true) }
            return state.unsaved.compactMap { state.entries[$0] }
        }
    }
}

extension AlertBook.State {
    /// The entry in the state that an operator sees: an alert without a decision of its own has that of its situation.
    fileprivate func effective(_ alertID: String) -> AlertEntry? {
        guard var entry = entries[alertID] else { return nil }
        guard entry.lastChange == nil, let parent = entry.alert.foldedInto.flatMap({ entries[$0] }) else {
            return entry
        }
        entry.alert.state = parent.alert.state
        entry.lastChange = parent.lastChange
        return entry
    }

    /// Counts the alert at its situation's first one where that is open and recent, else begins a situation.
    fileprivate mutating func fold(_ entry: inout AlertEntry, at now: Timestamp) {
        if let id = situations[entry.situation], let first = entries[id], first.alert.state != .closed,
            now.seconds(since: first.lastRaisedAt ?? first.alert.raisedAt) < foldSeconds
        {
            entries[id]?.count += 1
            entries[id]?.lastRaisedAt = now
            unsaved.insert(id)
            folded += 1
            entry.alert.foldedInto = id
        } else {
            situations[entry.situation] = entry.alert.alertID
        }
    }

    /// After a crash the alerts are there (they are in the buffer), but a count may be some seconds old.
    fileprivate mutating func recount() {
        var folded: [String: (count: Int, last: Timestamp)] = [:]
        for entry in entries.values {
            guard let parent = entry.alert.foldedInto else { continue }
            let known = folded[parent] ?? (0, entry.alert.raisedAt)
            folded[parent] = (known.count + 1, max(known.last, entry.alert.raisedAt))
        }
        for (parent, found) in folded {
            guard let entry = entries[parent] else { continue }
            entries[parent]?.count = max(entry.count, 1 + found.count)
            entries[parent]?.lastRaisedAt = max(entry.lastRaisedAt ?? found.last, found.last)
        }
    }

    fileprivate mutating func apply(_ change: AlertStateChange, at now: Timestamp) -> AlertEntry? {
        guard var entry = entries[change.alertID] else { return nil }
        if let last = entry.lastChange, last.at > change.at { return entry }
        entry.decided(change)
        shelved[change.alertID] = change.state == .shelved ? change.until : nil
        return put(entry, at: now)
    }

    @discardableResult
    fileprivate mutating func put(_ entry: AlertEntry, at now: Timestamp) -> AlertEntry {
        var entry = entry
        lastEventID = max(lastEventID + 1, now.microseconds)
        entry.eventID = lastEventID
        entries[entry.alert.alertID] = entry
        events.append((lastEventID, entry.alert.alertID))
        unsaved.insert(entry.alert.alertID)
        if events.count > 2 * AlertBook.maxAlerts { dropStaleEvents() }
        if !followers.isEmpty { push(entry.event()) }
        return entry
    }

    fileprivate mutating func push(_ bytes: [UInt8]) {
        for (id, stream) in followers where !stream.write(bytes) { followers[id] = nil }
    }

    fileprivate mutating func dropStaleEvents() {
        events.removeAll { event in entries[event.alertID]?.eventID != event.eventID }
    }

    fileprivate mutating func forgetBeyondLimit() {
        // In bulk, so that a storm of alerts pays for the search once in a while and not each time.
        guard entries.count > AlertBook.maxAlerts + AlertBook.maxAlerts / 8 else { return }
        dropStaleEvents()
        func isExpendable(_ alertID: String) -> Bool {
            guard let alert = effective(alertID)?.alert else { return true }
            return alert.state == .closed || alert.foldedInto.map { entries[$0] != nil } ?? false
        }
        let order = events.filter { isExpendable($0.alertID) } + events.filter { !isExpendable($0.alertID) }
        for victim in order.prefix(entries.count - AlertBook.maxAlerts) {
            entries[victim.alertID] = nil
            shelved[victim.alertID] = nil
        }
        situations = situations.filter { entries[$0.value] != nil }
        dropStaleEvents()
    }
}
