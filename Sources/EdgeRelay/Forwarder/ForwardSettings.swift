// The section `forward` of relay.json5 (contract §8): how much of the link the relay takes, and for what first.

package import Configuration

extension RelayConfiguration {
    package struct Forward: Sendable, Equatable {
        /// Bytes of NDJSON in one batch before compression, at most; slow links get smaller batches by themselves.
        package var maxBatchBytes = 1 << 20
        /// Batches sent and not yet answered; central may allow fewer.
        package var maxInFlight = 4
        /// Bytes on the wire a second, on average; nil: as many as the link takes.
        package var maxBytesPerSecond: Int?
        /// The part of the link for live reports while a backlog wants the rest.
        package var liveShare = 0.5
        /// Small live batches are so far apart at least: the higher, the fewer messages a large fleet of small stations
        /// makes. Alerts don't wait.
        package var lingerSeconds = 0.2

        package init() {}

        package static func read(_ reader: inout ConfigurationReader) throws(ConfigurationError) -> Forward {
            var forward = Forward()
            var section = try reader.object("forward")
            forward.maxBatchBytes =
                try section.integer("max_batch_bytes", in: 4096...(8 << 20)) ?? forward.maxBatchBytes
            forward.maxInFlight = try section.integer("max_in_flight", in: 1...16) ?? forward.maxInFlight
            // Below 500 bytes a second not even one report a minute would get through with its headers.
            forward.maxBytesPerSecond = try section.integer("max_bytes_per_s", in: 500...1_000_000_000)
            forward.liveShare = try section.number("live_share", in: 0.05...0.95) ?? forward.liveShare
            // Longer than the live window (5 s), and every report would have become backlog.
            forward.lingerSeconds = try section.number("linger_s", in: 0...4) ?? forward.lingerSeconds
            try section.finish()
            return forward
        }

        package var limits: ForwarderStateMachine.Limits {
            var limits = ForwarderStateMachine.Limits(maxInFlight: maxInFlight, maxBatchBytes: maxBatchBytes)
            limits.maxBytesPerSecond = maxBytesPerSecond
            limits.liveShare = liveShare
            limits.lingerSeconds = lingerSeconds
            return limits
        }
    }
}
