// One request's way through the buffer: what it wants stored, and how its answer is given once that is on disk (I1).

import Crypto
package import Models

/// A report on its way to disk. `payload` borrows bytes that live until the PendingWrite is answered.
package struct PendingReport {
    /// An encoded RecordHeader.
    package let header: [UInt8]
    package let identityHash: UInt64
    package let digestHash: UInt64
    package let payload: UnsafeRawBufferPointer
    /// Records stored in the same transaction: the alerts that the report raised, as JSON.
    package let alerts: [[UInt8]]

    package init(header: RecordHeader, payload: UnsafeRawBufferPointer, alerts: [[UInt8]]) {
        self.header = header.encoded()
        identityHash = header.identityHash
        digestHash = header.digest.prefix64
        self.payload = payload
        self.alerts = alerts
    }
}

package struct OtherRecord: Sendable {
    /// BufferKind.alert or .alertState.
    package let kind: UInt8
    /// JSON.
    package let body: [UInt8]

    package init(kind: UInt8, body: [UInt8]) {
        self.kind = kind
        self.body = body
    }
}

package enum WriteOutcome: Sendable {
    /// In the order of the request's reports.
    case stored([RecentIdentities.Verdict])
    /// Nothing of the request is on disk.
    case failed(Problem)
}

/// Safety: made by one server thread, handed over to the writer thread through the queue's lock, and touched by no one
/// else afterwards; the bytes it borrows live until `answer` has been called, which happens once.
package final class PendingWrite: @unchecked Sendable {
    package let receivedAt: Timestamp
    package let reports: [PendingReport]
    /// Records without a report: an alert's state change, a lost-contact alert.
    package let others: [OtherRecord]
    package let byteCount: Int
    private let answer: (WriteOutcome) -> Void

    package init(
        receivedAt: Timestamp, reports: [PendingReport], others: [OtherRecord] = [],
        answer: @escaping (WriteOutcome) -> Void
    ) {
        self.receivedAt = receivedAt
        self.reports = reports
        self.others = others
        self.answer = answer
        byteCount = reports.reduce(0) { $0 + $1.payload.count } + others.reduce(0) { $0 + $1.body.count }
    }

    package func complete(_ outcome: WriteOutcome) { answer(outcome) }
}
