// Alerts and their state changes as JSON (contract §3): to operators, into the buffer, and as bodies of the sync
// protocol. Reading is a rare path (central's intake of alerts): Foundation's decoder does.

import FoundationEssentials
package import Models

extension Alert {
    /// The contract's members in its order; those without a value are left out.
    package func json() -> [UInt8] {
        var writer = JSONWriter(reservedBytes: 512)
        appendJSON(to: &writer)
        return writer.bytes
    }

    package func appendJSON(to writer: inout JSONWriter) {
        writer.object { json in
            json.member("alert_id", alertID)
            json.member("rule", rule)
            json.member("rule_version", ruleVersion)
            json.member("severity", severity.rawValue)
            json.member("state", state.rawValue)
            json.member("drone_id", droneID)
            if let boot { json.member("boot", boot) }
            if let seq { json.member("seq", seq) }
            if let location {
                json.key("location")
                json.object { place in
                    place.member("lat", location.latitude)
                    place.member("lon", location.longitude)
                }
            }
            if let citizen { json.member("citizen", citizen) }
            if let value { json.member("value", value) }
            if let limit { json.member("limit", limit) }
            json.member("observed_at", observedAt)
            json.member("received_at", receivedAt)
            json.member("raised_at", raisedAt)
            json.member("relay_id", relayID)
            if isLate { json.member("late", true) }
            if let foldedInto { json.member("folded_into", foldedInto) }
        }
    }

    package init(json: UnsafeRawBufferPointer) throws(Problem) {
        let text = try AlertText.decode(AlertText.self, from: json)
        guard let severity = AlertSeverity(rawValue: text.severity), let state = AlertState(rawValue: text.state),
            Identifier.isValidAlertID(text.alertID), Identifier.isValidDroneID(text.droneID),
            let observedAt = Timestamp(rfc3339: text.observedAt), let raisedAt = Timestamp(rfc3339: text.raisedAt),
            let receivedAt = Timestamp(rfc3339: text.receivedAt), Identifier.isValidRelayID(text.relayID)
        else { throw AlertText.problem }
        self.init(
            alertID: text.alertID, rule: text.rule, ruleVersion: text.ruleVersion, severity: severity, state: state,
            droneID: text.droneID, boot: text.boot, seq: text.seq,
            location: text.location.map { Place(latitude: $0.lat, longitude: $0.lon) }, citizen: text.citizen,
            value: text.value, limit: text.limit, observedAt: observedAt, receivedAt: receivedAt,
            raisedAt: raisedAt, relayID: text.relayID, isLate: text.late ?? false, foldedInto: text.foldedInto)
    }
}

extension AlertStateChange {
    package func json() -> [UInt8] {
        var writer = JSONWriter()
        appendJSON(to: &writer)
        return writer.bytes
    }

    package func appendJSON(to writer: inout JSONWriter) {
        writer.object { json in
            json.member("alert_id", alertID)
            json.member("state", state.rawValue)
            json.member("by", by)
            json.member("note", note)
            if let outcome { json.member("outcome", outcome.rawValue) }
            json.member("at", at)
            json.member("relay_id", relayID)
            if let until { json.member("until", until) }
        }
    }

    package init(json: UnsafeRawBufferPointer) throws(Problem) {
        let text = try AlertText.decode(AlertStateText.self, from: json)
        let outcome = text.outcome.map { AlertOutcome(rawValue: $0) }
        let until = text.until.map { Timestamp(rfc3339: $0) }
        guard let state = AlertState(rawValue: text.state), let at = Timestamp(rfc3339: text.at),
            Identifier.isValidAlertID(text.alertID), Identifier.isValidRelayID(text.relayID), outcome != .some(nil),
            until != .some(nil)
        else { throw AlertText.problem }
        self.init(
            alertID: text.alertID, state: state, by: text.by, note: text.note ?? "", outcome: outcome ?? nil, at: at,
            relayID: text.relayID, until: until ?? nil)
    }
}

private struct AlertText: Decodable {
    struct PlaceText: Decodable {
        var lat: Double
        var lon: Double
    }

    var alertID: String
    var rule: String
    var ruleVersion: Int
    var severity: String
    var state: String
    var droneID: String
    var boot: String?
    var seq: Int64?
    var location: PlaceText?
    var citizen: String?
    var value: Double?
    var limit: Double?
    var observedAt: String
    var receivedAt: String
    var raisedAt: String
    var relayID: String
    var late: Bool?
    var foldedInto: String?

    enum CodingKeys: String, CodingKey {
        case late
        case foldedInto = "folded_into"
        case rule, severity, state, boot, seq, location, citizen, value, limit
        case alertID = "alert_id"
        case ruleVersion = "rule_version"
        case droneID = "drone_id"
        case observedAt = "observed_at"
        case receivedAt = "received_at"
        case raisedAt = "raised_at"
        case relayID = "relay_id"
    }

    static let problem = Problem(
        status: 422, code: "invalid_alert", detail: "the record is not an alert or a state change of contract version 1"
    )

    static func decode<Text: Decodable>(_ type: Text.Type, from json: UnsafeRawBufferPointer) throws(Problem) -> Text {
        guard json.count <= ReportLimits.bodyBytes else {
            throw Problem(status: 413, code: "too_large", detail: "an alert is at most as large as a report")
        }
        do {
            return try JSONDecoder().decode(type, from: Data(json))
        } catch {
            throw problem
        }
    }
}

private struct AlertStateText: Decodable {
    var alertID: String
    var state: String
    var by: String
    var note: String?
    var outcome: String?
    var at: String
    var relayID: String
    var until: String?

    enum CodingKeys: String, CodingKey {
        case state, by, note, outcome, at, until
        case alertID = "alert_id"
        case relayID = "relay_id"
    }
}
