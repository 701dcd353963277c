// Deliberately broken variants, to prove that the oracle notices. Each changes what a simulated shell or disk does
// around the real code; none exists outside the simulator.

package enum Mutation: String, CaseIterable, Sendable {
    /// The relay says 202 when the report is queued for the disk.
    case acknowledgeBeforeCommit = "acknowledge-before-commit"
    /// What the relay queues counts as stored for the answers to resends, whether its write succeeds or not.
    case duplicateBeforeCommit = "duplicate-before-commit"
    /// The relay takes `received` for `archived`.
    case forgetOnReceived = "forget-on-received"
    /// The relay releases sealed segments without asking what is archived.
    case releaseUnarchived = "release-unarchived"
    /// A restarted relay goes on under its last epoch.
    case reuseEpoch = "reuse-epoch"
    /// Rules are asked after the commit: a full disk swallows the alert.
    case alertAfterCommit = "alert-after-commit"
    /// The alerts of a report are raised but not stored with it.
    case alertNotStored = "alert-not-stored"
    /// Any answer 200 with ranges counts, whether it echoes the batch's digest or not.
    case noDigestEcho = "no-digest-echo"
    /// Central does not compare a batch's bytes with its digest.
    case noDigestCheck = "no-digest-check"
    /// Central says `received` before the stream's write has ended.
    case receivedBeforeDurable = "received-before-durable"
    /// Central says `archived` for whatever is durable in its stream.
    case archivedBeforeCommit = "archived-before-commit"
    /// The stream forgets a batch once it was read for the archive.
    case streamReleasedEarly = "stream-released-early"
    /// A restarted archiver remembers only the newest files.
    case deduplicationWindow = "deduplication-window"
    /// A report whose identity is known with other bytes is left out.
    case dropOnConflict = "drop-on-conflict"
    /// A restarted archiver does not see the positions its commits noted.
    case noTransactions = "no-transactions"
    /// A commit may write over one of the same version.
    case overwrittenCommit = "overwritten-commit"
    /// What central once called received is never sent again, although central lost it.
    case lostWanted = "lost-wanted"
    /// What did not fit into a batch counts as lost from the buffer.
    case unreadIsMissing = "unread-is-missing"
}
