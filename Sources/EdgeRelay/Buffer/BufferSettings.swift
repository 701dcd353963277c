// The section `buffer` of relay.json5: how large the buffer may become and when something may leave it.

import Configuration

extension RelayConfiguration {
    package struct Buffer: Sendable, Equatable {
        /// The smallest buffer: four segments of the smallest size and some room.
        package static let leastBytes = 4 << 20
        package static let leastSegmentBytes = 256 << 10
        /// A segment unless the buffer is so small that it would be more than an eighth of it.
        package static let usualSegmentBytes = 64 << 20

        /// Bytes that the segments may take on disk, unarchived and held ones together.
        package var maxBytes = 8 << 30
        /// Hours that an archived segment is kept all the same, in case central must ask again.
        package var holdHours = 72.0
        package var segmentBytes = usualSegmentBytes
        /// Stand-alone relays only: hours after which a segment goes although nobody archived it. Nil: never (I2).
        package var dropAfterHours: Double?
        /// Refuse to start where fsync does not mean "on this machine's disk" (F45); otherwise it is a warning.
        package var strictFilesystem = false
        /// The operator knows what the file system promises: no warning.
        package var allowAnyFilesystem = false

        package init() {}
    }
}

extension RelayConfiguration.Buffer {
    static func read(
        _ reader: inout ConfigurationReader, isStandAlone: Bool
    ) throws(ConfigurationError) -> RelayConfiguration.Buffer {
        var buffer = RelayConfiguration.Buffer()
        var section = try reader.object("buffer")
        buffer.maxBytes = try section.integer("max_bytes", in: leastBytes...(1 << 50)) ?? buffer.maxBytes
        buffer.holdHours = try section.number("hold_hours", in: 0...87_600) ?? buffer.holdHours
        buffer.segmentBytes =
            try section.integer("segment_bytes", in: leastSegmentBytes...(1 << 32))
            ?? max(leastSegmentBytes, min(usualSegmentBytes, buffer.maxBytes / 8))
        guard buffer.segmentBytes <= buffer.maxBytes / 4 else {
            throw ConfigurationError(
                key: "buffer.segment_bytes", problem: "must be at most a quarter of buffer.max_bytes")
        }
        buffer.dropAfterHours = try section.number("drop_after_hours", in: 1...876_000)
        if buffer.dropAfterHours != nil, !isStandAlone {
            throw ConfigurationError(
                key: section.keyPath("drop_after_hours"),
                problem: "is for a relay without central: with one, only what central archived leaves the buffer")
        }
        buffer.strictFilesystem = try section.bool("strict_filesystem") ?? false
        buffer.allowAnyFilesystem = try section.bool("allow_any_filesystem") ?? false
        if buffer.strictFilesystem, buffer.allowAnyFilesystem {
            throw ConfigurationError(
                key: section.keyPath("allow_any_filesystem"), problem: "contradicts buffer.strict_filesystem")
        }
        try section.finish()
        return buffer
    }
}
