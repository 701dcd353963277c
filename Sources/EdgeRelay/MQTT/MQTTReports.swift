// Reports that come as MQTT messages: topic `drones/<id>/reports`, one report a message. They take the way of every
// report (ReportIngest): alerts before the disk (I6), the acknowledgement after it (I1).

package import Identity
package import Log
package import MQTTServer
package import Models
package import System
import Certificates
import Synchronization

package final class MQTTReports: MQTTHandler {
    private let ingest: ReportIngest
    /// Nil over plain TCP; else every client must show a drone's certificate.
    private let refusals: RefusalLog?
    private let time: any TimeSource
    private let log: Log
    private let budget: Mutex<LogBudget>

    package init(ingest: ReportIngest, refusals: RefusalLog?, time: any TimeSource, log: Log) {
        self.ingest = ingest
        self.refusals = refusals
        self.time = time
        self.log = log
        budget = Mutex(LogBudget(at: time.monotonicNanoseconds()))
    }

    /// With TLS the certificate must be a drone's; without, only loopback is listened on.
    package func admit(_ connect: MQTTConnect, identity: String?) -> MQTTReason? {
        guard let refusals else { return nil }
        let peer = identity.flatMap(PeerIdentity.init(uri:))
        guard peer?.role != .drone else { return nil }
        refusals.note("wrong_role", who: peer?.uri ?? "")
        return .notAuthorized
    }

    package func handle(_ publish: MQTTPublish, from peer: MQTTPeer, answer: MQTTAnswer) {
        do throws(Problem) {
            let drone = try Self.drone(of: publish.topic)
            let certified = Self.drone(of: peer)
            if let certified, certified != drone {
                refusals?.note("identity_mismatch", who: peer.identity ?? "")
                throw IdentityProblem.mismatch("The drone that the topic names")
            }
            try ingest.submit(RequestBody(copying: publish.payload), from: certified, topicDrone: drone) {
                _, outcome in
                switch outcome {
                case .stored: answer.give(.stored)
                case .failed(let problem): answer.give(Self.verdict(problem))
                }
            }
        } catch {
            rejected(error)
            answer.give(Self.verdict(error))
        }
    }

    /// A 3.1.1 client cannot be told why, so the log tells the operator: the reason, nothing of the report (I9).
    private func rejected(_ problem: Problem) {
        guard (400..<500).contains(problem.status), problem.status != 429 else { return }
        write("mqtt_report_rejected", ["code": .string(problem.code)])
    }

    private func write(_ event: String, _ values: KeyValuePairs<String, LogValue>) {
        guard budget.withLock({ $0.take(at: time.monotonicNanoseconds()) }) else { return }
        log.info(event, values)
    }

    package func ended(_ peer: MQTTPeer, _ reason: MQTTReason, _ counts: MQTTCounts) {
        // A client identifier is the client's own words: it stays out of the log, as all that drones say (I9).
        let isNotable = reason != .success || counts.rejected > 0 || counts.heldBack > 0
        guard isNotable else { return }
        write(
            "mqtt_connection_ended",
            [
                "reason": .string("\(reason)"), "version": .string(peer.version == .v5 ? "5" : "3.1.1"),
                "drone_id": .string(Self.drone(of: peer) ?? ""), "published": .int(counts.published),
                "acknowledged": .int(counts.acknowledged), "rejected": .int(counts.rejected),
                "held_back": .int(counts.heldBack),
            ])
    }

    // MARK: Topics

    private static let topicPrefix = "drones/"
    private static let topicSuffix = "/reports"

    /// The drone that `drones/<id>/reports` names.
    package static func drone(of topic: String) throws(Problem) -> String {
        guard topic.hasPrefix(topicPrefix), topic.hasSuffix(topicSuffix) else { throw wrongTopic }
        let drone = String(topic.dropFirst(topicPrefix.count).dropLast(topicSuffix.count))
        guard Identifier.isValidDroneID(drone) else { throw wrongTopic }
        return drone
    }

    private static let wrongTopic = Problem(
        status: 404, code: "wrong_topic", detail: "Publish reports to drones/<drone_id>/reports.")

    /// Whom the certificate names; nil without one.
    private static func drone(of peer: MQTTPeer) -> String? {
        peer.identity.flatMap(PeerIdentity.init(uri:))?.name
    }

    // MARK: Verdicts

    /// What is answered with 4xx over HTTP will be no better when it is sent again; 429 and 5xx will.
    package static func verdict(_ problem: Problem) -> MQTTVerdict {
        let text = "\(problem.code)\(problem.field.map { " (\($0))" } ?? ""): \(problem.detail)"
        switch problem.status {
        case 404: return .rejected(.topicNameInvalid, text: text)
        case 401, 403: return .rejected(.notAuthorized, text: text)
        case 413: return .rejected(.packetTooLarge, text: text)
        case 429: return notNow(.quotaExceeded, problem, text)
        case 500...599:
            return notNow(problem.code == "buffer_full" ? .quotaExceeded : .implementationSpecific, problem, text)
        default: return .rejected(.payloadFormatInvalid, text: text)
        }
    }

    private static func notNow(_ reason: MQTTReason, _ problem: Problem, _ text: String) -> MQTTVerdict {
        .notNow(reason, text: text, afterSeconds: Double(problem.retryAfterSeconds ?? 1))
    }
}

/// Lines that clients can cause: at most so many a minute, so that no client fills the log.
struct LogBudget {
    static let linesPerMinute = 60.0

    private var bucket: TokenBucket

    init(at now: UInt64) { bucket = TokenBucket(burst: Self.linesPerMinute, at: now) }

    mutating func take(at now: UInt64) -> Bool {
        bucket.take(1, ratePerSecond: Self.linesPerMinute / 60, burst: Self.linesPerMinute, at: now) == nil
    }
}
