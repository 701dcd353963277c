// The relay's figures at one moment, as JSON for programs and as a sentence for people (contract §2, `/v1/status`).
//
// They add up:   received = stored + duplicates + conflicts          (reports answered 202 in this life)
//                records + carried_over = archived + waiting + lost + dropped
//                                                   (everything in the buffer: reports, alerts, states)

package import HTTPServer
import JSON
package import MQTTServer
package import Models

package struct ProcessFigures: Sendable, Equatable {
    package var residentBytes = 0
    package var cpuSeconds = 0.0
}

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
    package var buffer = BufferFigures()

    /// Nil: stand-alone.
    package var uplink: UplinkStatus?
    package var writer = BufferWriter.Counters()
    package var ingest = IngestCounters()
    package var carriedOver = 0
    package var alertsRaised = 0
    package var alertsOpen = 0
    package var alertsLate = 0
    package var alertsFolded = 0
    package var reportsCutShort = 0
    package var followers = 0
    package var dronesHeard = 0
    package var rulesVersion = 0
    package var connections = HTTPConnectionCounts()
    package var maxConnections = 0
    package var reload: ReloadFigures
    /// How often the disk hung, and for how long it has been at the transaction in hand.
    package var stuckDisks = 0
    package var stalledSeconds = 0.0
    package var process = ProcessFigures()
    /// Nil: no MQTT listener.
    package var mqtt: MQTTServerCounters?

    package init(
        relayID: String, epoch: String, version: String, position: Place?, startedAt: Timestamp, now: Timestamp
    ) {
        self.relayID = relayID
        self.epoch = epoch
        self.version = version
        self.position = position
        self.startedAt = startedAt
        self.now = now
        reload = ReloadFigures(loadedAt: startedAt)
    }

    /// Records that central archived in this life of the relay.
    package var archived: Int { writer.records + carriedOver - waiting - buffer.lost - buffer.dropped }

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
            if uplink.consecutiveFailures > 0 {
                parts.append("next try in \(Int(uplink.nextTrySeconds.rounded(.up))) s")
            }
            if uplink.setAside > 0 { parts.append("\(Self.grouped(uplink.setAside)) set aside") }
        } else {
            parts.append("stand-alone")
        }
        if stalledSeconds >= WriterProgress.patienceSeconds {
            parts.append("the disk has not answered for \(Self.duration(stalledSeconds))")
        }
        if reload.lastError != nil { parts.append("last reload refused") }
        if buffer.lost > 0 { parts.append("\(Self.grouped(buffer.lost)) lost to damage") }
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
        var output = JSONWriter(reservedBytes: 2_048)
        output.object {
            $0.member("relay_id", relayID)
            $0.member("epoch", epoch)
            $0.member("version", version)
            if let position {
                $0.object("position") {
                    $0.member("lat", position.latitude)
                    $0.member("lon", position.longitude)
                }
            }
            $0.member("started_at", startedAt)
            $0.member("now", now)
            $0.member("summary", summary)
            bufferJSON(&$0)
            uplinkJSON(&$0)
            countersJSON(&$0)
            mqttJSON(&$0)
            $0.member("rules_version", rulesVersion)
            reload.appendJSON(to: &$0)
            connectionsJSON(&$0)
        }
        return output.bytes
    }

    private func bufferJSON(_ output: inout JSONWriter) {
        output.object("buffer") {
            $0.member("waiting", waiting)
            $0.member("bytes", bufferBytes)
            $0.member("max_bytes", bufferMaxBytes)
            $0.member("oldest", oldestWaiting)
            $0.member("hours_left", hoursLeft)
            $0.member("segments", segments)
            $0.member("level", level.rawValue)
            buffer.appendJSON(to: &$0)
        }
    }

    private func uplinkJSON(_ output: inout JSONWriter) {
        output.object("uplink") {
            $0.member("state", uplinkState)
            $0.member("central", uplink?.central)
            $0.member("last_success", uplink?.lastSuccess)
            $0.member("last_error", uplink?.lastError)
            $0.member("next_try_in_s", uplink?.nextTrySeconds)
            $0.member("failures_in_a_row", uplink?.consecutiveFailures ?? 0)
            $0.member("set_aside", uplink?.setAside ?? 0)
            $0.member("batches", uplink?.batches ?? 0)
            $0.member("bytes_sent", uplink?.bytesSent ?? 0)
            uplink?.appendProgressJSON(to: &$0)
        }
    }

    private func connectionsJSON(_ output: inout JSONWriter) {
        output.object("connections") {
            $0.member("open", connections.open)
            $0.member("max", maxConnections)
            $0.member("closed_slow_header", connections.slowHeader)
            $0.member("closed_slow_body", connections.slowBody)
            $0.member("closed_slow_reader", connections.slowReader)
            $0.member("closed_idle", connections.idle)
            $0.member("refused_of_address", connections.tooManyOfAddress)
        }
    }

    private func countersJSON(_ output: inout JSONWriter) {
        output.object("counters") {
            $0.member("received", writer.reports)
            $0.member("stored", writer.stored)
            $0.member("duplicates", writer.duplicates)
            $0.member("conflicts", writer.conflicts)
            $0.member("rejected", ingest.rejectedReports)
            $0.member("throttled", ingest.throttled)
            $0.member("carried_over", carriedOver)
            $0.member("records", writer.records)
            $0.member("archived", archived)
            $0.member("waiting", waiting)
            $0.member("lost", buffer.lost)
            $0.member("dropped", buffer.dropped)
            $0.member("alerts_raised", alertsRaised)
            $0.member("alerts_open", alertsOpen)
            $0.member("followers", followers)
            $0.member("drones", dronesHeard)
            $0.member("transactions", writer.transactions)
            $0.member("failed_transactions", writer.failures)
        }
    }
}
