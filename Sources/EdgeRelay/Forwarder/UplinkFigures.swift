// The uplink in `/v1/status` and in the metrics. docs/relay/forwarding.md says how to read them.

import JSON
import Metrics

extension UplinkStatus {
    /// Members of the object `uplink`, beside its state and the next attempt.
    func appendProgressJSON(to output: inout JSONWriter) {
        output.member("restarts", restarts)
        output.member("since_progress_s", secondsSinceProgress)
        output.member("batch_limit_bytes", batchLimitBytes)
        output.member("bytes_per_s", bytesPerSecond)
        output.member("line_bytes", lineBytes)
        output.member("attempted_bytes", attemptedBytes)
        output.object("lanes") {
            for lane in ForwarderLane.allCases {
                let figures = lanes[lane] ?? Lane()
                $0.object(lane.rawValue) {
                    $0.member("unsent", figures.unsent)
                    $0.member("lag_s", figures.lagSeconds)
                }
            }
        }
    }
}

extension RelayMetrics {
    func registerForwarder() {
        for lane in ForwarderLane.allCases {
            gauge(
                "columba_forward_lag_seconds", "How long the record that a lane is behind with has waited.",
                labels: [("lane", lane.rawValue)]
            ) { $0.uplink?.lanes[lane]?.lagSeconds ?? 0 }
            gauge(
                "columba_forward_unsent_records",
                "Records of a lane that no request holds and central has not received.",
                labels: [("lane", lane.rawValue)]
            ) { Double($0.uplink?.lanes[lane]?.unsent ?? 0) }
        }
        counter("columba_forward_restarts_total", "Times that all connections were given up because nothing moved.") {
            $0.uplink?.restarts ?? 0
        }
        gauge(
            "columba_forward_progress_age_seconds",
            "Since central acknowledged a number it had not acknowledged before; 0 if it never did in this life."
        ) { $0.uplink?.secondsSinceProgress ?? 0 }
        gauge("columba_forward_batch_limit_bytes", "What the next batch may hold, before compression.") {
            Double($0.uplink?.batchLimitBytes ?? 0)
        }
        gauge("columba_forward_link_bytes_per_second", "The link's speed as acknowledgements show it; 0: unknown.") {
            $0.uplink?.bytesPerSecond ?? 0
        }
        counter("columba_forward_line_bytes_total", "Bytes of acknowledged batches before compression.") {
            $0.uplink?.lineBytes ?? 0
        }
        counter(
            "columba_forward_attempted_bytes_total",
            "Bytes of all requests on the wire, with headers and what was never acknowledged."
        ) { $0.uplink?.attemptedBytes ?? 0 }
    }
}
