// The rows of one table and one day on their way into one Parquet file, and what the file's statistics will say.

import DuckDB
import Models
import System

/// Which record a row came from, so that a row DuckDB cannot take can be named.
struct RowOrigin {
    var batch: Int
    var n: Int64
}

final class RowBuffer {
    let schema: TableSchema
    /// `2026-11-20`; empty for a table without partitions.
    let day: String
    let file: RowFile
    var statistics = FileStatistics()
    private(set) var origins: [RowOrigin] = []

    init(_ schema: TableSchema, day: String, path: String) throws {
        self.schema = schema
        self.day = day
        file = try RowFile(path: path)
    }

    /// One JSON object without line feeds.
    func append(_ row: UnsafeRawBufferPointer, _ origin: RowOrigin) throws {
        try file.append(row)
        try file.append([0x0a])
        origins.append(origin)
        statistics.rows += 1
    }

    func append(_ row: [UInt8], _ origin: RowOrigin) throws {
        try row.withUnsafeBytes { try append($0, origin) }
    }
}

/// All rows of one archive call.
final class RowBuffers {
    private let directory: String
    private var buffers: [String: RowBuffer] = [:]

    init(directory: String) { self.directory = directory }

    func buffer(_ schema: TableSchema, day: String) throws -> RowBuffer {
        let name = day.isEmpty ? schema.name : "\(schema.name)-\(day)"
        if let buffer = buffers[name] { return buffer }
        let buffer = try RowBuffer(schema, day: day, path: "\(directory)/\(name).ndjson")
        buffers[name] = buffer
        return buffer
    }

    /// In an order that does not depend on hashing.
    var all: [RowBuffer] { buffers.sorted { $0.key < $1.key }.map(\.value) }

    func remove(_ buffer: RowBuffer) { buffers = buffers.filter { $0.value !== buffer } }
}
