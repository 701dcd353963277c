// What the buffer says about itself in `/v1/status` and in the metrics, beside its fill level.

import JSON

package struct BufferFigures: Sendable, Equatable {
    /// Records lost to damage and not known to be archived, of the epochs that this life still holds or held.
    package var lost = 0
    /// Records that the retention rule of a stand-alone relay's operator dropped.
    package var dropped = 0
    package var releasedSegments = 0
    package var incidents = BufferIncidents.Snapshot()
    package var epochs = 1
    package var quarantinedBytes = 0
    package var reserveBytes = 0
    /// The file system's name where its fsync promises too little (F45).
    package var doubtfulFilesystem: String?

    package init() {}

    /// Members of the object `buffer`.
    func appendJSON(to output: inout JSONWriter) {
        output.member("epochs", epochs)
        output.member("lost", lost)
        output.member("dropped", dropped)
        output.member("reserve_bytes", reserveBytes)
        output.member("quarantined_bytes", quarantinedBytes)
        output.member("doubtful_filesystem", doubtfulFilesystem)
        output.member("incident_count", incidents.count)
        output.key("incidents")
        output.array { output in
            for incident in incidents.latest { incident.appendJSON(to: &output) }
        }
    }
}

extension RelayMetrics {
    func registerStorage() {
        gauge("columba_relay_buffer_epochs", "Lives of the relay whose records are in the buffer.") {
            Double($0.buffer.epochs)
        }
        counter("columba_relay_buffer_incidents_total", "Damaged or unreadable segments met since the start.") {
            $0.buffer.incidents.count
        }
        gauge("columba_relay_buffer_lost_records", "Records lost to damage and not known to be archived.") {
            Double($0.buffer.lost)
        }
        counter("columba_relay_buffer_dropped_records_total", "Records that the retention rule dropped unarchived.") {
            $0.buffer.dropped
        }
        counter("columba_relay_buffer_released_segments_total", "Segment files removed after they were archived.") {
            $0.buffer.releasedSegments
        }
        gauge("columba_relay_buffer_reserve_bytes", "Disk space set aside for a full disk; 0 while given up.") {
            Double($0.buffer.reserveBytes)
        }
        gauge("columba_relay_buffer_quarantined_bytes", "Damaged segment files kept for people.") {
            Double($0.buffer.quarantinedBytes)
        }
        gauge(
            "columba_relay_buffer_doubtful_filesystem",
            "1 where the data directory's file system may lose synced data at a power cut."
        ) { $0.buffer.doubtfulFilesystem == nil ? 0 : 1 }
    }
}
