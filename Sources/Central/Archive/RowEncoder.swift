// Writes a record as a row of its table: a JSON object with the table's column names, times as microseconds, names
// replaced by pseudonyms. Text that the drone sent is copied as the token it came in, never unescaped and escaped
// again.
//
// No row holds a line feed: tokens and numbers cannot, and unknown members, which can, go through the string escaper.

import Crypto
import JSON
import Models

struct RowEncoder {
    private var pseudonyms: PseudonymCache

    private static let microsecondsPerDay: Int64 = 86_400_000_000
    /// Contract §1: a clock further off than this is not believed.
    private static let suspectMicroseconds: Int64 = 24 * 3_600_000_000
    /// Contract §5: `late` reports arrived this long after they were observed.
    private static let lateMicroseconds: Int64 = 5 * 60_000_000

    init(key: HMACSHA256) { pseudonyms = PseudonymCache(key: key) }

    mutating func encode(
        _ report: ParsedReport, _ line: ParsedLine, _ identity: ReportIdentity, _ digest: SHA256Digest,
        _ source: RecordSource, _ prepared: inout PreparedBatch
    ) -> PreparedReport {
        let receivedAt = line.receivedAt.microseconds
        let observedAt = report.observedAt?.microseconds ?? receivedAt
        let delay = receivedAt - observedAt
        let isSuspect = abs(delay) > Self.suspectMicroseconds
        literal(#"{"drone_id":""#, &prepared.rows)
        prepared.rows.append(contentsOf: report.droneIDBytes)
        literal(#"","boot":""#, &prepared.rows)
        prepared.rows.append(contentsOf: identity.boot.utf8)
        integer(#"","seq":"#, identity.seq, &prepared.rows)
        integer(#","observed_at":"#, observedAt, &prepared.rows)
        origin(line, source, &prepared.rows)
        number(#","lat":"#, report.latitude, report.latitudeText, &prepared.rows)
        number(#","lon":"#, report.longitude, report.longitudeText, &prepared.rows)
        if let altitude = report.altitude {
            number(#","alt_m":"#, altitude, report.altitudeText, &prepared.rows)
        }
        literal(#","cell":""#, &prepared.rows)
        Geohash.append(latitude: report.latitude, longitude: report.longitude, to: &prepared.rows)
        let cell = String(decoding: prepared.rows.suffix(Geohash.cellCharacters), as: UTF8.self)
        literal(#"","citizens":["#, &prepared.rows)
        citizens(report, receivedAt, &prepared)
        literal(#"],"words":["#, &prepared.rows)
        for index in 0..<report.wordCount {
            if index > 0 { prepared.rows.append(0x2c) }
            prepared.rows.append(contentsOf: report.word(at: index).raw)
        }
        literal(#"],"readings":{"#, &prepared.rows)
        for index in 0..<report.readingCount {
            if index > 0 { prepared.rows.append(0x2c) }
            let reading = report.reading(at: index)
            prepared.rows.append(contentsOf: reading.name.raw)
            number(":", reading.value, report.readingText(at: index), &prepared.rows)
        }
        literal(#"},"media":["#, &prepared.rows)
        media(report, &prepared.rows)
        literal("]", &prepared.rows)
        if report.extraCount > 0 { extra(report, &prepared.rows) }
        digestMember(digest, &prepared.rows)
        literal(isSuspect ? #","time_suspect":true"# : #","time_suspect":false"#, &prepared.rows)
        literal(delay > Self.lateMicroseconds ? #","late":true"# : #","late":false"#, &prepared.rows)
        return PreparedReport(
            identity: identity, day: Self.day(isSuspect ? receivedAt : observedAt), observedAt: observedAt,
            latitude: report.latitude, longitude: report.longitude, cell: cell)
    }

    private mutating func citizens(_ report: ParsedReport, _ receivedAt: Int64, _ prepared: inout PreparedBatch) {
        for index in 0..<report.citizenCount {
            let citizen = report.citizen(at: index)
            if index > 0 { prepared.rows.append(0x2c) }
            literal(#"{"person_id":""#, &prepared.rows)
            person(citizen.name, receivedAt, &prepared).appendHex(to: &prepared.rows)
            number(#"","peacescore":"#, citizen.peacescore, citizen.peacescoreText, &prepared.rows)
            if let confidence = citizen.confidence {
                number(#","confidence":"#, confidence, citizen.confidenceText, &prepared.rows)
            }
            prepared.rows.append(0x7d)
        }
    }

    private mutating func person(
        _ name: JSONStringToken, _ receivedAt: Int64, _ prepared: inout PreparedBatch
    ) -> PersonID {
        let (person, isNewHere) = pseudonyms.person(token: name.raw) { name.string }
        if isNewHere {
            prepared.names.append(SeenName(person: person, token: [UInt8](name.raw), receivedAt: receivedAt))
        }
        return person
    }

    /// Member by member, not the object as it came: that may hold line feeds and unknown members.
    private func media(_ report: ParsedReport, _ rows: inout [UInt8]) {
        for index in 0..<report.mediaCount {
            let medium = report.medium(at: index)
            literal(index == 0 ? #"{"uri":"# : #",{"uri":"#, &rows)
            rows.append(contentsOf: medium.uri.raw)
            if let sha256 = medium.sha256 {
                literal(#","sha256":"#, &rows)
                rows.append(contentsOf: sha256.raw)
            }
            if let bytes = medium.bytes { integer(#","bytes":"#, bytes, &rows) }
            if let type = medium.type {
                literal(#","type":"#, &rows)
                rows.append(contentsOf: type.raw)
            }
            rows.append(0x7d)
        }
    }

    private func extra(_ report: ParsedReport, _ rows: inout [UInt8]) {
        var object: [UInt8] = []
        report.appendExtraJSON(to: &object)
        literal(#","extra":"#, &rows)
        object.withUnsafeBytes { JSONText.appendString($0, to: &rows) }
    }

    // MARK: - Alerts

    mutating func encode(
        _ alert: Alert, _ line: ParsedLine, _ digest: SHA256Digest, _ source: RecordSource,
        _ prepared: inout PreparedBatch
    ) -> PreparedRecord.Content {
        var row = JSONWriter(reservedBytes: 768)
        row.beginObject()
        row.member("kind", "alert")
        row.member("alert_id", alert.alertID)
        row.member("state", alert.state.rawValue)
        row.member("at", alert.raisedAt.microseconds)
        row.member("rule", alert.rule)
        row.member("rule_version", alert.ruleVersion)
        row.member("severity", alert.severity.rawValue)
        row.member("drone_id", alert.droneID)
        if let boot = alert.boot { row.member("boot", boot) }
        if let seq = alert.seq { row.member("seq", seq) }
        if let place = alert.location {
            row.member("lat", place.latitude)
            row.member("lon", place.longitude)
            row.member("cell", Geohash.encode(latitude: place.latitude, longitude: place.longitude))
        }
        if let citizen = alert.citizen {
            var token: [UInt8] = []
            JSONText.appendString(citizen, to: &token)
            let citizenID: PersonID = token.withUnsafeBytes {
                person(JSONStringToken(raw: $0, isEscaped: true), line.receivedAt.microseconds, &prepared)
            }
            row.member("person_id", citizenID.hex)
        }
        if let value = alert.value { row.member("value", value) }
        if let limit = alert.limit { row.member("limit", limit) }
        row.member("observed_at", alert.observedAt.microseconds)
        finish(&row, line, source, digest, &prepared)
        return .alert(day: Self.day(alert.raisedAt.microseconds), at: alert.raisedAt.microseconds)
    }

    mutating func encode(
        _ change: AlertStateChange, _ line: ParsedLine, _ digest: SHA256Digest, _ source: RecordSource,
        _ prepared: inout PreparedBatch
    ) -> PreparedRecord.Content {
        var row = JSONWriter(reservedBytes: 512)
        row.beginObject()
        row.member("kind", "alert_state")
        row.member("alert_id", change.alertID)
        row.member("state", change.state.rawValue)
        row.member("at", change.at.microseconds)
        row.member("by", change.by)
        row.member("note", change.note)
        if let outcome = change.outcome { row.member("outcome", outcome.rawValue) }
        finish(&row, line, source, digest, &prepared)
        return .alert(day: Self.day(change.at.microseconds), at: change.at.microseconds)
    }

    private func finish(
        _ row: inout JSONWriter, _ line: ParsedLine, _ source: RecordSource, _ digest: SHA256Digest,
        _ prepared: inout PreparedBatch
    ) {
        prepared.rows.append(contentsOf: row.bytes)
        origin(line, source, &prepared.rows)
        digestMember(digest, &prepared.rows)
    }

    // MARK: - Pieces

    private func origin(_ line: ParsedLine, _ source: RecordSource, _ rows: inout [UInt8]) {
        integer(#","received_at":"#, line.receivedAt.microseconds, &rows)
        literal(#","relay_id":""#, &rows)
        rows.append(contentsOf: source.relayID.utf8)
        literal(#"","epoch":""#, &rows)
        rows.append(contentsOf: source.epoch.utf8)
        integer(#"","relay_seq":"#, line.n, &rows)
    }

    private func digestMember(_ digest: SHA256Digest, _ rows: inout [UInt8]) {
        literal(#","digest":""#, &rows)
        digest.withBytes { HexDigits.append($0, to: &rows) }
        rows.append(0x22)
    }

    private func literal(_ text: StaticString, _ rows: inout [UInt8]) {
        text.withUTF8Buffer { rows.append(contentsOf: $0) }
    }

    private func integer(_ key: StaticString, _ value: Int64, _ rows: inout [UInt8]) {
        literal(key, &rows)
        JSONText.appendInteger(value, to: &rows)
    }

    /// Digits that both parsers read exactly alike are copied; the rest, long ones and exponents, is written anew.
    private static let longestCopiedNumber = 15

    private func number(
        _ key: StaticString, _ value: Double, _ text: UnsafeRawBufferPointer, _ rows: inout [UInt8]
    ) {
        literal(key, &rows)
        if (1...Self.longestCopiedNumber).contains(text.count), value != 0,
            !text.contains(where: { $0 | 0x20 == UInt8(ascii: "e") })
        {
            rows.append(contentsOf: text)
        } else {
            JSONText.appendNumber(value, to: &rows)
        }
    }

    /// Days since 1970, for negative times too.
    static func day(_ microseconds: Int64) -> Int {
        let whole = microseconds / microsecondsPerDay
        return Int(microseconds % microsecondsPerDay < 0 ? whole - 1 : whole)
    }

    static func dayText(_ day: Int) -> String { Timestamp(microseconds: Int64(day) * microsecondsPerDay).utcDay }
}
