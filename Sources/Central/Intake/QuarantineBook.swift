// What intake, the desk and the archiver ask of a quarantine. There are two: `Quarantine`, one file on a central's own
// disk, and `SharedQuarantine`, the vault's, for all nodes of a cluster.

package import Models

package protocol QuarantineBook: Sendable {
    /// Records that wait for a decision or are being tried again, by relay.
    var counts: [String: Int] { get }

    /// Before an answer to a person: takes in what others have written meanwhile.
    func look() throws
    /// Newest first, after the record `after`.
    func list(
        states: Set<QuarantinedRecord.State>, relayID: String?, after: String?, limit: Int
    ) throws -> [QuarantinedRecord]
    /// The record, and its line where it is asked for and still kept.
    func record(_ id: String, withLine: Bool) throws -> (record: QuarantinedRecord, line: [UInt8]?)?

    /// Calls `then` with true when the records are as durable as a batch in the stream, counting what the stream itself
    /// carries; at once or later, on any thread.
    func keep(
        _ records: [BatchExamination.Rejected], relayID: String, epoch: String, at now: Timestamp,
        then: @escaping @Sendable (Bool) -> Void)

    /// False: it does not wait for a decision, or somebody else was first.
    func startRetry(_ id: String, by: String, note: String, at now: Timestamp) throws -> Bool
    func drop(_ id: String, by: String, note: String, at now: Timestamp) throws -> Bool
    /// The stream had no room for it. True: it waits for a decision again; false: it will be tried again by itself.
    func retryNotQueued(_ id: String, at now: Timestamp) throws -> Bool
    /// - Parameter position: nil: the stream did not take it.
    func retryAppended(_ id: String, position: Int64?, at now: Timestamp) throws

    /// A version is committed, with these records tried again in it. Returns those that are archived now. On the
    /// archiver's thread.
    func committed(_ commit: ArchiveCommit, retried: [String], at now: Timestamp) throws -> [QuarantinedRecord]
}

extension Quarantine: QuarantineBook {
    package func look() throws {}

    package func keep(
        _ records: [BatchExamination.Rejected], relayID: String, epoch: String, at now: Timestamp,
        then: @escaping @Sendable (Bool) -> Void
    ) {
        do {
            try keep(records, relayID: relayID, epoch: epoch, at: now)
            then(true)
        } catch {
            then(false)
        }
    }

    package func startRetry(_ id: String, by: String, note: String, at now: Timestamp) throws -> Bool {
        try move(id, from: [.waiting], to: .retrying, by: by, note: note, at: now)
    }

    package func drop(_ id: String, by: String, note: String, at now: Timestamp) throws -> Bool {
        try move(id, from: [.waiting], to: .dropped, by: by, note: note, at: now, removesLine: true)
    }

    package func retryNotQueued(_ id: String, at now: Timestamp) throws -> Bool {
        _ = try move(id, from: [.retrying], to: .waiting, at: now)
        return true
    }

    package func retryAppended(_ id: String, position: Int64?, at now: Timestamp) throws {
        _ = try move(
            id, from: [.retrying], to: position == nil ? .waiting : .retrying, at: now, position: position)
    }

    /// What the archiver set aside is taken in first: a record that was refused again waits by then.
    package func committed(
        _ commit: ArchiveCommit, retried: [String], at now: Timestamp
    ) throws -> [QuarantinedRecord] {
        if commit.rejected > 0 || !retried.isEmpty { try takeInArchiveRejects(at: now) }
        return try retried.compactMap { id in
            guard try move(id, from: [.retrying], to: .archived, at: now, removesLine: true) else { return nil }
            return try record(id, withLine: false)?.record
        }
    }
}
