// A table's data files as files of this machine, for DuckDB to open: where they lie, or fetched from the object store.

import ObjectStore

extension DeltaTable {
    func object(_ file: DeltaFile) -> SizedKey { SizedKey(key: key(file.path), bytes: file.bytes) }

    func key(_ path: String) -> String { "\(schema.name)/\(path)" }

    /// In the order of their paths.
    package func localFiles(_ paths: some Sequence<String>) throws -> [String] {
        try store.localFiles(paths.sorted().map { key($0) })
    }
}
