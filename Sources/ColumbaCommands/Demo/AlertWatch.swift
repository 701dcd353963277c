// Counts alerts and measures how long they take.
//
// What is measured: from the moment before the client hands the report's POST to its connection until the demo's
// subscriber has received the last byte of the alert's event (`/v1/alerts/stream`). It therefore contains the way of
// the report, its parsing, the rules, and the way back; client, relay and subscriber share this machine's processors.
import Models
import Simulation
import System

final class AlertWatch: FlightObserver {
    private struct State {
        /// When each report that must raise an alert was last handed over.
        var sentAt: [ReportIdentity: UInt64] = [:]
        var seen: Set<String> = []
        var latency = LatencyHistogram()
    }

    /// The alert by which the latency is measured: the simulator knows which reports raise it.
    private static let measuredRule = "low-peacescore"

    private let state = Monitor(State())
    private let recorder: FlightRecorder

    init(recorder: FlightRecorder) { self.recorder = recorder }

    /// Different alerts heard so far.
    var alerts: Int { state.withLock { $0.seen.count } }
    var latency: LatencyHistogram { state.withLock { $0.latency } }

    /// Waits until every report that must raise an alert has raised it.
    func waitForAll(timeoutSeconds: Double) -> Bool {
        state.wait(timeoutSeconds: timeoutSeconds) { $0.sentAt.isEmpty ? true : nil } ?? false
    }

    func heard(_ event: ServerSentEvent, at nanoseconds: UInt64) {
        guard let alert = try? OrderedJSON.parse(Array(event.data.utf8)), let id = alert["alert_id"]?.stringValue,
            let droneID = alert["drone_id"]?.stringValue, let boot = alert["boot"]?.stringValue,
            let seq = alert["seq"]?.intValue
        else { return }
        let identity = ReportIdentity(droneID: droneID, boot: boot, seq: Int64(seq))
        let isMeasured = alert["rule"]?.stringValue == Self.measuredRule
        state.update { state in
            guard state.seen.insert(id).inserted, isMeasured else { return }
            guard let sent = state.sentAt.removeValue(forKey: identity) else { return }
            state.latency.record(seconds: Double(nanoseconds - min(sent, nanoseconds)) / 1e9)
        }
    }

    func willSend(_ report: SimulatedReport, monotonicNanoseconds: UInt64) {
        guard report.raisesAlert else { return }
        state.withLock { $0.sentAt[report.identity] = monotonicNanoseconds }
    }

    func acknowledged(_ report: SimulatedReport, status: String) { recorder.acknowledged(report, status: status) }

    func refused(_ report: SimulatedReport, httpStatus: Int, answer: [UInt8]) {
        recorder.refused(report, httpStatus: httpStatus, answer: answer)
    }
}
