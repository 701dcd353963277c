// The steps at which a process may end: before each of them the simulator may kill the node that is about to take it
// (F01–F18). Counted, so that a run can say which were hit.

package enum Step: String, CaseIterable, Sendable {
    case relayAccepted = "relay.accepted"
    case relayAlerted = "relay.alerted"
    case relayQueued = "relay.queued"
    case relayWriting = "relay.writing"
    case relayCommitted = "relay.committed"
    case relayAnswering = "relay.answering"
    case relayAnswered = "relay.answered"
    case forwarderRead = "forwarder.read"
    case forwarderSent = "forwarder.sent"
    case forwarderAcknowledged = "forwarder.acknowledged"
    case forwarderMerged = "forwarder.merged"
    case keeperNoted = "keeper.noted"
    case keeperReleased = "keeper.released"
    case centralAccepted = "central.accepted"
    case centralExamined = "central.examined"
    case centralQuarantined = "central.quarantined"
    case centralWriting = "central.writing"
    case centralStreamed = "central.streamed"
    case centralAnswering = "central.answering"
    case archiveRead = "archive.read"
    case archiveConvert = "archive.convert"
    case archiveUpload = "archive.upload"
    case archiveQuarantine = "archive.quarantine"
    case archiveIdentities = "archive.commitIdentities"
    case archiveAlerts = "archive.commitAlerts"
    case archiveDuplicates = "archive.commitDuplicates"
    case archiveReports = "archive.commitReports"
    case archivePublish = "archive.publish"
    case archiveSnapshot = "archive.snapshot"
    case archiveReleased = "archive.released"
    case storeBefore = "store.before"
    case storeAfter = "store.after"
}

/// The process ends here.
struct SimulatedCrash: Error {
    var step: Step
}

/// An error of a disk that leaves the process alive.
struct SimulatedDiskError: Error, CustomStringConvertible {
    var description: String
}
