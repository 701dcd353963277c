// What the relay says about its uplink, in `/v1/status` and as metrics.

package import Models

package struct UplinkStatus: Sendable, Equatable {
    /// One lane's records that central has not received.
    package struct Lane: Sendable, Equatable {
        package var unsent = 0
        /// How long the record that it is behind with has waited; 0 when it is behind with none.
        package var lagSeconds = 0.0
    }

    package var central: String
    package var lastSuccess: Timestamp?
    package var lastError: String?
    package var consecutiveFailures = 0
    /// Seconds until the next attempt; 0 while nothing holds it back.
    package var nextTrySeconds = 0.0
    package var waiting = 0
    package var setAside = 0
    /// Records that the buffer lost or dropped, of all epochs of this life.
    package var missing = 0
    /// Acknowledged ones, and their bytes on the wire and before compression.
    package var batches = 0
    package var bytesSent = 0
    package var lineBytes = 0
    /// Bytes of all attempts, with headers and what was never acknowledged.
    package var attemptedBytes = 0
    /// Times that the forwarder began anew because nothing moved.
    package var restarts = 0
    /// Since central acknowledged a number it had not acknowledged before; nil: never in this life.
    package var secondsSinceProgress: Double?
    /// What the next batch may hold before compression, and the speed it was derived from.
    package var batchLimitBytes = 0
    package var bytesPerSecond: Double?
    package var lanes: [ForwarderLane: Lane] = [:]
}
