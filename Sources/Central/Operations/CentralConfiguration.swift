// central.json5 as a value: every key of contract §8 that central knows, with its default, unit and limits.

package import Configuration
package import PageFiles
import System

package struct CentralConfiguration: Sendable, Equatable {
    package struct Archive: Sendable, Equatable {
        /// A commit is made when so many records wait …
        package var maxRows = 100_000
        /// … or when the oldest has waited so many seconds.
        package var maxWaitSeconds = 5.0
        package var partitions = 4
        /// Whether central itself puts small files together; the command does in any case.
        package var compacts = true
        /// About the size of a compacted file.
        package var fileBytes = 256 << 20
        /// Files that compaction has replaced stay so long for queries that opened an older version …
        package var keepRemovedHours = 24.0
        /// … and old versions of the Delta logs so long for readers that look back.
        package var keepLogHours = 24.0

        package init() {}
    }

    package struct Query: Sendable, Equatable {
        /// Bytes that one query's process may take for its data.
        package var memoryBytes = 1 << 30
        package var threads = 2
        package var timeoutSeconds = 30.0
        package var maxRows = 100_000
        package var maxConcurrent = 4
        /// Of one export, and the bytes of its file.
        package var exportTimeoutSeconds = 3_600.0
        package var maxExportBytes = 16 << 30
        /// Folders with statistics beside the built-in ones.
        package var statisticsFolders: [String] = []
        /// Statistics over people leave out groups of fewer.
        package var minGroup = 5
    }

    package struct Limits: Sendable, Equatable {
        package var maxConnections = 2048
        package var threads = 2
        /// Bytes that the stream may hold before relays are told to wait.
        package var maxStreamBytes = 16 << 30
    }

    package var listen: ListenAddress
    package var analystListen: ListenAddress?
    package var dataDirectory: String
    package var lake: String
    package var vault: String
    /// How `s3://` places are reached.
    package var storage: StorageSettings?
    package var archive = Archive()
    package var query = Query()
    package var limits = Limits()
    package var jobs = JobSettings()
    package var security = Security()
    package var cluster = ClusterSettings()
    /// A tile server of the station's own; nil: the packaged coastline.
    package var map: MapSettings?
}

extension CentralConfiguration {
    /// Reads central.json5. Relative folders are taken from the configuration file's folder.
    package static func load(path: String, environment: [String: String]) throws -> CentralConfiguration {
        let node = try ConfigurationNode.parse(json5: try FileSystem.read(path))
        return try parse(node, environment: environment, relativeTo: try FileSystem.folder(of: path))
    }

    package static func parse(
        _ node: ConfigurationNode, environment: [String: String], relativeTo directory: String
    ) throws(ConfigurationError) -> CentralConfiguration {
        func absolute(_ path: String) -> String { path.hasPrefix("/") ? path : "\(directory)/\(path)" }
        var reader = try ConfigurationReader(node, environment: environment)
        let listen = try ListenAddress(reader.requiredString("listen"), key: "listen")
        let dataDirectory = absolute(try reader.requiredString("data_dir"))
        func place(_ key: String) throws(ConfigurationError) -> String {
            let text = try reader.string(key) ?? "\(dataDirectory)/\(key)"
            return try StorageSettings.place(text, key: key, relativeTo: directory)
        }
        var configuration = CentralConfiguration(
            listen: listen, dataDirectory: dataDirectory, lake: try place("lake"), vault: try place("vault"))
        configuration.storage = try StorageSettings.read(
            &reader, places: [("lake", configuration.lake), ("vault", configuration.vault)], relativeTo: directory,
            dataDirectory: dataDirectory)
        if let analysts = try reader.string("analyst_listen") {
            configuration.analystListen = try ListenAddress(analysts, key: "analyst_listen")
        }
        configuration.cluster = try ClusterSettings.read(&reader, relativeTo: directory)
        if configuration.cluster.isCluster {
            configuration.archive.partitions = ClusterStreamSettings.defaultPartitions
        }
        try configuration.readSections(&reader)
        configuration.query.statisticsFolders = configuration.query.statisticsFolders.map(absolute)
        configuration.jobs = try JobSettings.read(&reader, relativeTo: directory, dataDirectory: dataDirectory)
        configuration.map = try MapSettings.read(&reader)
        configuration.security = try Security.read(&reader, relativeTo: directory)
        try configuration.security.check(listen: listen, analystListen: configuration.analystListen)
        try reader.finish()
        return configuration
    }

    private mutating func readSections(_ reader: inout ConfigurationReader) throws(ConfigurationError) {
        var section = try reader.object("archive")
        archive.maxRows = try section.integer("max_rows", in: 1...2_000_000) ?? archive.maxRows
        archive.maxWaitSeconds = try section.number("max_wait_s", in: 0.05...3_600) ?? archive.maxWaitSeconds
        archive.partitions = try section.integer("partitions", in: 1...64) ?? archive.partitions
        archive.compacts = try section.bool("compact") ?? archive.compacts
        archive.fileBytes = try section.integer("file_bytes", in: (1 << 20)...(4 << 30)) ?? archive.fileBytes
        archive.keepRemovedHours =
            try section.number("keep_removed_h", in: 1...87_600) ?? archive.keepRemovedHours
        archive.keepLogHours = try section.number("keep_log_h", in: 1...87_600) ?? archive.keepLogHours
        try section.finish()

        section = try reader.object("query")
        query.memoryBytes = try section.integer("memory", in: (128 << 20)...(1 << 42)) ?? query.memoryBytes
        query.threads = try section.integer("threads", in: 1...256) ?? query.threads
        query.timeoutSeconds = try section.number("timeout_s", in: 0.1...86_400) ?? query.timeoutSeconds
        query.maxRows = try section.integer("max_rows", in: 1...10_000_000) ?? query.maxRows
        query.maxConcurrent = try section.integer("max_concurrent", in: 1...64) ?? query.maxConcurrent
        query.exportTimeoutSeconds =
            try section.number("export_timeout_s", in: 1...604_800) ?? query.exportTimeoutSeconds
        query.maxExportBytes =
            try section.integer("max_export_bytes", in: (1 << 20)...(1 << 50)) ?? query.maxExportBytes
        query.minGroup = try section.integer("min_group", in: 1...1_000_000) ?? query.minGroup
        if let folder = try section.string("stats_dir") { query.statisticsFolders = [folder] }
        try section.finish()

        section = try reader.object("limits")
        limits.maxConnections = try section.integer("max_connections", in: 16...100_000) ?? limits.maxConnections
        limits.threads = try section.integer("threads", in: 2...64) ?? limits.threads
        limits.maxStreamBytes =
            try section.integer("max_stream_bytes", in: (64 << 20)...(1 << 50)) ?? limits.maxStreamBytes
        try section.finish()
    }
}
