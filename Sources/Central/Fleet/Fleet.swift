// What central knows of each relay: which record numbers of which epoch are durable here (received), which are
// archived, and when it was last heard. The first is rebuilt from the stream at start, the second from the archive:
// both are derived, so an answer can never claim more than what is on disk (I4).

package import Models
package import SyncProtocol
import Synchronization

package struct RelayView: Sendable {
    package var relayID: String
    package var lastContact: Timestamp?
    /// In the order in which central first heard of them.
    package var epochs: [EpochView]

    package struct EpochView: Sendable {
        package var epoch: String
        package var received: IntervalSet
        package var archived: IntervalSet
        package var rejected: [RejectedRecord]
        package var lastContact: Timestamp?
    }
}

package final class Fleet: Sendable {
    package static let wantedInBatchAnswers = 64
    /// Of one epoch's rejected records so many are repeated in answers; the quarantine has all.
    package static let rejectedInAnswers = 1_000

    fileprivate struct Epoch {
        var received = IntervalSet()
        var rejected: [RejectedRecord] = []
        var lastContact: Timestamp?
        /// Asked for again; see `RelayLedger.wanted`.
        var wanted = IntervalSet()
        /// Digest of the last batches by name: the same batch again needs no second copy in the stream.
        var recentBatches: [String: String] = [:]
        var recentOrder: [String] = []
    }

    fileprivate struct Key: Hashable { let relayID: String; let epoch: String }

    fileprivate struct State {
        var epochs: [Key: Epoch] = [:]
        var order: [Key] = []
        var rulesVersion = 0
    }

    private let state = Mutex(State())
    private let archived: @Sendable (_ relayID: String, _ epoch: String) -> IntervalSet

    /// - Parameter archived: the ranges in committed archive versions, thread-safe.
    package init(archived: @escaping @Sendable (String, String) -> IntervalSet) {
        self.archived = archived
    }

    /// A batch is durable in the stream, now or since before a restart.
    package func received(_ header: StreamHeader, name: String?, digest: String?, at time: Timestamp) {
        state.withLock { state in
            let key = Key(relayID: header.relay, epoch: header.epoch)
            state.note(key)
            state.epochs[key]?.add(header, name: name, digest: digest, at: time)
        }
    }

    /// An epoch that the archive knows from before.
    package func known(relayID: String, epoch: String) {
        state.withLock { $0.note(Key(relayID: relayID, epoch: epoch)) }
    }

    /// The rule set that every relay should have.
    package func wantRules(version: Int) { state.withLock { $0.rulesVersion = version } }
    package var rulesVersion: Int { state.withLock { $0.rulesVersion } }

    /// What acknowledgements of this life ask for from now on.
    package func want(_ wanted: IntervalSet, relayID: String, epoch: String) {
        state.withLock { $0.epochs[Key(relayID: relayID, epoch: epoch)]?.wanted = wanted }
    }

    /// The stream has lost these: relays are told so, and the same batch is taken again.
    package func notReceived(_ numbers: IntervalSet, relayID: String, epoch: String) {
        state.withLock { $0.epochs[Key(relayID: relayID, epoch: epoch)]?.lose(numbers) }
    }

    /// A record that was set aside is archived after all.
    package func retried(_ n: Int64, relayID: String, epoch: String) {
        state.withLock { $0.epochs[Key(relayID: relayID, epoch: epoch)]?.rejected.removeAll { $0.n == n } }
    }

    package func contacted(relayID: String, epoch: String, at time: Timestamp) {
        state.withLock { state in
            let key = Key(relayID: relayID, epoch: epoch)
            guard state.epochs[key] != nil else { return }
            state.epochs[key]?.lastContact = time
        }
    }

    /// Whether this very batch is in the stream already.
    package func has(_ name: BatchName, digest: String) -> Bool {
        state.withLock { state in
            state.epochs[Key(relayID: name.relayID, epoch: name.epoch)]?.recentBatches[name.path] == digest
        }
    }

    package func acknowledgement(
        relayID: String, epoch: String, digest: String?, credit: Credit
    ) -> Acknowledgement {
        let archived = archived(relayID, epoch)
        return state.withLock { state in
            let known = state.epochs[Key(relayID: relayID, epoch: epoch)]
            let received = (known?.received ?? IntervalSet()).union(archived)
            let wanted = (known?.wanted ?? IntervalSet()).subtracting(received)
            // An answer to a batch is small, for a slow link; the next one asks for the next ranges.
            let few = digest == nil ? wanted : IntervalSet(wanted.ranges.prefix(Self.wantedInBatchAnswers))
            return Acknowledgement(
                received: received, archived: archived,
                rejected: Array((known?.rejected ?? []).suffix(Self.rejectedInAnswers)), credit: credit,
                rulesVersion: state.rulesVersion, digest: digest,
                wanted: few)
        }
    }

    package func relays() -> [RelayView] {
        let (order, epochs) = state.withLock { ($0.order, $0.epochs) }
        var views: [RelayView] = []
        for key in order {
            guard let epoch = epochs[key] else { continue }
            let archived = archived(key.relayID, key.epoch)
            let view = RelayView.EpochView(
                epoch: key.epoch, received: epoch.received.union(archived), archived: archived,
                rejected: epoch.rejected,
                lastContact: epoch.lastContact)
            if let index = views.firstIndex(where: { $0.relayID == key.relayID }) {
                views[index].epochs.append(view)
                views[index].lastContact = [views[index].lastContact, view.lastContact].compactMap { $0 }.max()
            } else {
                views.append(RelayView(relayID: key.relayID, lastContact: view.lastContact, epochs: [view]))
            }
        }
        return views
    }
}

extension Fleet.State {
    fileprivate mutating func note(_ key: Fleet.Key) {
        guard epochs[key] == nil else { return }
        epochs[key] = Fleet.Epoch()
        order.append(key)
    }
}

extension Fleet.Epoch {
    /// Batches whose digest is remembered: more than a relay ever has in flight.
    private static let remembered = 64

    fileprivate mutating func lose(_ numbers: IntervalSet) {
        received.subtract(numbers)
        recentBatches = [:]
        recentOrder = []
    }

    fileprivate mutating func add(_ header: StreamHeader, name: String?, digest: String?, at time: Timestamp) {
        received.formUnion(header.numbers)
        let known = Set(rejected.map(\.n))
        rejected.append(contentsOf: header.rejected.filter { !known.contains($0.n) })
        lastContact = max(lastContact ?? time, time)
        guard let name, let digest else { return }
        if recentBatches.updateValue(digest, forKey: name) == nil { recentOrder.append(name) }
        if recentOrder.count > Self.remembered { recentBatches[recentOrder.removeFirst()] = nil }
    }
}
