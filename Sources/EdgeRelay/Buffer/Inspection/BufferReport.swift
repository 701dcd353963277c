// What `columba-relay buffer status` and `verify` say: as a table for people, as JSON for programs.

import JSON
import Models
package import SegmentedLog
import SyncProtocol

package struct BufferReport: Sendable {
    package var dataDirectory: String
    package var runningProcess: Int32?
    package var epochs: [BufferInspection.Epoch]
    /// True after every record was read; otherwise only the segments' ends were.
    package var isVerified: Bool

    package init(
        dataDirectory: String, runningProcess: Int32?, epochs: [BufferInspection.Epoch], isVerified: Bool
    ) {
        self.dataDirectory = dataDirectory
        self.runningProcess = runningProcess
        self.epochs = epochs
        self.isVerified = isVerified
    }

    package var incidents: [LogIncident] { epochs.flatMap(\.incidents) }
    package var isSound: Bool { incidents.isEmpty }
    private var records: Int { epochs.reduce(0) { $0 + $1.records } }
    private var verified: Int { epochs.reduce(0) { $0 + $1.verified } }
    private var bytes: Int { epochs.reduce(0) { $0 + $1.bytes } }
    private var segments: Int { epochs.reduce(0) { $0 + $1.segments.count } }
    private var lost: Int { epochs.reduce(0) { $0 + $1.lost.count } }
    /// Nil where the relay's notes cannot be read.
    private var waiting: Int? {
        let known = epochs.filter { !$0.segments.isEmpty }.map(\.waiting)
        return known.contains { $0 == nil } ? nil : known.reduce(0) { $0 + ($1 ?? 0) }
    }

    // MARK: For people

    package func text() -> String {
        let running = runningProcess.map { "in use by process \($0)" } ?? "not in use"
        var lines = ["\(dataDirectory): \(running)", summary]
        if !epochs.isEmpty { lines += table() }
        for epoch in epochs where !epoch.lost.isEmpty {
            lines.append("lost in epoch \(epoch.epoch): \(Self.ranges(epoch.lost.ranges))")
        }
        for incident in incidents { lines.append("damage: \(incident)") }
        return lines.joined(separator: "\n") + "\n"
    }

    private var summary: String {
        var parts = [
            "\(RelayFigures.grouped(records)) records", Self.size(bytes),
            "\(RelayFigures.grouped(segments)) segments", "\(RelayFigures.grouped(epochs.count)) epochs",
        ]
        if let waiting { parts.append("\(RelayFigures.grouped(waiting)) not archived when last noted") }
        if lost > 0 { parts.append("\(RelayFigures.grouped(lost)) lost") }
        if isVerified { parts.append("\(RelayFigures.grouped(verified)) checksums are right") }
        parts.append(isSound ? "no damage found" : "\(incidents.count) DAMAGED")
        return parts.joined(separator: ", ")
    }

    private func table() -> [String] {
        var rows = [["epoch", "records", "numbers", "segments", "size", "from", "to"]]
        for epoch in epochs {
            let ends = epoch.segments.first.flatMap { first in epoch.segments.last.map { (first, $0) } }
            rows.append([
                epoch.epoch, RelayFigures.grouped(epoch.records),
                ends.map { "\($0.firstPosition)-\($1.lastPosition)" } ?? "-", String(epoch.segments.count),
                Self.size(epoch.bytes), ends.map { Self.time($0.0.firstTimeMicroseconds) } ?? "-",
                ends.map { Self.time($0.1.lastTimeMicroseconds) } ?? "-",
            ])
        }
        let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        return rows.map { row in
            let cells = row.indices.map { index -> String in
                let space = String(repeating: " ", count: widths[index] - row[index].count)
                // Numbers are right-aligned, words and times left.
                return (1...4).contains(index) ? space + row[index] : row[index] + space
            }
            let line = cells.joined(separator: "  ")
            return String(line.reversed().drop { $0 == " " }.reversed())
        }
    }

    private static func time(_ microseconds: Int64) -> String {
        String(Timestamp(microseconds: microseconds).rfc3339.prefix(19)) + "Z"
    }

    private static func ranges(_ ranges: [ClosedRange<Int64>]) -> String {
        let shown = ranges.prefix(20).map { $0.count == 1 ? "\($0.lowerBound)" : "\($0.lowerBound)-\($0.upperBound)" }
        return shown.joined(separator: ", ") + (ranges.count > 20 ? ", …" : "")
    }

    /// "18.2 MiB"
    static func size(_ bytes: Int) -> String {
        var value = Double(bytes)
        for unit in ["B", "KiB", "MiB", "GiB"] {
            if value < 1_024 { return unit == "B" ? "\(bytes) B" : "\((value * 10).rounded() / 10) \(unit)" }
            value /= 1_024
        }
        return "\((value * 10).rounded() / 10) TiB"
    }

    // MARK: For programs

    package func json() -> [UInt8] {
        var output = JSONWriter()
        output.object {
            $0.member("data_dir", dataDirectory)
            $0.member("running_process", runningProcess.map { Int($0) })
            $0.member("records", records)
            if isVerified { $0.member("verified_records", verified) }
            $0.member("bytes", bytes)
            $0.member("segments", segments)
            $0.member("waiting", waiting)
            $0.member("lost_records", lost)
            $0.member("damaged", incidents.count)
            $0.key("epochs")
            $0.array { output in for epoch in epochs { append(epoch, to: &output) } }
        }
        return output.bytes + [UInt8(ascii: "\n")]
    }

    private func append(_ epoch: BufferInspection.Epoch, to output: inout JSONWriter) {
        output.object {
            $0.member("epoch", epoch.epoch)
            $0.member("number", epoch.number)
            $0.member("records", epoch.records)
            if isVerified { $0.member("verified_records", epoch.verified) }
            $0.member("bytes", epoch.bytes)
            $0.member("waiting", epoch.waiting)
            $0.key("lost")
            Self.append(epoch.lost.ranges, to: &$0)
            $0.key("segments")
            $0.array { output in for segment in epoch.segments { Self.append(segment, to: &output) } }
            $0.key("incidents")
            $0.array { output in for incident in epoch.incidents { Self.append(incident, to: &output) } }
        }
    }

    private static func append(_ segment: SegmentSummary, to output: inout JSONWriter) {
        output.object {
            $0.member("first", segment.firstPosition)
            $0.member("last", segment.lastPosition)
            $0.member("records", segment.entries)
            $0.member("bytes", segment.bytes)
            $0.member("first_at", Timestamp(microseconds: segment.firstTimeMicroseconds))
            $0.member("last_at", Timestamp(microseconds: segment.lastTimeMicroseconds))
        }
    }

    private static func append(_ incident: LogIncident, to output: inout JSONWriter) {
        output.object {
            $0.member("kind", "\(incident.kind)")
            $0.member("file", incident.path)
            $0.member("detail", incident.detail)
            $0.member("readable_records", incident.salvagedEntries)
            $0.member("lost_records", incident.lostEntries)
            $0.member("exact", incident.lossIsExact)
            $0.key("lost")
            append(incident.lostPositions, to: &$0)
        }
    }

    private static func append(_ ranges: [ClosedRange<Int64>], to output: inout JSONWriter) {
        output.array { output in
            for range in ranges {
                output.array {
                    $0.integer(range.lowerBound)
                    $0.integer(range.upperBound)
                }
            }
        }
    }
}
