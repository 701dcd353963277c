// The small values: identifiers, problems, geohashes, alerts.

import Crypto
import Foundation
import JSON
import Models
import Testing

@Suite("Values")
struct ValuesTests {
    @Test(
        "a geohash is the published one",
        arguments: [
            // Wikipedia's examples, geohash.org's, and the corners.
            (57.64911, 10.40744, 11, "u4pruydqqvj"), (42.6, -5.6, 5, "ezs42"),
            (-25.382708, -49.265506, 12, "6gkzwgjzn820"),
            (48.8566, 2.3522, 7, "u09tvw0"), (0, 0, 7, "s000000"), (-90, -180, 7, "0000000"), (90, 180, 7, "zzzzzzz"),
        ] as [(Double, Double, Int, String)])
    func geohash(latitude: Double, longitude: Double, length: Int, expected: String) {
        #expect(Geohash.encode(latitude: latitude, longitude: longitude, length: length) == expected)
    }

    @Test("identifiers keep to their alphabets and lengths")
    func identifiers() {
        #expect(Identifier.isValidDroneID("pw-000123") && Identifier.isValidDroneID(String(repeating: "a", count: 64)))
        for bad in ["", String(repeating: "a", count: 65), "a b", "a/b", "ä", "a\n", "a%2f"] {
            #expect(!Identifier.isValidDroneID(bad))
        }
        #expect(Identifier.isValidBoot(String(repeating: "b", count: 32)))
        #expect(!Identifier.isValidBoot(String(repeating: "b", count: 33)))
        #expect(Identifier.isValidRelayID("north-3"))
        for bad in ["", ".", "..", ".hidden", "a/..", String(repeating: "a", count: 65)] {
            #expect(!Identifier.isValidRelayID(bad))
        }
        #expect(Identifier.isValidEpoch("0123456789abcdef0123456789abcdef"))
        for bad in [
            "", "0123456789ABCDEF0123456789abcdef", "0123456789abcdef0123456789abcde",
            "g" + String(repeating: "0", count: 31),
        ] {
            #expect(!Identifier.isValidEpoch(bad))
        }
        let longest = Identifier.relayBoot(
            relayID: String(repeating: "r", count: 64), epoch: String(repeating: "0", count: 32))
        #expect(Identifier.isValidStoredBoot(longest) && !Identifier.isValidBoot(longest))
    }

    @Test("limits do not contradict each other")
    func limits() { ReportLimits.assertConsistent() }

    @Test("a problem is RFC 9457 JSON, escaped")
    func problem() throws {
        let problem = Problem(
            status: 422, code: "invalid_field", detail: "must not hold \"quotes\" or \n", field: "citizens[3].name")
        #expect(
            String(decoding: problem.json(), as: UTF8.self)
                == #"{"type":"about:blank","title":"Unprocessable Content","status":422,"code":"invalid_field","#
                + #""detail":"must not hold \"quotes\" or \n","field":"citizens[3].name"}"#)
        let read = try JSONSerialization.jsonObject(with: Data(problem.json())) as? [String: Any]
        #expect(read?["detail"] as? String == problem.detail)
    }

    @Test("an alert's JSON has the contract's keys, and reads back")
    func alert() throws {
        let alert = Alert(
            alertID: String(repeating: "ab", count: 16), rule: "low-peacescore", ruleVersion: 3, severity: .critical,
            droneID: "pw-000123", boot: "6f1c", seq: 4711, location: Place(latitude: 48.8566, longitude: 2.3522),
            citizen: "Ada \"Martin\"", value: 12.5, limit: 20, observedAt: Timestamp(microseconds: 0),
            receivedAt: Timestamp(microseconds: 1000), raisedAt: Timestamp(microseconds: 1001), relayID: "north-3")
        #expect(
            String(decoding: alert.json(), as: UTF8.self)
                == #"{"alert_id":"abababababababababababababababab","rule":"low-peacescore","rule_version":3,"#
                + #""severity":"critical","state":"raised","drone_id":"pw-000123","boot":"6f1c","seq":4711,"#
                + #""location":{"lat":48.8566,"lon":2.3522},"citizen":"Ada \"Martin\"","value":12.5,"limit":20,"#
                + #""observed_at":"1970-01-01T00:00:00.000Z","received_at":"1970-01-01T00:00:00.001Z","#
                + #""raised_at":"1970-01-01T00:00:00.001001Z","relay_id":"north-3"}"#)
        #expect(try alert.json().withUnsafeBytes { try Alert(json: $0) } == alert)
        let silent = Alert(
            alertID: alert.alertID, rule: "lost", ruleVersion: 1, severity: .warning, droneID: "pw-1",
            observedAt: alert.observedAt, receivedAt: alert.receivedAt, raisedAt: alert.raisedAt, relayID: "north-3")
        #expect(try silent.json().withUnsafeBytes { try Alert(json: $0) } == silent)
        #expect(throws: Problem.self) { try Array("{}".utf8).withUnsafeBytes { try Alert(json: $0) } }
    }

