// How central's settings become those of the upkeep: the same for the running central and for the commands.

package import DuckDB

extension UpkeepConfiguration {
    package init(_ configuration: CentralConfiguration, _ stores: CentralStores, duckDB: DuckDBExecutable) {
        self.init(lake: stores.lake, vault: stores.vault, directory: "\(stores.scratch)/upkeep", duckDB: duckDB)
        let archive = configuration.archive
        compaction.targetBytes = archive.fileBytes
        logSeconds = archive.keepLogHours * 3600
        // A query that is allowed to take long must find its files to its end.
        keepRemovedSeconds = max(archive.keepRemovedHours * 3600, configuration.query.timeoutSeconds + 3600)
    }
}

extension UpkeepLoop {
    /// In Prometheus' text format.
    package func metrics() -> [UInt8] {
        let now = snapshot
        let counters: [(String, String, Int)] = [
            ("compactions", "Compactions committed.", now.compactions),
            ("compacted_files", "Files replaced by compactions.", now.filesCompacted),
            ("compaction_written_bytes", "Bytes of files that compactions wrote.", now.bytesWritten),
            ("checkpoints", "Checkpoints of the tables' logs written.", now.checkpoints),
            ("log_objects_removed", "Old versions of the logs removed.", now.logObjectsRemoved),
            ("files_vacuumed", "Files removed that no version needs.", now.filesRemoved),
            ("upkeep_failures", "Rounds of the archive's upkeep that failed.", now.failures),
        ]
        let text = counters.map { name, help, value in
            "# HELP columba_central_\(name)_total \(help)\n# TYPE columba_central_\(name)_total counter\n"
                + "columba_central_\(name)_total \(value)\n"
        }
        return Array(text.joined().utf8)
    }
}
