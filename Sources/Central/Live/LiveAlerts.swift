// The alerts of all relays in one place, with their states, and everyone who follows them. Names are kept apart at
// central: an alert here has a `person_id` and never a `citizen`.
//
// A relay's rule for flapping holds here too: an alert that was folded into another has that one's state.

package import HTTPServer
package import Models
import JSON
import Synchronization

package struct LiveAlert: Sendable, Equatable {
    /// Without the citizen's name.
    package var alert: Alert
    package var personID: String?
    package var lastChange: AlertStateChange?
    package var eventID: Int64 = 0

    package init(alert: Alert, personID: String? = nil, lastChange: AlertStateChange? = nil) {
        self.alert = alert
        self.alert.citizen = nil
        self.personID = personID
        self.lastChange = lastChange
        if let lastChange { self.alert.state = lastChange.state }
    }

    package func json() -> [UInt8] {
        var writer = JSONWriter()
        writer.object { json in
            json.member("person_id", personID)
            if let lastChange {
                json.member("by", lastChange.by)
                json.member("note", lastChange.note)
                if let outcome = lastChange.outcome { json.member("outcome", outcome.rawValue) }
                json.member("changed_at", lastChange.at)
                if let until = lastChange.until { json.member("shelved_until", until) }
            }
        }
        return alert.json().dropLast() + [UInt8(ascii: ",")] + writer.bytes.dropFirst()
    }

    func event() -> [UInt8] {
        let name = lastChange != nil ? "alert_state" : alert.isLate ? "late_alert" : "alert"
        return Array("id: \(eventID)\nevent: \(name)\ndata: ".utf8) + json() + Array("\n\n".utf8)
    }
}

package struct LiveAlertFilter: Sendable {
    package var state: AlertState?
    package var since: Timestamp?
    package var severity: AlertSeverity?
    package var relayID: String?
    package var limit = 100

    package init() {}

    func wants(_ alert: Alert) -> Bool {
        (state == nil || alert.state == state) && (since.map { alert.raisedAt >= $0 } ?? true)
            && (severity == nil || alert.severity == severity) && (relayID == nil || alert.relayID == relayID)
    }
}

package final class LiveAlerts: Sendable {
    /// Alerts in memory; beyond it closed ones are forgotten first, then the oldest. The archive has them all.
    package static let maxAlerts = 20_000
    package static let maxFollowers = 256
    package static let maxPendingBytes = 1 << 20
    /// Changes of alerts that have not arrived yet: a relay sends what is new first.
    package static let maxOrphans = 10_000

    fileprivate struct State {
        var entries: [String: LiveAlert] = [:]
        var orphans: [String: AlertStateChange] = [:]
        var events: [(eventID: Int64, alertID: String)] = []
        var lastEventID: Int64 = 0
        var followers: [Int: HTTPResponseStream] = [:]
        var nextFollower = 0
        /// The newest `raised_at` that was forgotten, or was never loaded: older questions are the archive's.
        var horizon: Timestamp?
        /// Forgotten with every change.
        var openBySeverity: [AlertSeverity: Int]?
    }

    private let limit: Int
    private let state = Mutex(State())

    package init(limit: Int = LiveAlerts.maxAlerts) { self.limit = limit }

    // MARK: Changes

    /// What the archive knows, in any order. Pushes nothing. `isAll`: nothing is left in the archive beyond these.
    package func restore(_ entries: [LiveAlert], isAll: Bool) {
        state.withLock { state in
            for entry in entries.sorted(by: { $0.changedAt < $1.changedAt }) {
                guard state.entries[entry.alert.alertID] == nil else { continue }
                state.put(entry, at: entry.changedAt, pushes: false)
            }
            if !isAll { state.forgot(entries.map(\.alert.raisedAt).min() ?? Timestamp(microseconds: .max)) }
            state.forgetBeyond(limit)
        }
    }

    /// False when it was known: the relay sent it again.
    @discardableResult
    package func raise(_ alert: LiveAlert, at now: Timestamp) -> Bool {
        state.withLock { state in
            let id = alert.alert.alertID
            guard state.entries[id] == nil else { return false }
            var alert = alert
            if let change = state.orphans.removeValue(forKey: id) { alert.apply(change) }
            state.put(alert, at: now, pushes: true)
            state.forgetBeyond(limit)
            return true
        }
    }

    package func apply(_ change: AlertStateChange, at now: Timestamp) {
        state.withLock { state in
            guard var entry = state.entries[change.alertID] else {
                let known = state.orphans[change.alertID]
                if state.orphans.count < Self.maxOrphans, known.map({ $0.at <= change.at }) ?? true {
                    state.orphans[change.alertID] = change
                }
                return
            }
            guard entry.lastChange.map({ $0.at <= change.at && $0 != change }) ?? true else { return }
            entry.apply(change)
            state.put(entry, at: now, pushes: true)
        }
    }

    // MARK: Followers

    /// Sends what came after `lastEventID` (nothing when nil), then everything new. Nil: too many follow.
    package func follow(_ stream: HTTPResponseStream, after lastEventID: Int64?) -> Int? {
        state.withLock { state in
            guard state.followers.count < Self.maxFollowers else { return nil }
            if let lastEventID {
                for event in state.events where event.eventID > lastEventID {
                    guard let entry = state.entries[event.alertID], entry.eventID == event.eventID else { continue }
                    _ = stream.write(entry.event())
                }
            }
            state.nextFollower += 1
            state.followers[state.nextFollower] = stream
            return state.nextFollower
        }
    }

    package func unfollow(_ id: Int) { _ = state.withLock { $0.followers.removeValue(forKey: id) } }

    package func heartbeat() { state.withLock { $0.push(Array(": heartbeat\n\n".utf8)) } }

    package func finishAll() {
        let streams = state.withLock { state in
            defer { state.followers = [:] }
            return Array(state.followers.values)
        }
        for stream in streams { stream.finish() }
    }

    // MARK: Questions

    /// Newest first, and whether the archive may know more that fits.
    package func list(_ filter: LiveAlertFilter) -> (alerts: [LiveAlert], isComplete: Bool) {
        state.withLock { state in
            let found = state.entries.keys.compactMap { state.effective($0) }.filter { filter.wants($0.alert) }
                .sorted { ($0.alert.raisedAt, $0.alert.alertID) > ($1.alert.raisedAt, $1.alert.alertID) }
                .prefix(filter.limit)
            guard let horizon = state.horizon else { return (Array(found), true) }
            let isFull = found.count == filter.limit && (found.last.map { $0.alert.raisedAt > horizon } ?? false)
            return (Array(found), isFull || filter.since.map { $0 > horizon } ?? false)
        }
    }

    package func openBySeverity() -> [AlertSeverity: Int] {
        state.withLock { state in
            if let known = state.openBySeverity { return known }
            var open: [AlertSeverity: Int] = [:]
            for id in state.entries.keys {
                guard let alert = state.effective(id)?.alert, alert.state != .closed else { continue }
                open[alert.severity, default: 0] += 1
            }
            state.openBySeverity = open
            return open
        }
    }

    package var count: Int { state.withLock { $0.entries.count } }
}

