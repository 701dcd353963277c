// Central's lake and vault in memory: an ObjectStore whose every operation may fail, fail although it was done (F47),
// or be the last thing its process did (F16–F18). What it was told is kept in a journal for the oracle.

package import ObjectStore
import Synchronization

/// What one store operation changed.
struct StoreChange: Sendable {
    var store: String
    var key: String
    /// An object of that name was there before.
    var replaced = false
    var removed = false
}

/// All stores of one central, and its scratch space.
package final class MemoryDisk: Sendable {
    struct Object: Sendable {
        var bytes: [UInt8]
        /// Of a data file.
        var rows: MemoryFile?
        var size: Int
        var modifiedMicroseconds: Int64
    }

    struct State {
        var objects: [String: Object] = [:]
        /// The objects' paths by store and first folder, so that a list need not look at everything.
        var folders: [String: Set<String>] = [:]
        var scratch: [String: MemoryFile] = [:]
        var journal: [StoreChange] = []
        var nowMicroseconds: Int64 = 0
    }

    let state = Mutex(State())
    let faults: StepFaults
    let mutation: Mutation?

    package init(faults: StepFaults, mutation: Mutation? = nil) {
        self.faults = faults
        self.mutation = mutation
    }

    func setTime(_ microseconds: Int64) { state.withLock { $0.nowMicroseconds = microseconds } }

    func takeJournal() -> [StoreChange] {
        state.withLock { state in
            defer { state.journal = [] }
            return state.journal
        }
    }

    /// Every object's path, sorted; `lake/…` and `vault/…`.
    package var paths: [String] { state.withLock { $0.objects.keys.sorted() } }

    package func bytes(_ path: String) -> [UInt8]? { state.withLock { $0.objects[path]?.bytes } }
    package func rows(_ path: String) -> MemoryFile? { state.withLock { $0.objects[path]?.rows } }

    /// `lake/reports` of `lake/reports/date=2026-11-20/part-1.parquet`.
    static func folder(of path: String) -> String {
        let slashes = path.utf8.indices.filter { path.utf8[$0] == UInt8(ascii: "/") }
        return slashes.count < 2 ? path : String(path[..<slashes[1]])
    }
}

package final class MemoryStore: ObjectStore {
    private let name: String
    private let disk: MemoryDisk

    package init(_ name: String, on disk: MemoryDisk) {
        self.name = name
        self.disk = disk
    }

    private func path(_ key: String) -> String { "\(name)/\(key)" }

    /// Before and after a change: nothing done, or everything done and nobody told.
    private func change<Result>(_ body: (inout MemoryDisk.State) throws -> Result) throws -> Result {
        try disk.faults.pass(.storeBefore)
        try disk.faults.refuse(writes: true)
        let result = try disk.state.withLock { try body(&$0) }
        try disk.faults.pass(.storeAfter)
        try disk.faults.refuse(writes: false)
        return result
    }

    private func put(_ key: String, _ bytes: [UInt8], rows: MemoryFile?, size: Int, _ state: inout MemoryDisk.State) {
        let object = MemoryDisk.Object(
            bytes: bytes, rows: rows, size: size, modifiedMicroseconds: state.nowMicroseconds)
        let old = state.objects.updateValue(object, forKey: path(key))
        if old == nil { state.folders[MemoryDisk.folder(of: path(key)), default: []].insert(path(key)) }
        state.journal.append(StoreChange(store: name, key: key, replaced: old != nil))
    }

    package func put(_ key: String, _ bytes: [UInt8]) throws {
        try change { put(key, bytes, rows: nil, size: bytes.count, &$0) }
    }

    package func putFile(_ key: String, fromPath source: String) throws {
        try change { state in
            guard let rows = state.scratch.removeValue(forKey: source) else {
                throw SimulatedDiskError(description: "there is no file \(source)")
            }
            put(key, [], rows: rows, size: 100 * rows.rows.count, &state)
        }
    }

    package func putIfAbsent(_ key: String, _ bytes: [UInt8]) throws -> Bool {
        try change { state in
            let mayReplace = disk.mutation == .overwrittenCommit
            guard mayReplace || state.objects[path(key)] == nil else { return false }
            put(key, bytes, rows: nil, size: bytes.count, &state)
            return true
        }
    }

    package func get(_ key: String) throws -> [UInt8]? {
        try disk.faults.refuse(writes: false)
        guard let bytes = disk.bytes(path(key)) else { return nil }
        guard disk.mutation == .noTransactions, key.contains("_delta_log/") else { return bytes }
        let lines = bytes.split(separator: 0x0a).filter { !$0.starts(with: Array(#"{"txn""#.utf8)) }
        return lines.reduce(into: []) { $0 += $1 + [0x0a] }
    }

    package func list(_ prefix: String) throws -> [ObjectInfo] {
        try disk.faults.refuse(writes: false)
        if disk.mutation == .deduplicationWindow, prefix.contains("dedup") { return [] }
        let start = path(prefix.isEmpty ? "" : prefix + "/")
        let skipped = name.utf8.count + 1
        return disk.state.withLock { state in
            let paths = state.folders[MemoryDisk.folder(of: start)] ?? []
            return paths.filter { $0.hasPrefix(start) }.sorted().compactMap { path in
                state.objects[path].map {
                    ObjectInfo(
                        key: String(path.dropFirst(skipped)), bytes: $0.size,
                        modifiedMicroseconds: $0.modifiedMicroseconds)
                }
            }
        }
    }

    package func remove(_ key: String) throws {
        try change { state in
            guard state.objects.removeValue(forKey: path(key)) != nil else { return }
            state.folders[MemoryDisk.folder(of: path(key))]?.remove(path(key))
            state.journal.append(StoreChange(store: name, key: key, removed: true))
        }
    }

    package func localPath(_ key: String) -> String? { path(key) }
}
