// `jobs {…}` of central.json5, and how its values become the running service.

import Configuration
import DuckDB
import Log
import System

package struct JobSettings: Sendable, Equatable {
    /// `*.sql`. A folder that is not there has no jobs; made later, it is noticed.
    package var directory = ""
    /// Where `csv:` and `parquet:` folders are.
    package var exportsDirectory = ""
    package var maxConcurrent = 2
    /// Bytes that one run's process may take for its data.
    package var memoryBytes = 1 << 30

    static func read(
        _ reader: inout ConfigurationReader, relativeTo folder: String, dataDirectory: String
    ) throws(ConfigurationError) -> JobSettings {
        func absolute(_ path: String) -> String { path.hasPrefix("/") ? path : "\(folder)/\(path)" }
        var settings = JobSettings()
        var section = try reader.object("jobs")
        settings.directory = absolute(try section.string("directory") ?? "jobs")
        settings.exportsDirectory = try section.string("exports").map(absolute) ?? "\(dataDirectory)/exports"
        settings.maxConcurrent = try section.integer("max_concurrent", in: 1...16) ?? settings.maxConcurrent
        settings.memoryBytes = try section.integer("memory", in: (128 << 20)...(1 << 42)) ?? settings.memoryBytes
        try section.finish()
        return settings
    }
}

extension JobService {
    /// `queries` says what a statement sees.
    static func make(
        _ configuration: CentralConfiguration, _ stores: CentralStores, duckDB: DuckDBExecutable,
        queries: QueryService, time: any TimeSource, log: Log, isWanted: @escaping @Sendable () -> Bool = { true }
    ) throws -> JobService {
        let scratch = "\(stores.scratch)/jobs"
        let tables = DerivedTables(lake: stores.lake, duckDB: duckDB, scratchDirectory: scratch)
        let execution = JobExecution(
            duckDB: duckDB, memoryBytes: configuration.jobs.memoryBytes, threads: configuration.query.threads,
            scratchDirectory: scratch, exportsDirectory: configuration.jobs.exportsDirectory,
            views: { try queries.views(for: $0) }, writer: DerivedWriter(lake: stores.lake, tables: tables), time: time)
        var settings = JobService.Configuration(
            directory: configuration.jobs.directory, stateDirectory: "\(configuration.dataDirectory)/jobs")
        settings.maxConcurrent = configuration.jobs.maxConcurrent
        return try JobService(
            settings, execution: execution, time: time, log: log.component("jobs"), isWanted: isWanted)
    }
}
