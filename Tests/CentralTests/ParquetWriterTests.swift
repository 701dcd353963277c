// The net below the net: rows DuckDB cannot read are found one by one and leave the rest alone.

import Central
import DuckDB
import Glibc
import Models
import System
import Testing

@Suite struct ParquetWriterTests {
    @Test("of many rows the few that DuckDB cannot read are found and dropped, and the rest are converted")
    func badRows() throws {
        let fixture = try ArchiveFixture()
        let directory = "\(fixture.directory)/rows"
        try FileSystem.makeDirectories(directory)
        let runner = DuckDBRunner(.init(executable: fixture.duckDB, temporaryDirectory: "\(fixture.directory)/tmp"))
        let writer = ParquetWriter(duckDB: runner, directory: directory)
        let buffer = try RowBuffer(.reports, day: "2026-11-20") {
            try FileSystem.remove("\(directory)/reports.ndjson")
            return try RowFile(path: "\(directory)/reports.ndjson")
        }
        let bad: [Int: String] = [3: #"{"drone_id":"#, 40: #"{"drone_id":"a","seq":"x"}"#, 41: #"{"observed_at":{}}"#]
        for row in 0..<64 {
            let text = bad[row] ?? #"{"drone_id":"pw-\#(row)","seq":\#(row)}"#
            let origin = RowOrigin(batch: 0, n: Int64(row), line: 0..<0)
            try Array(text.utf8).withUnsafeBytes { try buffer.append($0, "", origin) }
        }
        let now = Timestamp(microseconds: ArchiveFixture.start)
        #expect(throws: DuckDBError.self) { try writer.convert([buffer], archivedAt: now) }
        let found = try writer.badRows(buffer, archivedAt: now)
        #expect(found == Set(bad.keys))
        #expect(try buffer.drop(found).map(\.n) == [3, 40, 41])
        // A table whose rows are all good was finished by the first attempt already, and takes part in the second.
        let other = try RowBuffer(.alerts, day: "2026-11-20") { try RowFile(path: "\(directory)/alerts.ndjson") }
        try Array(#"{"kind":"alert"}"#.utf8).withUnsafeBytes { try other.append($0, "", nil) }
        try other.sink.finish()
        let files = try writer.convert([buffer, other], archivedAt: now)
        #expect(files.count == 2 && files[0].rows == 61)
        let path = SQLText.literal(files[0].path)
        let answer = try runner.run("select count(*) as c, max(seq) as m from read_parquet(\(path));")
        #expect(String(decoding: answer, as: UTF8.self) == "{\"c\":61,\"m\":63}\n")
    }

    @Test(
        "a program that ends without saying that its input is at fault puts no row aside",
        arguments: [
            "exit 1", "echo 'duckdb: error while loading shared libraries: libstdc++.so.6' >&2; exit 127",
            "echo 'Error: unable to open database' >&2; exit 1",
        ])
    func silentEnd(_ script: String) throws {
        let fixture = try ArchiveFixture()
        let directory = "\(fixture.directory)/rows"
        let program = "\(fixture.directory)/duckdb"
        try FileSystem.makeDirectories(directory)
        try FileSystem.writeDurably(program, Array("#!/bin/sh\ncat > /dev/null\n\(script)\n".utf8))
        #expect(chmod(program, 0o755) == 0)
        let runner = DuckDBRunner(
            .init(executable: DuckDBExecutable(path: program), temporaryDirectory: "\(fixture.directory)/tmp"))
        let writer = ParquetWriter(duckDB: runner, directory: directory)
        let buffer = try RowBuffer(.reports, day: "2026-11-20") { try RowFile(path: "\(directory)/reports.ndjson") }
        try Array(#"{"drone_id":"pw-1","seq":1}"#.utf8).withUnsafeBytes { try buffer.append($0, "", nil) }
        let error = #expect(throws: DuckDBError.self) {
            try writer.badRows(buffer, archivedAt: Timestamp(microseconds: ArchiveFixture.start))
        }
        #expect(error?.kind == .crashed)
    }

    @Test(
        "DuckDB's own words say what is at fault",
        arguments: [
            ("Invalid Input Error: Malformed JSON", DuckDBError.Kind.rejected), ("Binder Error: x", .rejected),
            ("IO Error: No space left on device", .storage), ("Out of Memory Error: failed", .memory),
            ("INTERNAL Error: x", .crashed), ("", .crashed), ("std::bad_alloc", .memory),
        ])
    func kinds(_ message: String, _ kind: DuckDBError.Kind) {
        #expect(DuckDBError.classify(message) == kind)
    }
}