extension LiveAlert {
    fileprivate var changedAt: Timestamp { max(alert.raisedAt, lastChange?.at ?? alert.raisedAt) }

    fileprivate mutating func apply(_ change: AlertStateChange) {
        lastChange = change
        alert.state = change.state
    }
}

extension LiveAlerts.State {
    fileprivate func effective(_ id: String) -> LiveAlert? {
        guard var entry = entries[id] else { return nil }
        guard entry.lastChange == nil, let parent = entry.alert.foldedInto.flatMap({ entries[$0] }) else {
            return entry
        }
        entry.alert.state = parent.alert.state
        entry.lastChange = parent.lastChange
        return entry
    }

    /// Event ids begin at the clock's microseconds, so that they grow over restarts.
    fileprivate mutating func put(_ entry: LiveAlert, at now: Timestamp, pushes: Bool) {
        var entry = entry
        lastEventID = max(lastEventID + 1, now.microseconds)
        entry.eventID = lastEventID
        entries[entry.alert.alertID] = entry
        openBySeverity = nil
        events.append((lastEventID, entry.alert.alertID))
        if events.count > 2 * LiveAlerts.maxAlerts { dropStaleEvents() }
        if pushes, !followers.isEmpty { push(entry.event()) }
    }

    fileprivate mutating func push(_ bytes: [UInt8]) {
        for (id, stream) in followers where !stream.write(bytes) { followers[id] = nil }
    }

    fileprivate mutating func dropStaleEvents() {
        events.removeAll { entries[$0.alertID]?.eventID != $0.eventID }
    }

    fileprivate mutating func forgot(_ raisedAt: Timestamp) { horizon = max(horizon ?? raisedAt, raisedAt) }

    /// In bulk, so that a storm of alerts pays for the search once in a while.
    fileprivate mutating func forgetBeyond(_ limit: Int) {
        guard entries.count > limit + limit / 8 else { return }
        dropStaleEvents()
        let order =
            events.filter { effective($0.alertID)?.alert.state == .closed }
            + events.filter { effective($0.alertID)?.alert.state != .closed }
        for victim in order.prefix(entries.count - limit) {
            if let entry = entries.removeValue(forKey: victim.alertID) { forgot(entry.alert.raisedAt) }
        }
        openBySeverity = nil
        dropStaleEvents()
    }
}
