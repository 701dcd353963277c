// `/v1/completeness` as JSON.

import JSON
import Models

enum CompletenessPage {
    /// The time that is asked about; both ends may be open.
    struct Window {
        var from: Timestamp?
        var to: Timestamp?

        init(from: String?, to: String?) throws(Problem) {
            self.from = try Self.time(from, "from")
            self.to = try Self.time(to, "to")
            if let from = self.from, let to = self.to, from > to {
                throw Problem(status: 422, code: "invalid_field", detail: "from is not after to.", field: "from")
            }
        }

        private static func time(_ text: String?, _ name: String) throws(Problem) -> Timestamp? {
            guard let text else { return nil }
            guard let time = Timestamp(rfc3339: text) else {
                throw Problem(
                    status: 422, code: "invalid_field",
                    detail: "\(name) is an RFC 3339 time such as "
                        + "2026-11-20T05:00:00Z.", field: name)
            }
            return time
        }

        /// Whether a gap may hold records of this time.
        func touches(_ gap: RelayCompleteness.Gap) -> Bool {
            if let from, let before = gap.before, before < from { return false }
            if let to, let after = gap.after, after > to { return false }
            return true
        }
    }

    static func json(_ fleet: FleetCompleteness, _ window: Window, at now: Timestamp) -> [UInt8] {
        var output = JSONWriter(reservedBytes: 4_096)
        output.object { output in
            output.member("now", now)
            output.member("from", window.from)
            output.member("to", window.to)
            output.member("complete_through", fleet.completeThrough)
            if let to = window.to {
                output.member("complete", fleet.completeThrough.map { $0 >= to } ?? false)
            }
            output.key("held_back_by")
            output.array { output in for relayID in fleet.heldBackBy { output.string(relayID) } }
            output.member("lost", fleet.relays.reduce(0) { $0 + $1.lost })
            output.key("relays")
            output.array { output in for relay in fleet.relays { append(relay, window, &output, at: now) } }
        }
        return output.bytes
    }

    private static func append(
        _ relay: RelayCompleteness, _ window: Window, _ output: inout JSONWriter, at now: Timestamp
    ) {
        output.object { output in
            output.member("relay_id", relay.relayID)
            output.member("state", relay.isRetired ? "retired" : relay.isSilent ? "silent" : "live")
            output.member("complete_through", relay.completeThrough)
            if let to = window.to { output.member("complete", relay.completeThrough.map { $0 >= to } ?? false) }
            output.member("waiting", relay.waitingAtRelay + relay.waitingHere)
            output.member("waiting_at_relay", relay.waitingAtRelay)
            output.member("waiting_at_central", relay.waitingHere)
            output.member("oldest_waiting", relay.oldestWaiting)
            output.member("lost", relay.lost)
            output.member("last_contact", relay.lastContact)
            output.member("last_report", relay.reportedAt)
            output.member("silent_for_s", relay.isSilent ? relay.lastContact.map { now.seconds(since: $0) } : nil)
            output.member("gap_count", relay.gapCount)
            output.key("gaps")
            output.array { output in
                for gap in relay.gaps where window.touches(gap) {
                    output.object {
                        $0.member("epoch", gap.epoch)
                        $0.member("first", gap.range.lowerBound)
                        $0.member("last", gap.range.upperBound)
                        $0.member("state", gap.state.rawValue)
                        $0.member("received_after", gap.after)
                        $0.member("received_before", gap.before)
                    }
                }
            }
        }
    }
}
