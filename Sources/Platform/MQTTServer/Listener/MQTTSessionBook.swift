// Which clients are connected, and whose session is kept after they left. A session holds nothing here but the fact
// that it exists: the relay sends no messages and keeps no subscriptions. The fact matters all the same: an MQTT 5
// client that hears «no session present» must forget what it published and nobody acknowledged [MQTT-3.2.2-5]. So the
// owner may keep the book's content beyond the process's life (`kept`, `onChange`).

import Synchronization

package final class MQTTSessionBook: Sendable {
    /// Where a connection lives.
    struct Place: Sendable, Equatable {
        let loop: Int
        let connection: UInt64
    }

    /// A client of one identity never meets another's session of the same name.
    package struct Client: Hashable, Sendable {
        package let identity: String?
        package let identifier: String

        package init(identity: String?, identifier: String) {
            self.identity = identity
            self.identifier = identifier
        }
    }

    private struct Entry {
        var place: Place?
        /// Seconds that the session outlives its connection.
        var expirySeconds: UInt32
        var endedAt: UInt64
    }

    /// Sessions without a connection beyond which those that ended longest ago are forgotten (I7).
    package static let maxKept = 16_384

    private let entries: Mutex<[Client: Entry]>
    private let onChange: @Sendable () -> Void

    /// - Parameters:
    ///   - kept: sessions of an earlier life, with the seconds each is kept from now on.
    ///   - onChange: called, on any thread, when what `kept` returns has changed. Must not block.
    package init(kept: [Client: UInt32] = [:], at now: UInt64 = 0, onChange: @escaping @Sendable () -> Void = {}) {
        entries = Mutex(kept.mapValues { Entry(place: nil, expirySeconds: $0, endedAt: now) })
        self.onChange = onChange
    }

    /// The sessions that outlive their connections, with the seconds they do.
    package func kept(at now: UInt64) -> [Client: UInt32] {
        entries.withLock { entries in entries.filter { Self.isKept($0.value, at: now) }.mapValues(\.expirySeconds) }
    }

    /// A client connected. Returns the connection it replaces, if any, and whether its session was kept.
    func connected(
        _ client: Client, _ connect: MQTTConnect, at place: Place, now: UInt64
    ) -> (replaced: Place?, isPresent: Bool) {
        let expiry = connect.sessionExpirySeconds
        let (old, isChanged) = entries.withLock { entries in
            let old = entries[client]
            entries[client] = Entry(place: place, expirySeconds: expiry, endedAt: now)
            return (old, (old?.expirySeconds ?? 0) != expiry)
        }
        if isChanged { onChange() }
        guard let old else { return (nil, false) }
        return (old.place, !connect.cleanStart && Self.isKept(old, at: now))
    }

    /// A connection ended; one that was replaced changes nothing.
    func disconnected(_ client: Client, at place: Place, now: UInt64) {
        entries.withLock { entries in
            guard var entry = entries[client], entry.place == place else { return }
            entry.place = nil
            entry.endedAt = now
            entries[client] = entry.expirySeconds == 0 ? nil : entry
            if entries.count > 2 * Self.maxKept { Self.forgetOldest(&entries, now: now) }
        }
    }

    private static func isKept(_ entry: Entry, at now: UInt64) -> Bool {
        if entry.expirySeconds == 0 { return false }
        if entry.place != nil || entry.expirySeconds == .max { return true }
        return now <= entry.endedAt + UInt64(entry.expirySeconds) * 1_000_000_000
    }

    private static func forgetOldest(_ entries: inout [Client: Entry], now: UInt64) {
        entries = entries.filter { $0.value.place != nil || isKept($0.value, at: now) }
        let idle = entries.filter { $0.value.place == nil }.sorted { $0.value.endedAt < $1.value.endedAt }
        for (client, _) in idle.dropLast(maxKept) { entries[client] = nil }
    }
}
