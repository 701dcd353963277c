// The relay's figures at one moment, as JSON for programs and as a sentence for people (contract §2, `/v1/status`).
//
// They add up:   received = stored + duplicates + conflicts          (reports answered 202 in this life)
//                records + carried_over = archived + waiting         (everything in the buffer: reports, alerts, states)

import Models

package struct RelayFigures: Sendable, Equatable {
    package var relayID: String
    package var epoch: String
    package var version: String
    package var position: Place?
    package var startedAt: Timestamp
    package var now: Timestamp

    package var waiting = 0
    package var bufferBytes = 0
    package var bufferMaxBytes = 0
    package var oldestWaiting: Timestamp?
    package var hoursLeft: Double?
    package var segments = 0
    package var level = BufferLevel.normal

    /// Nil: stand-alone.
    package var uplink: UplinkStatus?
    package var writer = BufferWriter.Counters()
    package var ingest = IngestCounters()
    package var carriedOver = 0
    package var alertsRaised = 0
    package var alertsOpen = 0
    package var followers = 0
    package var dronesHeard = 0
    package var rulesVersion = 0

    package init(relayID: String, epoch: String, version: String, position: Place?, startedAt: Timestamp, now: Timestamp) {
        self.relayID = relayID
        self.epoch = epoch
        self.version = version
        self.position = position
        self.startedAt = startedAt
        self.now = now
    }

    /// Records that central archived in this life of the relay.
    package var archived: Int { writer.records + carriedOver - waiting }

    package var uplinkState: String {
        guard let uplink else { return "standalone" }
        if uplink.consecutiveFailures > 0 { return "down" }
        return uplink.lastSuccess == nil ? "unknown" : "up"
    }
}

extension RelayFigures {
    package var summary: String {
        var parts = ["\(Self.grouped(waiting)) waiting"]
        if let oldestWaiting { parts.append("oldest \(Self.duration(now.seconds(since: oldestWaiting)))") }
        if let hoursLeft { parts.append("room for \(Self.duration(hoursLeft * 3600))") }
        if let uplink {
            if let last = uplink.lastSuccess {
                parts.append("last success \(last.rfc3339.split(separator: "T").last?.prefix(8) ?? "")")
            } else {
                parts.append("central not reached yet")
            }
            if uplink.consecutiveFailures > 0 { parts.append("next try in \(Int(uplink.nextTrySeconds.rounded(.up))) s") }
            if uplink.setAside > 0 { parts.append("\(Self.grouped(uplink.setAside)) set aside") }
        } else {
            parts.append("stand-alone")
        }
        if level != .normal { parts.append("buffer: \(level.rawValue)") }
        return parts.joined(separator: ", ")
    }

    /// 12,431
    static func grouped(_ value: Int) -> String {
        var digits = String(abs(value))
        var grouped = ""
        while digits.count > 3 {
            grouped = "," + digits.suffix(3) + grouped
            digits = String(digits.dropLast(3))
        }
        return (value < 0 ? "-" : "") + digits + grouped
    }

    /// "14 min", in the largest unit that still says something.
    static func duration(_ seconds: Double) -> String {
        let seconds = max(0, seconds)
        switch seconds {
        case ..<120: return "\(Int(seconds)) s"
        case ..<7_200: return "\(Int(seconds / 60)) min"
        case ..<172_800: return "\(Int(seconds / 3_600)) h"
        case ..<315_360_000: return "\(Int(seconds / 86_400)) days"
        default: return "years"
        }
    }

    package func json() -> [UInt8] {
        var output = StatusJSON()
        output.object {
            $0.string("relay_id", relayID)
            $0.string("epoch", epoch)
            $0.string("version", version)
            if let position {
                $0.object("position") {
                    $0.number("lat", position.latitude)
                    $0.number("lon", position.longitude)
                }
            }
            $0.time("started_at", startedAt)
            $0.time("now", now)
            $0.string("summary", summary)
            bufferJSON(&$0)
            uplinkJSON(&$0)
            countersJSON(&$0)
            $0.integer("rules_version", rulesVersion)
        }
        return output.bytes
    }

    private func bufferJSON(_ output: inout StatusJSON) {
        output.object("buffer") {
            $0.integer("waiting", waiting)
            $0.integer("bytes", bufferBytes)
            $0.integer("max_bytes", bufferMaxBytes)
            $0.time("oldest", oldestWaiting)
            $0.number("hours_left", hoursLeft)
            $0.integer("segments", segments)
            $0.string("level", level.rawValue)
        }
    }

    private func uplinkJSON(_ output: inout StatusJSON) {
        output.object("uplink") {
            $0.string("state", uplinkState)
            $0.string("central", uplink?.central)
            $0.time("last_success", uplink?.lastSuccess)
            $0.string("last_error", uplink?.lastError)
            $0.number("next_try_in_s", uplink?.nextTrySeconds)
            $0.integer("failures_in_a_row", uplink?.consecutiveFailures ?? 0)
            $0.integer("set_aside", uplink?.setAside ?? 0)
            $0.integer("batches", uplink?.batches ?? 0)
            $0.integer("bytes_sent", uplink?.bytesSent ?? 0)
        }
    }

    private func countersJSON(_ output: inout StatusJSON) {
        output.object("counters") {
            $0.integer("received", writer.reports)
            $0.integer("stored", writer.stored)
            $0.integer("duplicates", writer.duplicates)
            $0.integer("conflicts", writer.conflicts)
            $0.integer("rejected", ingest.rejectedReports)
            $0.integer("throttled", ingest.throttled)
            $0.integer("carried_over", carriedOver)
            $0.integer("records", writer.records)
            $0.integer("archived", archived)
            $0.integer("waiting", waiting)
            $0.integer("alerts_raised", alertsRaised)
            $0.integer("alerts_open", alertsOpen)
            $0.integer("followers", followers)
            $0.integer("drones", dronesHeard)
            $0.integer("transactions", writer.transactions)
            $0.integer("failed_transactions", writer.failures)
        }
    }
}

/// Writes the nested objects of a status page.
package struct StatusJSON {
    package private(set) var bytes: [UInt8] = []
    private var needsComma = false

    package init() {}

    private mutating func key(_ key: String) {
        if needsComma { bytes.append(UInt8(ascii: ",")) }
        needsComma = true
        JSONText.appendString(key, to: &bytes)
        bytes.append(UInt8(ascii: ":"))
    }

    package mutating func object(_ name: String? = nil, _ members: (inout StatusJSON) -> Void) {
        if let name { key(name) }
        bytes.append(UInt8(ascii: "{"))
        needsComma = false
        members(&self)
        bytes.append(UInt8(ascii: "}"))
        needsComma = true
    }

    private mutating func value<Value>(_ name: String, _ value: Value?, _ append: (Value, inout [UInt8]) -> Void) {
        key(name)
        if let value { append(value, &bytes) } else { bytes.append(contentsOf: "null".utf8) }
    }

    package mutating func string(_ name: String, _ text: String?) {
        value(name, text) { JSONText.appendString($0, to: &$1) }
    }
    package mutating func integer(_ name: String, _ number: Int?) {
        value(name, number) { JSONText.appendInteger(Int64($0), to: &$1) }
    }
    package mutating func number(_ name: String, _ number: Double?) {
        value(name, number) { JSONText.appendNumber($0, to: &$1) }
    }
    package mutating func time(_ name: String, _ time: Timestamp?) {
        value(name, time) { JSONText.appendTimestamp($0, to: &$1) }
    }
}