    @Test("an alert's state change reads back, with and without an outcome")
    func stateChange() throws {
        var change = AlertStateChange(
            alertID: String(repeating: "0f", count: 16), state: .closed, by: "kim", note: "seen\n",
            outcome: .falseAlarm,
            at: Timestamp(microseconds: 5000), relayID: "north-3")
        #expect(
            String(decoding: change.json(), as: UTF8.self)
                == #"{"alert_id":"0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f","state":"closed","by":"kim","note":"seen\n","#
                + #""outcome":"false_alarm","at":"1970-01-01T00:00:00.005Z","relay_id":"north-3"}"#)
        #expect(try change.json().withUnsafeBytes { try AlertStateChange(json: $0) } == change)
        change.outcome = nil
        #expect(try change.json().withUnsafeBytes { try AlertStateChange(json: $0) } == change)
        let bad = Array(String(decoding: change.json(), as: UTF8.self).replacing("closed", with: "gone").utf8)
        #expect(throws: Problem.self) { try bad.withUnsafeBytes { try AlertStateChange(json: $0) } }
    }

    @Test("the same report gives the same alert id, any other part another")
    func alertID() {
        func id(_ rule: String, _ drone: String, _ boot: String, _ seq: Int64, _ subject: String) -> String {
            Alert.identifier(rule: rule, droneID: drone, boot: boot, seq: seq, subject: subject) {
                SHA256.hash($0).bytes
            }
        }
        let first = id("low", "pw-1", "a", 1, "Ada")
        #expect(first == id("low", "pw-1", "a", 1, "Ada"))
        #expect(Identifier.isValidAlertID(first))
        let others = [
            id("lo", "wpw-1", "a", 1, "Ada"), id("low", "pw-1", "a1", 1, "Ada"), id("low", "pw-1", "a", 11, "Ada"),
            id("low", "pw-1", "a", 1, ""), id("low", "pw-1", "", 1, "aAda"),
        ]
        #expect(Set(others + [first]).count == 6)
    }

    @Test("severities are ordered, and a closed alert stays closed")
    func order() {
        #expect(AlertSeverity.info < .warning && AlertSeverity.warning < .critical)
        #expect(AlertState.raised.canBecome(.acknowledged) && AlertState.shelved.canBecome(.acknowledged))
        #expect(AlertState.closed.canBecome(.closed) && !AlertState.closed.canBecome(.acknowledged))
        #expect(!AlertState.acknowledged.canBecome(.raised))
    }

    @Test("a JSON writer places commas and escapes, and its numbers read back")
    func writer() throws {
        var json = JSONWriter()
        json.object { json in
            json.member("a", 1)
            json.member("b", -0.5)
            json.key("c")
            json.array { list in
                list.string("x\u{1}\"\\\u{2028}é")
                list.null()
                list.bool(true)
                list.object { _ in }
                list.raw(Array("[1]".utf8))
                list.integer(Int64.min)
            }
            json.member("d", Timestamp(microseconds: 0))
        }
        let expected =
            #"{"a":1,"b":-0.5,"c":["x\u0001\"\\"# + "\u{2028}é"
            + #"",null,true,{},[1],-9223372036854775808],"d":"1970-01-01T00:00:00.000Z"}"#
        #expect(String(decoding: json.bytes, as: UTF8.self) == expected)
        for value in [
            0, -0.0, 1, 20, 1e15, 1e16, 1e300, .leastNonzeroMagnitude, 0.1, -123.456, 9_007_199_254_740_992, .pi,
        ] {
            var bytes: [UInt8] = []
            JSONText.appendNumber(value, to: &bytes)
            let text = String(decoding: bytes, as: UTF8.self)
            #expect(Double(text)?.bitPattern == value.bitPattern, "\(text)")
            #expect(
                (try? JSONSerialization.jsonObject(with: Data(bytes), options: .fragmentsAllowed)) != nil, "\(text)")
        }
    }
}
