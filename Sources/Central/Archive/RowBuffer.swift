// The rows of one table and one day on their way into one Parquet file, and what the file's statistics will say.

import Models

/// Which record a row came from, so that a row DuckDB cannot take can be named.
package struct RowOrigin {
    package var batch: Int
    package var n: Int64
    /// In its batch's bytes.
    package var line: Range<Int>
    package var decision: Deduplicator.Decision

    package init(batch: Int, n: Int64, line: Range<Int>, decision: Deduplicator.Decision = .new) {
        self.batch = batch
        self.n = n
        self.line = line
        self.decision = decision
    }

    init(batch: Int, record: PreparedRecord, decision: Deduplicator.Decision) {
        self.decision = decision
        self.batch = batch
        n = record.n
        line = record.line
    }
}

/// Ranges of a reports or duplicates file.
struct ReportRanges {
    private var droneID = ValueRange<String>()
    private var seq = ValueRange<Int64>()
    private var observedAt = ValueRange<Int64>()
    private var receivedAt = ValueRange<Int64>()
    private var latitude = ValueRange<Double>()
    private var longitude = ValueRange<Double>()
    private var cell = ValueRange<String>()
    private var relayID = ValueRange<String>()
    private var epoch = ValueRange<String>()
    private var relaySeq = ValueRange<Int64>()

    mutating func include(_ report: PreparedReport, _ record: PreparedRecord, _ batch: StreamedBatch) {
        droneID.include(report.identity.droneID)
        seq.include(report.identity.seq)
        observedAt.include(report.observedAt)
        receivedAt.include(record.receivedAt)
        latitude.include(report.latitude)
        longitude.include(report.longitude)
        cell.include(report.cell)
        relayID.include(batch.relayID)
        epoch.include(batch.epoch)
        relaySeq.include(record.n)
    }

    func fill(_ statistics: inout FileStatistics) {
        statistics.set("drone_id", droneID)
        statistics.set("seq", seq)
        statistics.set(timestamps: "observed_at", observedAt)
        statistics.set(timestamps: "received_at", receivedAt)
        statistics.set("lat", latitude)
        statistics.set("lon", longitude)
        statistics.set("cell", cell)
        statistics.set("relay_id", relayID)
        statistics.set("epoch", epoch)
        statistics.set("relay_seq", relaySeq)
    }
}

/// Ranges of an alerts file; what may be null there has none.
struct AlertRanges {
    private var at = ValueRange<Int64>()
    private var receivedAt = ValueRange<Int64>()
    private var relayID = ValueRange<String>()
    private var epoch = ValueRange<String>()
    private var relaySeq = ValueRange<Int64>()

    mutating func include(_ record: PreparedRecord, at: Int64, _ batch: StreamedBatch) {
        self.at.include(at)
        receivedAt.include(record.receivedAt)
        relayID.include(batch.relayID)
        epoch.include(batch.epoch)
        relaySeq.include(record.n)
    }

    func fill(_ statistics: inout FileStatistics) {
        statistics.set(timestamps: "at", at)
        statistics.set(timestamps: "received_at", receivedAt)
        statistics.set("relay_id", relayID)
        statistics.set("epoch", epoch)
        statistics.set("relay_seq", relaySeq)
    }
}

package final class RowBuffer {
    package let schema: TableSchema
    /// `2026-11-20`; empty for a table without partitions.
    package let day: String
    /// Whose drones' rows it takes; nil: any.
    package let partition: DronePartition?
    /// Rows that the table has had since a call that crashed later. They are converted only to learn again which of
    /// them it could not store: those are rejected records, not copies.
    let isCommitted: Bool
    package private(set) var sink: any RowSink
    private let makeSink: () throws -> any RowSink
    var reportRanges = ReportRanges()
    var alertRanges = AlertRanges()
    /// By row; nil where a row comes from no single record.
    private(set) var origins: [RowOrigin?] = []

    package init(
        _ schema: TableSchema, day: String, partition: DronePartition? = nil, isCommitted: Bool = false,
        makeSink: @escaping () throws -> any RowSink
    ) throws {
        self.isCommitted = isCommitted
        self.schema = schema
        self.day = day
        self.partition = partition
        self.makeSink = makeSink
        sink = try makeSink()
    }

    /// A JSON object without line feeds, in two pieces.
    package func append(_ row: UnsafeRawBufferPointer, _ end: StaticString, _ origin: RowOrigin?) throws {
        try sink.append(row, UnsafeRawBufferPointer(start: end.utf8Start, count: end.utf8CodeUnitCount))
        origins.append(origin)
    }

    /// A row of `identities`.
    func append(_ name: SeenName) throws {
        var row = Array(#"{"person_id":""#.utf8)
        name.person.appendHex(to: &row)
        row.append(contentsOf: #"","name":"#.utf8)
        row.append(contentsOf: name.token)
        row.append(contentsOf: #","first_seen":\#(name.receivedAt)}"#.utf8)
        try row.withUnsafeBytes { try append($0, "", nil) }
    }

    package var rows: Int { origins.count }

    /// Ranges may be wider than the rows that are left after `drop`: that only costs a reader a look.
    package var statistics: FileStatistics {
        var statistics = FileStatistics()
        statistics.rows = rows
        switch schema.name {
        case TableSchema.reports.name, TableSchema.duplicates.name: reportRanges.fill(&statistics)
        case TableSchema.alerts.name: alertRanges.fill(&statistics)
        default: break
        }
        return statistics
    }

    /// Writes the file again without some rows; returns where those came from.
    package func drop(_ bad: Set<Int>) throws -> [RowOrigin] {
        let lines = try sink.contents().split(separator: 0x0a)
        precondition(lines.count == origins.count, "a row file has one line for each row")
        let dropped = bad.sorted().compactMap { origins[$0] }
        let old = origins
        origins = []
        sink = try makeSink()
        for (index, line) in lines.enumerated() where !bad.contains(index) {
            try line.withUnsafeBytes { try append($0, "", old[index]) }
        }
        return dropped
    }
}

/// All rows of one archive call.
final class RowBuffers {
    private let engine: any ArchiveEngine
    private var buffers: [String: RowBuffer] = [:]

    init(engine: any ArchiveEngine) { self.engine = engine }

    func buffer(
        _ schema: TableSchema, day: String, partition: DronePartition? = nil, isCommitted: Bool = false
    ) throws -> RowBuffer {
        var name = day.isEmpty ? schema.name : "\(schema.name)-\(day)"
        if let partition { name += "-p\(partition.index)" }
        if isCommitted { name += "-committed" }
        if let buffer = buffers[name] { return buffer }
        let engine = engine
        let buffer = try RowBuffer(schema, day: day, partition: partition, isCommitted: isCommitted) {
            try engine.makeSink(name)
        }
        buffers[name] = buffer
        return buffer
    }

    /// In an order that does not depend on hashing; without those that lost all their rows.
    var all: [RowBuffer] { buffers.sorted { $0.key < $1.key }.map(\.value).filter { $0.rows > 0 } }
}
