// All alerts the station knows, with their states, and everyone who follows them. An alert enters here before its
// report is on disk (I6: alerts need neither disk nor uplink), and is pushed to every follower under the same lock, so
// that all see the same order and a follower that resumes misses nothing.

package import HTTPServer
package import Models
import JSON
import Synchronization

package struct AlertEntry: Sendable, Equatable {
    package var alert: Alert
    package var lastChange: AlertStateChange?
    /// Position in the stream of events; also orders the list. Grows over restarts: it begins at the clock's
    /// microseconds.
    package var eventID: Int64

    package init(alert: Alert, lastChange: AlertStateChange? = nil, eventID: Int64) {
        self.alert = alert
        self.lastChange = lastChange
        self.eventID = eventID
    }
}

package final class AlertBook: Sendable {
    /// Alerts kept in memory; beyond it the oldest closed one is forgotten here, then the oldest. The buffer and the
    /// archive hold them all.
    package static let maxAlerts = 20_000
    /// A follower that reads so slowly that more than this is pending is disconnected; it resumes by Last-Event-ID.
    package static let maxPendingBytes = 1 << 20
    package static let maxFollowers = 256

    fileprivate struct State {
        var entries: [String: AlertEntry] = [:]
        /// alert ids by the event that last touched them, oldest first; an id's earlier events are stale.
        var events: [(eventID: Int64, alertID: String)] = []
        var lastEventID: Int64 = 0
        var followers: [Int: HTTPResponseStream] = [:]
        var nextFollower = 0
        var raised = 0
        /// Entries that changed since `takeUnsaved` was last called.
        var unsaved: Set<String> = []
    }

    private let state = Mutex(State())

    package init() {}

    // MARK: Changes

    /// Takes over what an earlier life had stored. Pushes nothing.
    package func restore(_ entries: [AlertEntry]) {
        state.withLock { state in
            for entry in entries.sorted(by: { $0.eventID < $1.eventID }) {
                state.entries[entry.alert.alertID] = entry
                state.events.append((entry.eventID, entry.alert.alertID))
                state.lastEventID = max(state.lastEventID, entry.eventID)
            }
        }
    }

    /// Enters and pushes an alert. False when the book has it already: the report was sent again.
    @discardableResult
    package func raise(_ alert: Alert, at now: Timestamp) -> Bool {
        state.withLock { state in
            guard state.entries[alert.alertID] == nil else { return false }
            state.raised += 1
            state.put(AlertEntry(alert: alert, eventID: 0), event: "alert", at: now)
            state.forgetBeyondLimit()
            return true
        }
    }

    /// Nil when there is no such alert; a problem when its state allows no such change.
    package func check(_ alertID: String, to next: AlertState) -> Problem? {
        state.withLock { state in
            guard let entry = state.entries[alertID] else {
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
        state.withLock { state in
            guard var entry = state.entries[change.alertID] else { return nil }
            if let last = entry.lastChange, last.at > change.at { return entry }
            entry.alert.state = change.state
            entry.lastChange = change
            return state.put(entry, event: "alert_state", at: now)
        }
    }

    // MARK: Followers

    /// Sends what came after `lastEventID` (nothing when nil), then everything new. False when there are too many
    /// followers.
    package func follow(_ stream: HTTPResponseStream, after lastEventID: Int64?) -> Int? {
        state.withLock { state in
            guard state.followers.count < Self.maxFollowers else { return nil }
            if let lastEventID {
                for event in state.events.suffix(Self.maxAlerts) where event.eventID > lastEventID {
                    guard let entry = state.entries[event.alertID], entry.eventID == event.eventID else { continue }
                    _ = stream.write(entry.event(entry.lastChange == nil ? "alert" : "alert_state"))
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
    package func list(state wanted: AlertState?, since: Timestamp?, limit: Int) -> [AlertEntry] {
        state.withLock { state in
            var found: [AlertEntry] = []
            for event in state.events.reversed() {
                guard found.count < limit else { break }
                guard let entry = state.entries[event.alertID], entry.eventID == event.eventID else { continue }
                if let wanted, entry.alert.state != wanted { continue }
                if let since, entry.alert.raisedAt < since { continue }
                found.append(entry)
            }
            return found.sorted { $0.alert.raisedAt > $1.alert.raisedAt }
        }
    }

    package var counts: (known: Int, raised: Int, open: Int, followers: Int) {
        state.withLock { state in
            let open = state.entries.values.count { $0.alert.state != .closed }
            return (state.entries.count, state.raised, open, state.followers.count)
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
    @discardableResult
    fileprivate mutating func put(_ entry: AlertEntry, event: String, at now: Timestamp) -> AlertEntry {
        var entry = entry
        lastEventID = max(lastEventID + 1, now.microseconds)
        entry.eventID = lastEventID
        entries[entry.alert.alertID] = entry
        events.append((lastEventID, entry.alert.alertID))
        unsaved.insert(entry.alert.alertID)
        if events.count > 2 * AlertBook.maxAlerts { dropStaleEvents() }
        push(entry.event(event))
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
        let closedFirst =
            events.filter { entries[$0.alertID]?.alert.state == .closed }
            + events.filter { entries[$0.alertID]?.alert.state != .closed }
        for victim in closedFirst.prefix(entries.count - AlertBook.maxAlerts) { entries[victim.alertID] = nil }
        dropStaleEvents()
    }
}

extension AlertEntry {
    fileprivate func event(_ name: String) -> [UInt8] {
        var output = Array("id: \(eventID)\nevent: \(name)\ndata: ".utf8)
        output.append(contentsOf: json())
        output.append(contentsOf: "\n\n".utf8)
        return output
    }

    /// The alert as contract §3, with who changed its state last, when and why.
    package func json() -> [UInt8] {
        guard let lastChange else { return alert.json() }
        var writer = JSONWriter()
        writer.object { writer in
            writer.member("by", lastChange.by)
            writer.member("note", lastChange.note)
            if let outcome = lastChange.outcome { writer.member("outcome", outcome.rawValue) }
            writer.member("changed_at", lastChange.at)
        }
        return alert.json().dropLast() + [UInt8(ascii: ",")] + writer.bytes.dropFirst()
    }
}
