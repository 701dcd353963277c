// Names into the vault when several archivers write to it: each person once, whoever meets the name first.
//
// A person is no partition's: two archivers may meet a new name in the same second. So a registration is conditional on
// the vault being as it was seen: it commits as the very next version, or learns who was registered meanwhile, leaves
// those out and tries again. Delta's put-if-absent decides, as everywhere. `first_seen` is when the relay received the
// first report with the name that was archived.
//
// It comes before everything else of the call: rows point to persons that are there. A call that fails afterwards has
// registered them, and its repetition finds them known.

import Models
import ObjectStore

/// Who is in the vault.
struct KnownPersons {
    var known: Set<PersonID> = []
    /// The files that was read from.
    var files: Set<String> = []
}

struct IdentityRegistration {
    let table: DeltaTable
    let engine: any ArchiveEngine
    let committer: ArchiveCommitter
    /// Losing this often in a row means something is committing in a loop.
    private static let maxAttempts = 100

    /// `names`: not known when their reports were decided; in `known` since then.
    func register(
        _ names: [SeenName], known: inout KnownPersons, _ transactions: ArchiveTransactions, now: Timestamp
    ) throws {
        try committer.failurePoint(.commitIdentities)
        guard !names.isEmpty else { return }
        var names = names
        var adds: [DeltaAdd] = []
        for _ in 0..<Self.maxAttempts {
            let snapshot = try table.refresh()
            let others = try newcomers(snapshot, &known)
            if adds.isEmpty || names.contains(where: { others.contains($0.person) }) {
                names.removeAll { others.contains($0.person) }
                guard !names.isEmpty else { return }
                adds = try write(names, transactions, now)
            }
            guard !adds.isEmpty else { return }
            let actions = ArchiveCommitter.actions(adds, transactions, for: table, now.microseconds / 1000)
            if try table.commit(actions, after: snapshot.version) {
                known.files.formUnion(adds.map(\.path))
                return
            }
            // The file stays where it is: if the store did commit it and could not say so, it is the table's.
        }
        throw ArchiveError.tooManyConflicts(table: table.schema.name, attempts: Self.maxAttempts)
    }

    /// Who others have registered since the vault was last read.
    private func newcomers(_ snapshot: DeltaSnapshot, _ known: inout KnownPersons) throws -> Set<PersonID> {
        let new = snapshot.files.keys.filter { !known.files.contains($0) }
        guard !new.isEmpty else { return [] }
        let persons = try engine.persons(in: try table.localFiles(new))
        known.known.formUnion(persons)
        known.files = Set(snapshot.files.keys)
        return persons
    }

    private func write(
        _ names: [SeenName], _ transactions: ArchiveTransactions, _ now: Timestamp
    ) throws -> [DeltaAdd] {
        let rows = RowBuffers(engine: engine)
        let buffer = try rows.buffer(.identities, day: "")
        for name in names { try buffer.append(name) }
        return try engine.convert(rows.all, archivedAt: now).map {
            try committer.upload($0, position: transactions.position, now.microseconds / 1000)
        }
    }
}
