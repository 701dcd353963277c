// The records of the newest alerts' deliveries, and which of them the outbox has not stored yet. Pure.

import Models

struct DeliveryLedger: Sendable {
    /// Alerts whose deliveries are remembered (I7): somewhat more than the book has.
    static let maxAlerts = AlertBook.maxAlerts + AlertBook.maxAlerts / 4

    struct Key: Hashable, Sendable {
        let alertID: String
        let target: String
    }

    private let maxAlerts: Int
    private var entries: [String: [OutboxEntry]] = [:]
    private var order: [String] = []
    private var unsaved: Set<Key> = []

    init(maxAlerts: Int = DeliveryLedger.maxAlerts) { self.maxAlerts = maxAlerts }

    var count: Int { entries.count }

    func records(of alertID: String) -> [DeliveryRecord] { entries[alertID]?.map(\.record) ?? [] }

    /// Notes what is already in the outbox.
    mutating func restored(_ entry: OutboxEntry) { put(entry) }

    /// A delivery begins, or ends before it began.
    mutating func noted(_ alert: Alert, _ record: DeliveryRecord, since: Timestamp) {
        let entry = OutboxEntry(
            alertID: alert.alertID, record: record, since: since, alert: record.state.isFinal ? nil : alert)
        put(entry)
        unsaved.insert(Key(alertID: alert.alertID, target: record.target))
    }

    mutating func update(_ key: Key, _ change: (inout DeliveryRecord) -> Void) {
        guard let index = entries[key.alertID]?.firstIndex(where: { $0.record.target == key.target }),
            var entry = entries[key.alertID]?[index]
        else { return }
        change(&entry.record)
        // What is settled needs its alert, and the name in it, no longer.
        if entry.record.state.isFinal { entry.alert = nil }
        entries[key.alertID]?[index] = entry
        unsaved.insert(key)
    }

    mutating func takeUnsaved() -> [OutboxEntry] {
        defer { unsaved.removeAll(keepingCapacity: true) }
        return unsaved.compactMap { key in entries[key.alertID]?.first { $0.record.target == key.target } }
    }

    /// What was taken could not be stored: it will be taken again.
    mutating func saveFailed(_ taken: [OutboxEntry]) {
        for entry in taken { unsaved.insert(Key(alertID: entry.alertID, target: entry.record.target)) }
    }

    private mutating func put(_ entry: OutboxEntry) {
        guard let known = entries[entry.alertID] else {
            entries[entry.alertID] = [entry]
            order.append(entry.alertID)
            forgetBeyondLimit()
            return
        }
        if let index = known.firstIndex(where: { $0.record.target == entry.record.target }) {
            entries[entry.alertID]?[index] = entry
        } else {
            entries[entry.alertID]?.append(entry)
        }
    }

    /// The oldest settled ones, in bulk. What still waits is kept: the targets' queues bound it.
    private mutating func forgetBeyondLimit() {
        guard entries.count > maxAlerts + maxAlerts / 8 else { return }
        let unsavedIDs = Set(unsaved.map(\.alertID))
        let settled = order.filter { id in
            !unsavedIDs.contains(id) && entries[id]?.allSatisfy(\.record.state.isFinal) ?? true
        }
        for victim in settled.prefix(entries.count - maxAlerts) { entries[victim] = nil }
        order.removeAll { entries[$0] == nil }
    }
}
