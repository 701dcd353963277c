// Whole HTTP requests, made beforehand. Only the drone, its sequence number and the time change from one report to
// the next, and those have a fixed width in each template: sending a report is four small copies and one send(2).
import CHTTPClient

struct ReportTemplates {
    struct Template {
        var bytes: [UInt8]
        let drone: Int
        let sequence: Int
        let time: Int
    }

    private static let names = [
        "Ada Martin", "Noor Haddad", "Élodie Petit", "Jun Tanaka", "Maria Oliveira", "Tomasz Nowak", "Grace Okafor",
        "Liam Murphy", "Sofia Rossi", "Ivan Petrov", "Chloé Bernard", "Ahmed Mansour",
    ]
    private static let words = [
        "market", "rain", "bridge", "umbrella", "north", "quiet", "music", "bread", "station", "river", "window",
        "garden", "children", "bicycle", "evening", "ticket", "harbour", "coffee", "square", "library", "weather",
    ]
    static let sequenceWidth = 10
    static let timeWidth = 24

    /// Reports without an alert, and reports with one citizen below 20.
    private(set) var calm: [Template]
    private(set) var alerting: [Template]
    let bodyBytes: Int
    private let drones: Int
    private var sent = 0

    /// - Parameter boot: of this run, so that no identity was ever used before.
    init(host: String, port: UInt16, citizens: Int, drones: Int, boot: String) {
        self.drones = drones
        var generator = SplitMix64(state: 42)
        func make(alerting: Bool) -> Template {
            ReportTemplates.template(
                "\(host):\(port)", citizens: citizens, boot: boot, alerting: alerting, using: &generator)
        }
        calm = (0..<64).map { _ in make(alerting: false) }
        alerting = (0..<16).map { _ in make(alerting: true) }
        bodyBytes = calm.map(\.bytes.count).reduce(0, +) / calm.count
    }

    struct Identity: Hashable {
        let drone: Int
        let sequence: Int
    }

    /// Gives the next report's request to `send`: drones take turns, each counting up from 1.
    mutating func next(
        alerting isAlerting: Bool, time: [UInt8], send: (UnsafeRawBufferPointer) -> Void
    ) -> Identity {
        let identity = Identity(drone: sent % drones, sequence: sent / drones + 1)
        let number = sent
        sent += 1
        if isAlerting {
            ReportTemplates.patch(&alerting[number % alerting.count], identity, time)
            alerting[number % alerting.count].bytes.withUnsafeBytes(send)
        } else {
            ReportTemplates.patch(&calm[number % calm.count], identity, time)
            calm[number % calm.count].bytes.withUnsafeBytes(send)
        }
        return identity
    }

    private static func patch(_ template: inout Template, _ identity: Identity, _ time: [UInt8]) {
        let (drone, sequence, timeStart) = (template.drone, template.sequence, template.time)
        template.bytes.withUnsafeMutableBytes { bytes in
            write(identity.drone, width: 6, padding: UInt8(ascii: "0"), to: bytes, at: drone)
            write(identity.sequence, width: sequenceWidth, padding: UInt8(ascii: " "), to: bytes, at: sequence)
            for index in 0..<timeWidth { bytes[timeStart + index] = time[index] }
        }
    }

    private static func write(
        _ number: Int, width: Int, padding: UInt8, to bytes: UnsafeMutableRawBufferPointer, at start: Int
    ) {
        var rest = number
        for index in stride(from: start + width - 1, through: start, by: -1) {
            bytes[index] = rest > 0 ? UInt8(ascii: "0") + UInt8(rest % 10) : padding
            rest /= 10
        }
    }

    private static func template(
        _ authority: String, citizens: Int, boot: String, alerting: Bool, using generator: inout SplitMix64
    ) -> Template {
        let people = (0..<citizens).map { index in
            let name = names[Int(generator.next() % UInt64(names.count))] + " \(index)"
            let score = alerting && index == citizens / 2 ? 12.5 : 50 + Double(generator.next() % 500) / 10
            return #"{"name":"\#(name)","peacescore":\#(score),"confidence":0.9\#(generator.next() % 10)}"#
        }
        let spoken = (0..<48).map { _ in "\"\(words[Int(generator.next() % UInt64(words.count))])\"" }
        let spaces = String(repeating: " ", count: sequenceWidth)
        let latitude = 48.8 + Double(generator.next() % 10_000) / 100_000
        let body =
            #"{"drone_id":"bench-000000","boot":"\#(boot)","seq":\#(spaces),"#
            + #""observed_at":"2026-11-20T05:00:00.123Z","location":{"lat":\#(latitude),"lon":2.3522,"alt_m":80.5},"#
            + #""citizens":[\#(people.joined(separator: ","))],"words":[\#(spoken.joined(separator: ","))],"#
            + #""readings":{"battery_pct":78,"battery_voltage_v":15.2,"ground_speed_mps":4.1,"heading_deg":271,"#
            + #""gps_satellites":11,"wind_speed_mps":3.4,"temperature_c":11.5}}"#
        let text =
            "POST /v1/reports HTTP/1.1\r\nHost: \(authority)\r\nContent-Type: application/json\r\n"
            + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
        let bytes = Array(text.utf8)
        return Template(
            bytes: bytes, drone: offset(of: "bench-", in: bytes), sequence: offset(of: "\"seq\":", in: bytes),
            time: offset(of: "\"observed_at\":\"", in: bytes))
    }

    /// Of the byte after `text`.
    private static func offset(of text: String, in bytes: [UInt8]) -> Int {
        guard let offset = bytes.withUnsafeBytes({ Bytes.end(of: Array(text.utf8), in: $0) }) else {
            preconditionFailure("a template holds \(text)")
        }
        return offset
    }
}

/// Enough randomness for words and names, the same in every run.
struct SplitMix64: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

enum Bytes {
    /// The offset just after the first `needle` at or after `start`.
    static func end(of needle: [UInt8], in bytes: UnsafeRawBufferPointer, from start: Int = 0) -> Int? {
        guard let base = bytes.baseAddress, start < bytes.count else { return nil }
        let found = needle.withUnsafeBytes { chc_find(base + start, bytes.count - start, $0.baseAddress, $0.count) }
        return found < 0 ? nil : start + found + needle.count
    }

    /// The digits at `start`, spaces before them skipped.
    static func number(in bytes: UnsafeRawBufferPointer, at start: Int) -> Int? {
        var index = start
        while index < bytes.count, bytes[index] == 0x20 { index += 1 }
        var value = 0
        let first = index
        while index < bytes.count, (0x30...0x39).contains(bytes[index]), index - first < 18 {
            value = value * 10 + Int(bytes[index] - 0x30)
            index += 1
        }
        return index > first ? value : nil
    }
}
