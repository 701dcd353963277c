// Metrics of the fleet: the accounting identity per relay, what is lost or late, incidents. Relays are few and named by
// an operator, so they may be labels; drones, names and words never are (I9).

import Models

extension CentralMetrics {
    func registerFleet() {
        for code in IncidentCode.allCases {
            gauge("columba_incidents_open", "Incidents that are open, by code.", labels: [("code", code.rawValue)]) {
                Double($0.openIncidents[code] ?? 0)
            }
        }
        gauge("columba_central_quarantined_records", "Records that wait for a person's decision.") {
            Double($0.quarantined)
        }
        gauge("columba_central_rules_version", "The rule set that every relay should have; 0: none.") {
            Double($0.rulesVersion)
        }
    }

    /// Series per relay: relays come while central runs, so they are written anew for each scrape.
    static func relayText(_ figures: CentralFigures) -> [UInt8] {
        var text = ""
        func family(_ name: String, _ help: String) { text += "# HELP \(name) \(help)\n# TYPE \(name) gauge\n" }
        family(
            "columba_central_relay_records", "Records by relay and by what became of them; see docs/central/sync.md.")
        for relay in figures.relays {
            let counts = [
                ("received", relay.received), ("archived", relay.archived), ("waiting", relay.waiting),
                ("duplicate", relay.duplicates), ("conflict", relay.conflicts),
                ("record_conflict", relay.recordConflicts), ("rejected", relay.rejected),
                ("waiting_at_relay", relay.waitingAtRelay), ("lost", relay.lost),
            ]
            for (state, count) in counts {
                text += "columba_central_relay_records{relay=\"\(relay.relayID)\",state=\"\(state)\"} \(count)\n"
            }
        }
        family("columba_central_relay_complete_through_timestamp_seconds", "How far each relay is complete.")
        for relay in figures.relays {
            let seconds = relay.completeThrough.map { Double($0.microseconds) / 1e6 } ?? 0
            text += "columba_central_relay_complete_through_timestamp_seconds{relay=\"\(relay.relayID)\"} \(seconds)\n"
        }
        family("columba_central_relay_last_contact_timestamp_seconds", "When each relay was last heard.")
        for relay in figures.relays {
            let seconds = relay.lastContact.map { Double($0.microseconds) / 1e6 } ?? 0
            text += "columba_central_relay_last_contact_timestamp_seconds{relay=\"\(relay.relayID)\"} \(seconds)\n"
        }
        return Array(text.utf8)
    }
}
