// The limits of the sync protocol (contract §4), each with its unit and checked against the report's own (I7).

import Models

package enum SyncLimits {
    /// A batch as it comes over the wire.
    package static let compressedBatchBytes = 8 * 1024 * 1024
    /// A batch's lines.
    package static let inflatedBatchBytes = 16 * 1024 * 1024
    /// Decompressed ÷ compressed. Far above a drone's 100: a fleet that says the same thing over and over compresses
    /// 1,000×, and its relay must not be stuck with a batch central never takes. What a bomb could cost is bounded by
    /// `inflatedBatchBytes`.
    package static let inflationRatio = 20_000
    package static let recordsPerBatch = 100_000
    /// Everything of a line but its body.
    package static let envelopeBytes = 4 * 1024
    /// `body_text` escapes quotes and line ends: at most twice the bytes.
    package static let lineBytes = 2 * ReportLimits.bodyBytes + envelopeBytes
    /// An acknowledgement: some 40 bytes a range.
    package static let acknowledgementBytes = 4 * 1024 * 1024

    /// Ranges in each set of one acknowledgement, and rejected records in it: some 5 KiB where there are many gaps.
    package static let rangesInAnswer = 128
    /// Further ones from either end.
    package static let rangesAtEnds = 16
    /// Ranges of one batch's records: an acknowledgement names them all.
    package static let batchRanges = 1_024
    /// Among them may lie others that came before.
    package static let batchRangesInAnswer = 2 * batchRanges
    /// Ranges that one acknowledgement asks for again; the next one asks for more.
    package static let wantedRanges = 1_000
    /// A relay's report on itself.
    package static let relayReportBytes = 1024 * 1024
    /// Ranges of missing records that a report lists for all its epochs together; counts are never cut.
    package static let reportedMissingRanges = 4_096
    /// Epochs that a report lists, newest first where a relay holds more.
    package static let reportedEpochs = 2_048
    /// A rule file that central hands to relays.
    package static let rulesBytes = 256 * 1024
    /// A relay reports at least this often while its uplink works.
    package static let relayReportSeconds = 10.0

    package static func assertConsistent() {
        ReportLimits.assertConsistent()
        precondition(lineBytes <= inflatedBatchBytes, "the largest report must fit into a batch of one")
        precondition(compressedBatchBytes <= inflatedBatchBytes, "compression must not be required to shrink")
        precondition(
            ReportLimits.storedBootBytes + 256 <= envelopeBytes, "the envelope must hold the longest boot and the rest")
        precondition(
            reportedMissingRanges * 48 + reportedEpochs * 160 + 128 * 1024 <= relayReportBytes,
            "a report must hold all the ranges and epochs it may list")
        precondition(recordsPerBatch * 60 <= inflatedBatchBytes, "a batch must be able to reach its record limit")
    }
}
