// Reports that come as MQTT messages: topic `drones/<id>/reports`, one report a message. They take the way of every
// report (ReportIngest): alerts before the disk (I6), the acknowledgement after it (I1).

import Log
import MQTTServer
import Models

final class MQTTReports: MQTTHandler {
    private let ingest: ReportIngest
    private let log: Log

    init(ingest: ReportIngest, log: Log) {
        self.ingest = ingest
        self.log = log
    }

    /// With TLS the certificate must be a drone's; without, only loopback is listened on.
    func admit(_ connect: MQTTConnect, identity: String?) -> MQTTReason? { nil }

    func handle(_ publish: MQTTPublish, from peer: MQTTPeer, answer: MQTTAnswer) {
        do throws(Problem) {
            let drone = try Self.drone(of: publish.topic)
            if let identity = peer.identity, identity != drone { throw Self.notYours }
            try ingest.submit(RequestBody(copying: publish.payload), claimedDrone: drone) { _, outcome in
                switch outcome {
                case .stored: answer.give(.stored)
                case .failed(let problem): answer.give(Self.verdict(problem))
                }
            }
        } catch {
            answer.give(Self.verdict(error))
        }
    }

    func ended(_ peer: MQTTPeer, _ reason: MQTTReason, _ counts: MQTTCounts) {
        // A client identifier is the client's own words: it stays out of the log, as all that drones say (I9).
        let isNotable = reason != .success || counts.rejected > 0 || counts.heldBack > 0
        guard isNotable else { return }
        log.info(
            "mqtt_connection_ended",
            [
                "reason": .string("\(reason)"), "version": .string(peer.version == .v5 ? "5" : "3.1.1"),
                "drone_id": .string(peer.identity ?? ""), "published": .int(counts.published),
                "acknowledged": .int(counts.acknowledged), "rejected": .int(counts.rejected),
                "held_back": .int(counts.heldBack),
            ])
    }

    // MARK: Topics

    private static let topicPrefix = "drones/"
    private static let topicSuffix = "/reports"

    /// The drone that `drones/<id>/reports` names.
    static func drone(of topic: String) throws(Problem) -> String {
        guard topic.hasPrefix(topicPrefix), topic.hasSuffix(topicSuffix) else { throw wrongTopic }
        let drone = String(topic.dropFirst(topicPrefix.count).dropLast(topicSuffix.count))
        guard Identifier.isValidDroneID(drone) else { throw wrongTopic }
        return drone
    }

    private static let wrongTopic = Problem(
        status: 404, code: "wrong_topic", detail: "Publish reports to drones/<drone_id>/reports.")

    private static let notYours = Problem(
        status: 403, code: "not_this_drone", detail: "The certificate is another drone's than the topic names.")

    // MARK: Verdicts

    /// What is answered with 4xx over HTTP will be no better when it is sent again; 429 and 5xx will.
    static func verdict(_ problem: Problem) -> MQTTVerdict {
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
