// `limits {…}` of relay.json5: every limit on what comes in (I7), with its default, its unit and what happens at it.
// All but `threads`, `max_header_bytes`, `max_header_fields`, `max_uri_bytes`, `idle_s` and `drones_on_board` take
// effect by a reload (SIGHUP), for open connections too.

import Configuration
package import HTTPServer

extension RelayConfiguration {
    package struct Limits: Sendable, Equatable {
        /// Open connections on one port. Further ones wait in the kernel's queue; from nine tenths on, idle ones are
        /// closed to make room.
        package var maxConnections = 12_288
        /// Slow senders and readers, connections per address.
        package var admission = HTTPAdmissionLimits()
        /// An idle connection is closed.
        package var idleSeconds = 60
        /// 431 beyond it. Each connection keeps this much memory while it is open: what idle connections cost.
        package var maxHeaderBytes = 8 << 10
        package var maxHeaderFields = 64
        /// Path and query; 414 beyond it.
        package var maxURIBytes = 4 << 10
        /// Bodies over 16 KiB, of all connections together; 503 beyond it.
        package var maxBodyBytesInFlight = 128 << 20
        /// Token bucket per drone: reports per second in the long run, and at once after a pause; 429 beyond it. A
        /// drone that comes back after days replays its own backlog, so the burst is generous.
        package var reportsPerDronePerSecond = 200.0
        package var reportBurstPerDrone = 20_000.0
        /// Drones that the console remembers; beyond it the one heard longest ago is forgotten.
        package var dronesOnBoard = 20_000
        package var threads = 2

        /// Descriptors beside the connections: segments, the state store, uplink, logs.
        static let otherFiles = 1_024

        /// What the process needs to have open at once, for `ports` of them.
        package func openFiles(ports: Int) -> Int { maxConnections * ports + Self.otherFiles }

        package init() {}
    }
}

extension RelayConfiguration.Limits {
    /// - Parameter base: holds where a key is absent.
    static func read(
        _ section: inout ConfigurationReader, over base: Self = Self()
    ) throws(ConfigurationError) -> Self {
        var limits = base
        limits.maxConnections = try section.integer("max_connections", in: 16...100_000) ?? limits.maxConnections
        limits.idleSeconds = try section.integer("idle_s", in: 1...86_400) ?? limits.idleSeconds
        limits.maxHeaderBytes =
            try section.integer("max_header_bytes", in: (4 << 10)...(1 << 20)) ?? limits.maxHeaderBytes
        limits.maxHeaderFields = try section.integer("max_header_fields", in: 16...1_024) ?? limits.maxHeaderFields
        limits.maxURIBytes = try section.integer("max_uri_bytes", in: 256...(64 << 10)) ?? limits.maxURIBytes
        limits.maxBodyBytesInFlight =
            try section.integer("max_body_bytes_in_flight", in: (16 << 20)...(1 << 36)) ?? limits.maxBodyBytesInFlight
        try limits.readAdmission(&section)
        limits.reportsPerDronePerSecond =
            try section.number("reports_per_drone_per_s", in: 0.001...1_000_000) ?? limits.reportsPerDronePerSecond
        limits.reportBurstPerDrone =
            try section.number("report_burst_per_drone", in: 1...10_000_000) ?? limits.reportBurstPerDrone
        limits.dronesOnBoard = try section.integer("drones_on_board", in: 1...1_000_000) ?? limits.dronesOnBoard
        limits.threads = try section.integer("threads", in: 2...64) ?? limits.threads
        guard limits.maxURIBytes < limits.maxHeaderBytes else {
            throw ConfigurationError(
                key: section.keyPath("max_uri_bytes"), problem: "must be less than limits.max_header_bytes, it is in it"
            )
        }
        try section.finish()
        return limits
    }

    private mutating func readAdmission(_ section: inout ConfigurationReader) throws(ConfigurationError) {
        let addresses = try section.integer("new_connections_per_address", in: 0...100_000)
        admission.newConnectionsPerAddress = addresses ?? admission.newConnectionsPerAddress
        let rate = try section.number("handshakes_per_address_per_s", in: 0...100_000)
        admission.handshakesPerAddressPerSecond = rate ?? admission.handshakesPerAddressPerSecond
        let burst = try section.integer("handshake_burst_per_address", in: 1...1_000_000)
        admission.handshakeBurstPerAddress = burst ?? admission.handshakeBurstPerAddress
        let reserved = try section.integer("reserved_for_known_percent", in: 0...90)
        admission.reservedForKnownPercent = reserved ?? admission.reservedForKnownPercent
        admission.headerSeconds = try section.number("header_s", in: 0.1...600) ?? admission.headerSeconds
        admission.bodySeconds = try section.number("body_s", in: 1...3_600) ?? admission.bodySeconds
        let body = try section.integer("body_bytes_per_s", in: 0...(1 << 30))
        admission.bodyBytesPerSecond = body ?? admission.bodyBytesPerSecond
        let answer = try section.integer("answer_bytes_per_s", in: 0...(1 << 30))
        admission.answerBytesPerSecond = answer ?? admission.answerBytesPerSecond
    }

    func server(_ host: String, _ port: UInt16) -> HTTPServerConfiguration {
        HTTPServerConfiguration(
            host: host, port: port, threads: threads, maxConnections: maxConnections, idleTimeoutSeconds: idleSeconds,
            headerMemoryBytes: maxHeaderBytes, maxBodyBytesInFlight: maxBodyBytesInFlight, admission: admission,
            maxHeaderFields: maxHeaderFields, maxURIBytes: maxURIBytes, stopTimeoutSeconds: 3)
    }

    /// The keys that differ from `old` and that only a restart changes.
    func needsRestart(from old: Self) -> [String] {
        var keys: [String] = []
        if idleSeconds != old.idleSeconds { keys.append("limits.idle_s") }
        if maxHeaderBytes != old.maxHeaderBytes { keys.append("limits.max_header_bytes") }
        if maxHeaderFields != old.maxHeaderFields { keys.append("limits.max_header_fields") }
        if maxURIBytes != old.maxURIBytes { keys.append("limits.max_uri_bytes") }
        if maxBodyBytesInFlight != old.maxBodyBytesInFlight { keys.append("limits.max_body_bytes_in_flight") }
        if dronesOnBoard != old.dronesOnBoard { keys.append("limits.drones_on_board") }
        if threads != old.threads { keys.append("limits.threads") }
        return keys
    }
}
