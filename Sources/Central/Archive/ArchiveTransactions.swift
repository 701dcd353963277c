// What one archive call relies on in the tables' logs, and how far it will have brought them: each partition's
// transaction, read once when the call begins. Whoever commits first wins; the other's expectation is then wrong in one
// table at the latest, `reports`, and nothing it decided counts.

struct ArchiveTransactions {
    private let partitions: Int?
    /// By table and application. In a cluster of all owned partitions, also of those that the call leaves where they
    /// are.
    private let expected: [String: [String: Int64?]]
    /// By application.
    let reached: [(application: String, position: Int64)]
    /// Of them all.
    let position: Int64

    /// Without a scope: one position for `partitions` transactions.
    init(_ tables: ArchiverTables, partitions: Int, position: Int64) {
        let applications = (0..<partitions).map { ArchiverPartition.application($0) }
        self.partitions = nil
        self.position = position
        expected = Self.read(tables, applications)
        reached = applications.map { ($0, position) }
    }

    /// `positions`: of the partitions that the call brings forward.
    init(_ tables: ArchiverTables, scope: ArchiverScope, positions: [Int: Int64]) {
        partitions = scope.count
        position = positions.values.max() ?? 0
        expected = Self.read(tables, scope.owned.map { ArchiverPartition.application($0) })
        reached = positions.sorted { $0.key < $1.key }.map { (ArchiverPartition.application($0.key), $0.value) }
    }

    private static func read(_ tables: ArchiverTables, _ applications: [String]) -> [String: [String: Int64?]] {
        var expected: [String: [String: Int64?]] = [:]
        for table in tables.all {
            let known = table.snapshot.transactions
            for application in applications {
                expected[table.schema.name, default: [:]][application] = .some(known[application])
            }
        }
        return expected
    }

    func expected(of table: DeltaTable) -> [String: Int64?] { expected[table.schema.name] ?? [:] }

    /// What a file of this partition reaches.
    func position(of partition: DronePartition?) -> Int64 {
        guard let partition, partition.count == partitions else { return position }
        let application = ArchiverPartition.application(partition.index)
        return reached.first { $0.application == application }?.position ?? position
    }

    /// A table that an interrupted call has brought further already stays there: that is what says which of the rows
    /// being decided again it has.
    func actions(for table: DeltaTable, lastUpdated milliseconds: Int64) -> [DeltaAction] {
        let known = expected(of: table)
        return reached.filter { partitions == nil || $0.position > (known[$0.application] ?? nil) ?? .min }
            .map { .txn($0.application, $0.position, lastUpdated: milliseconds) }
    }

    /// Throws if somebody else has committed for one of these partitions meanwhile.
    func check(_ table: DeltaTable) throws {
        let known = table.snapshot.transactions
        for (application, version) in expected(of: table) where known[application] != version {
            throw ArchiveError.anotherWriter(
                table: table.schema.name, application: application, found: known[application])
        }
    }
}
