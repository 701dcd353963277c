// Metrics of the process itself: connections, reloads, the disk's answer, memory. See RelayMetrics for the rest.

import HTTPServer
import Metrics
import Models

func registerOperations(_ registry: MetricsRegistry, _ figures: @escaping @Sendable () -> RelayFigures) {
    registry.gaugeCallback("columba_relay_connections", help: "Open connections, of all ports.") {
        Double(figures().connections.open)
    }
    registry.gaugeCallback("columba_relay_connections_limit", help: "Open connections that one port may have.") {
        Double(figures().maxConnections)
    }
    let reasons: [(String, @Sendable (HTTPConnectionCounts) -> Int)] = [
        ("slow_header", { $0.slowHeader }), ("slow_body", { $0.slowBody }), ("slow_reader", { $0.slowReader }),
        ("idle", { $0.idle }), ("too_many_of_address", { $0.tooManyOfAddress }),
        ("made_room", { $0.madeRoom }),
    ]
    for (reason, count) in reasons {
        registry.counterCallback(
            "columba_relay_connections_closed_total", help: "Connections that the relay closed, by reason.",
            labels: [("reason", reason)]
        ) { Double(count(figures().connections)) }
    }
    let results: [(String, @Sendable (ReloadFigures) -> Int)] = [("ok", { $0.succeeded }), ("refused", { $0.refused })]
    for (result, count) in results {
        registry.counterCallback(
            "columba_relay_reloads_total", help: "Attempts to put a new configuration in force.",
            labels: [("result", result)]
        ) { Double(count(figures().reload)) }
    }
    registry.gaugeCallback(
        "columba_relay_last_reload_successful", help: "0 while the last attempt to reload was refused."
    ) { figures().reload.lastError == nil ? 1 : 0 }
    registry.gaugeCallback(
        "columba_relay_disk_stall_seconds", help: "How long the disk has been at the transaction in hand."
    ) { figures().stalledSeconds }
    registry.counterCallback("columba_relay_disk_stuck_total", help: "Times the disk did not answer for 5 s.") {
        Double(figures().stuckDisks)
    }
    registry.gaugeCallback("columba_relay_resident_memory_bytes", help: "Memory the process holds.") {
        Double(figures().process.residentBytes)
    }
    registry.counterCallback("columba_relay_cpu_seconds_total", help: "Processor time of all threads.") {
        figures().process.cpuSeconds
    }
    registry.gaugeCallback("columba_relay_start_timestamp_seconds", help: "When the relay was started.") {
        Double(figures().startedAt.microseconds) / 1e6
    }
}
