// The races between archivers that the seeded turns have found, each by itself and in one order of events.

import Central
import ObjectStore
import SyncProtocol
import System
import Testing
import WorldSimulation

/// A store that lets something happen just before an object is written that must not exist yet.
private final class HookedStore: ObjectStore {
    private let inner: MemoryStore
    private let prefix: String
    private let hook: Monitor<(@Sendable () throws -> Void)?>

    init(_ inner: MemoryStore, before prefix: String, _ hook: @escaping @Sendable () throws -> Void) {
        self.inner = inner
        self.prefix = prefix
        self.hook = Monitor(hook)
    }

    func putIfAbsent(_ key: String, _ bytes: [UInt8]) throws -> Bool {
        if key.hasPrefix(prefix), !key.hasSuffix("00.json") {
            let action = hook.update { hook in
                defer { hook = nil }
                return hook
            }
            try action?()
        }
        return try inner.putIfAbsent(key, bytes)
    }

    func put(_ key: String, _ bytes: [UInt8]) throws { try inner.put(key, bytes) }
    func putFile(_ key: String, fromPath path: String) throws { try inner.putFile(key, fromPath: path) }
    func get(_ key: String) throws -> [UInt8]? { try inner.get(key) }
    func list(_ prefix: String) throws -> [ObjectInfo] { try inner.list(prefix) }
    func remove(_ key: String) throws { try inner.remove(key) }
    func localPath(_ key: String) -> String? { inner.localPath(key) }
}

@Suite("races between archivers") struct ClusterRacesTests {
    /// Numbers of one report again and again: its copies.
    private static func copies(
        _ partition: Int, of count: Int, at position: Int64, _ numbers: [Int64]
    ) -> StreamedBatch {
        let (first, last) = (numbers.min() ?? 1, numbers.max() ?? 1)
        return PartitionedArchiverTests.part(
            partition, of: count, at: position, numbers, cover: first...last, seqs: numbers.map { _ in 1 })
    }

    private func numbers(_ cluster: ClusterDisk, _ table: TableSchema) throws -> [Int64] {
        try cluster.rows(table).map(\.n).sorted()
    }

    @Test("an archiver that reads behind another one's back, over what that one released, commits nothing at all")
    func hole() throws {
        let cluster = ClusterDisk(seed: 1)
        let late = try cluster.archiver("late", owning: [0], of: 1)
        let owner = try cluster.archiver("owner", owning: [0], of: 1)
        _ = try owner.archive([Self.copies(0, of: 1, at: 1, [1])])
        // The stream has forgotten position 1. Over the hole 2 would look new, and only 3 a copy.
        let rest = Self.copies(0, of: 1, at: 2, [2, 3])
        let error = #expect(throws: ArchiveError.self) { try late.archive([rest]) }
        guard case .anotherWriter? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(try numbers(cluster, .duplicates).isEmpty)
        _ = try owner.archive([rest])
        #expect(try numbers(cluster, .reports) == [1] && numbers(cluster, .duplicates) == [2, 3])
        // And the late one goes on from there.
        _ = try late.archive([Self.copies(0, of: 1, at: 3, [4])])
        #expect(try numbers(cluster, .duplicates) == [2, 3, 4])
    }

    /// A call that committed copies of partition 0 through position 5 and never its reports.
    private func cutShort() throws -> (ClusterDisk, [StreamedBatch]) {
        let cluster = ClusterDisk(seed: 2)
        let batches = [(1, [1]), (3, [2]), (5, [3])].map { position, numbers in
            Self.copies(0, of: 2, at: Int64(position), numbers.map { Int64($0) })
        }
        let plan = FaultPlan()
        let archiver = try cluster.archiver("a", owning: [0, 1], of: 2, plan: plan)
        plan.arm(.commitReports) { throw ClusterCrash() }
        #expect(throws: ClusterCrash.self) { try archiver.archive(batches) }
        #expect(try numbers(cluster, .duplicates) == [2, 3] && numbers(cluster, .reports).isEmpty)
        return (cluster, batches)
    }

    @Test("a table that an interrupted call brought further stays there when another partition's rows come")
    func notBackward() throws {
        let (cluster, batches) = try cutShort()
        let archiver = try cluster.archiver("b", owning: [0, 1], of: 2)
        _ = try archiver.archive([batches[0], Self.copies(1, of: 2, at: 2, [11, 12]), batches[1]])
        _ = try archiver.archive([batches[2]])
        #expect(try numbers(cluster, .duplicates) == [2, 3, 12])
        #expect(try numbers(cluster, .reports) == [1, 11])
    }

    @Test("a resend finds its row in an interrupted call's file, whoever stopped before that file's position")
    func foundInOpenFile() throws {
        let (cluster, batches) = try cutShort()
        _ = try cluster.archiver("b", owning: [0], of: 2).archive(Array(batches[..<2]))
        let again = try cluster.archiver("c", owning: [0], of: 2)
        let commit = try again.archive([batches[2], Self.copies(0, of: 2, at: 7, [2])])
        #expect(commit.conflicts == 0 && commit.duplicates == 1)
        #expect(try numbers(cluster, .duplicates) == [2, 3])
    }

    @Test("the transactions of duplicates and alerts hold a late archiver back as those of reports do")
    func lateInSecondTable() throws {
        let cluster = ClusterDisk(seed: 3)
        let plan = FaultPlan()
        let late = try cluster.archiver("late", owning: [0], of: 1, plan: plan)
        let owner = try cluster.archiver("owner", owning: [0], of: 1)
        let batch = Self.copies(0, of: 1, at: 1, [1, 2])
        plan.arm(.commitDuplicates) { _ = try owner.archive([batch]) }
        #expect(throws: ArchiveError.self) { try late.archive([batch]) }
        #expect(try numbers(cluster, .reports) == [1] && numbers(cluster, .duplicates) == [2])
        #expect(try late.archive([batch]).reports == 0 && late.positions == [0: 1])
    }

    @Test("a name that two archivers meet in the same moment is in the vault once")
    func names() throws {
        let cluster = ClusterDisk(seed: 4)
        let other = try cluster.archiver("b", owning: [1], of: 2)
        var configuration = cluster.configuration("a")
        configuration.scope = ArchiverScope(owned: [0], of: 2)
        configuration.vault = HookedStore(cluster.vault, before: "identities/_delta_log/") {
            _ = try other.archive([PartitionedArchiverTests.part(1, of: 2, at: 1, [1], cover: 1...2)])
        }
        let archiver = try Archiver(configuration, time: cluster.time)
        _ = try archiver.archive([PartitionedArchiverTests.part(0, of: 2, at: 2, [2], cover: 1...2)])
        #expect(try cluster.rows(.identities).count == 1)
        #expect(try numbers(cluster, .reports) == [1, 2])
    }
}
