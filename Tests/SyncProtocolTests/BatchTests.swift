// Names and lines of batches, to the byte.

import JSON
import Models
import SyncProtocol
import Testing
import TestSupport

@Suite("A batch")
struct BatchTests {
    static let epoch = "0123456789abcdef0123456789abcdef"
    static let time = Timestamp(microseconds: 1_795_150_800_123_000)

    @Test("has exactly the contract's lines")
    func exactBytes() {
        var batch = BatchEncoder()
        batch.append(n: 5001, receivedAt: Self.time, kind: .report, body: Array(#"{"drone_id" : "a"}"#.utf8))
        batch.append(
            n: 5003, receivedAt: Self.time, kind: .report, body: Array("{}".utf8),
            assigned: .init(boot: "relay.n.0", seq: 5003))
        batch.append(n: 5004, receivedAt: Self.time, kind: .alertState, body: Array("{\n\"a\":\"\\n\"\r\n}".utf8))
        #expect(
            String(decoding: batch.bytes, as: UTF8.self)
                == #"{"n":5001,"received_at":"2026-11-20T05:00:00.123Z","kind":"report","body":{"drone_id" : "a"}}"#
                + "\n"
                + #"{"n":5003,"received_at":"2026-11-20T05:00:00.123Z","kind":"report","boot":"relay.n.0","seq":5003,"#
                + #""body":{}}"# + "\n"
                + #"{"n":5004,"received_at":"2026-11-20T05:00:00.123Z","kind":"alert_state","#
                + #""body_text":"{\n\"a\":\"\\n\"\r\n}"}"# + "\n")
        #expect(batch.first == 5001 && batch.last == 5004 && batch.recordCount == 3)
        batch.removeAll()
        #expect(batch.bytes.isEmpty && batch.first == nil && batch.recordCount == 0)
    }

    @Test("comes back from its lines byte for byte, raw line ends included")
    func roundTrip() throws {
        let seed = UInt64.random(in: 0 ... .max)
        var random = SeededGenerator(seed: seed)
        let pieces = [
            "{\"a\":1,", "\n", "\r\n", "\t", " ", "\"x\\\"\\n\\u0041\":", "\"\",", "[1,{}],", "\u{7f}\u{2028}é🕊", "\r",
            "\\\\", "]", "}",
        ]
        var batch = BatchEncoder()
        var bodies: [(n: Int64, kind: RecordKind, body: [UInt8])] = []
        for n in 1...500 {
            let core = (0..<Int.random(in: 0...8, using: &random)).map { _ in pieces.randomElement(using: &random) ?? ""
            }
            // A balanced body: the text itself need not mean anything, strings keep brackets from counting.
            let text = JSONString(core.joined())
            let separator = ["", " ", "\n", "\r\n"].randomElement(using: &random) ?? ""
            let body = Array("{\(separator)\"k\":\(separator)\(text)}".utf8)
            let kind = RecordKind.allCases.randomElement(using: &random) ?? .report
            let assigned =
                Bool.random(using: &random) ? BatchEncoder.AssignedIdentity(boot: "relay.n.x", seq: Int64(n)) : nil
            batch.append(n: Int64(n * 2), receivedAt: Self.time, kind: kind, body: body, assigned: assigned)
            bodies.append((Int64(n * 2), kind, body))
        }
        let parser = LineParser()
        var found = 0
        try batch.bytes.withUnsafeBytes { buffer in
            try NDJSON.forEachLine(in: buffer) { number, bytes in
                let line = try parser.parse(bytes)
                #expect(line.n == bodies[number].n && line.kind == bodies[number].kind, "seed \(seed)")
                #expect(line.receivedAt == Self.time && line.body.elementsEqual(bodies[number].body), "seed \(seed)")
                found += 1
            }
        }
        #expect(found == 500)
    }

    private func JSONString(_ text: String) -> String {
        var bytes: [UInt8] = []
        JSONText.appendString(text, to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }

    @Test("of the largest report as text still fits and is read")
    func largest() throws {
        let body = Array("{\n\"".utf8) + [UInt8](repeating: 0x22, count: ReportLimits.bodyBytes - 5) + Array("\"}".utf8)
        var batch = BatchEncoder()
        #expect(batch.hasRoom(forBodyBytes: body.count))
        batch.append(
            n: .max, receivedAt: Self.time, kind: .alertState, body: body,
            assigned: .init(boot: String(repeating: "b", count: ReportLimits.storedBootBytes), seq: .max))
        #expect(batch.bytes.count <= SyncLimits.lineBytes)
        let parser = LineParser()
        try batch.bytes.withUnsafeBytes { buffer in
            let line = try parser.parse(buffer)
            #expect(line.body.elementsEqual(body))
        }
    }

    @Test("says when it is full, before it passes its limit")
    func room() {
        let body = [UInt8](repeating: 0x22, count: 250_000)
        var batch = BatchEncoder()
        while batch.hasRoom(forBodyBytes: body.count) {
            batch.append(n: Int64(batch.recordCount + 1), receivedAt: Self.time, kind: .report, body: body)
        }
        #expect(batch.bytes.count <= SyncLimits.inflatedBatchBytes)
        #expect(batch.bytes.count > SyncLimits.inflatedBatchBytes - 2 * body.count - SyncLimits.envelopeBytes)
    }

    @Test("has limits that do not contradict each other")
    func limits() { SyncLimits.assertConsistent() }

    @Test("has exactly one path")
    func path() {
        let name = BatchName(relayID: "north-3", epoch: Self.epoch, first: 1, last: 5000)
        #expect(name.path == "/v1/relays/north-3/epochs/\(Self.epoch)/batches/1-5000")
        #expect(BatchName(path: name.path) == name)
        let largest = BatchName(relayID: "n", epoch: Self.epoch, first: .max, last: .max)
        #expect(BatchName(path: largest.path) == largest)
        let base = "/v1/relays/north-3/epochs/\(Self.epoch)/batches/"
        for bad in [
            base, base + "1", base + "1-", base + "-1", base + "0-1", base + "2-1", base + "01-2", base + "1-02",
            base + "+1-2",
            base + "1-+2", base + "1--2", base + "1-2-3", base + "1-2/", base + "1-2?x", base + " 1-2",
            base + "1-9223372036854775808",
            base + "１-2", base.dropFirst() + "1-2", "/" + base + "1-2",
            "/v1/relays/../epochs/\(Self.epoch)/batches/1-2", "/v1/relays//epochs/\(Self.epoch)/batches/1-2",
            "/v1/relays/a b/epochs/\(Self.epoch)/batches/1-2", "/v1/relays/n/epochs/ABC/batches/1-2",
            "/v2/relays/n/epochs/\(Self.epoch)/batches/1-2", "/v1/relays/n/epochs/\(Self.epoch)/acks",
        ] {
            #expect(BatchName(path: String(bad)) == nil, "\(bad)")
        }
    }

    @Test("has a place to ask for acknowledgements")
    func acknowledgementsPath() {
        let path = BatchName.acknowledgementsPath(relayID: "north-3", epoch: Self.epoch)
        #expect(path == "/v1/relays/north-3/epochs/\(Self.epoch)/acks")
        let parsed = BatchName.parseAcknowledgementsPath(path)
        #expect(parsed?.relayID == "north-3" && parsed?.epoch == Self.epoch)
        for bad in [path + "/", path + "x", "/v1/relays/./epochs/\(Self.epoch)/acks", "/v1/relays/n/epochs/x/acks", ""]
        {
            #expect(BatchName.parseAcknowledgementsPath(bad) == nil)
        }
    }
}
