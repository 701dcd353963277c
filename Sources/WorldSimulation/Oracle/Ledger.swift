// The oracle's memory: what every drone made and was promised, what every disk really holds, what every commit really
// showed. It learns from the simulated disks and from the words that cross the network, never from the state of the
// code under test, and stops the world at the first broken invariant.

import Central
import Crypto
import Models
import SyncProtocol

package struct Violation: Error, Sendable, CustomStringConvertible {
    /// `I1`…`I11` of the design, `C1`…`C24` of the fault catalogue.
    package var invariant: String
    package var detail: String

    package var description: String { "\(invariant): \(detail)" }
}

final class Ledger {
    /// A report that a drone made.
    struct Report {
        let drone: Int
        let droneID: String
        let body: [UInt8]
        let digest: SHA256Digest
        /// nil where the drone sends no `seq`.
        let identity: ReportIdentity?
        /// The alert that its citizen must raise.
        let alertID: String?
        /// Another report has the same identity and other bytes.
        var isContested = false
        let isUnstorable: Bool
        var isAcknowledged = false
        /// A fault took a copy away that nobody had archived: then it may be missing.
        var isExcused = false
        var alertIsExcused = false
        var reportRows = 0
        var copyRows = 0
        var isRejected = false
    }

    /// A record on a relay's disk.
    struct Record {
        let digest: UInt64
        let report: Int32
        let kind: UInt8
        let isPoison: Bool
    }

    var reports: [Report] = []
    private var byDigest: [SHA256Digest: Int] = [:]
    private var byIdentity: [ReportIdentity: Int] = [:]
    /// By record number, from 1.
    private(set) var written: [RecordSource: [Record]] = [:]
    /// Destroyed by a fault that no program could prevent.
    private(set) var destroyed: [RecordSource: IntervalSet] = [:]
    private var writesAt: [Int: Int] = [:]
    private var answersAt: [Int: Int] = [:]
    /// In central's stream, or settled.
    private var inStream: [RecordSource: IntervalSet] = [:]
    /// In a row of a committed version, or in a quarantine.
    private(set) var settled: [RecordSource: IntervalSet] = [:]
    private(set) var rejected: [RecordSource: IntervalSet] = [:]
    var archivedIdentities: Set<UInt64> = []
    private(set) var counts: [RecordSource: RowCounts] = [:]
    private(set) var alertIDs: Set<String> = []
    private(set) var violation: Violation?
    private(set) var acknowledged = 0

    struct RowCounts: Equatable {
        var reports = 0
        var duplicates = 0
        var conflicts = 0
        var alerts = 0
    }

    func fail(_ invariant: String, _ detail: @autoclosure () -> String) {
        if violation == nil { violation = Violation(invariant: invariant, detail: detail()) }
    }

    // MARK: - Drones

    func made(_ report: Report) -> Int {
        var report = report
        let number = reports.count
        if let identity = report.identity {
            if let other = byIdentity[identity] {
                report.isContested = true
                reports[other].isContested = true
            } else {
                byIdentity[identity] = number
            }
        }
        byDigest[report.digest] = number
        reports.append(report)
        return number
    }

    /// A relay gives a drone its 202.
    func answered(_ number: Int, by node: Int) {
        answersAt[number << 4 | node, default: 0] += 1
        let written = writesAt[number << 4 | node] ?? 0
        if answersAt[number << 4 | node, default: 0] > written {
            fail("I1", "relay \(node) says 202 for report \(number), which is not on its disk")
        }
        if !reports[number].isAcknowledged {
            reports[number].isAcknowledged = true
            acknowledged += 1
        }
    }

    // MARK: - Relays' disks

    /// A transaction is on a relay's disk.
    func wrote(_ source: RecordSource, _ n: Int64, _ record: Record, by node: Int) {
        let count = Int64(written[source]?.count ?? 0)
        if n == count + 1 {
            written[source, default: []].append(record)
        } else if n > count {
            fail("I3", "relay \(node) leaves out numbers before \(n) of \(source.epoch.prefix(6))")
        } else if let known = written[source]?[Int(n - 1)], known.digest != record.digest {
            fail("I3", "relay \(node) uses number \(n) of epoch \(source.epoch.prefix(6)) again for other bytes")
        }
        if record.kind == 1, record.report >= 0 { writesAt[Int(record.report) << 4 | node, default: 0] += 1 }
    }

    /// A fault takes a record away.
    func destroyed(_ source: RecordSource, _ n: Int64) {
        guard !(settled[source]?.contains(n) ?? false) else { return }
        destroyed[source, default: IntervalSet()].insert(n)
        guard let record = written[source]?[Int(n - 1)], record.report >= 0 else { return }
        if record.kind == 1 { reports[Int(record.report)].isExcused = true }
        reports[Int(record.report)].alertIsExcused = true
    }

    /// A relay lets go of a record of its own will (I2).
    func released(_ source: RecordSource, _ n: Int64, by node: Int) {
        guard !(settled[source]?.contains(n) ?? false) else { return }
        fail("I2", "relay \(node) forgets record \(n) of epoch \(source.epoch.prefix(6)), which is not archived")
    }

    /// What a relay believes to be archived must be (I2 rests on it).
    func believed(_ archived: IntervalSet, _ source: RecordSource, by node: Int) {
        let wrong = archived.subtracting(settled[source] ?? IntervalSet())
        guard !wrong.isEmpty else { return }
        fail("I2", "relay \(node) takes \(wrong) of epoch \(source.epoch.prefix(6)) for archived, and they are not")
    }

    // MARK: - Central's words and disks

    func streamed(_ numbers: IntervalSet, _ source: RecordSource) {
        inStream[source, default: IntervalSet()].formUnion(numbers)
    }

    /// A fault takes a batch from the stream.
    func streamLost(_ numbers: IntervalSet, _ source: RecordSource) {
        let gone = numbers.subtracting(settled[source] ?? IntervalSet())
        inStream[source]?.subtract(gone)
    }

    func streamReleased(_ numbers: IntervalSet, _ source: RecordSource) {
        let early = numbers.subtracting(settled[source] ?? IntervalSet())
        guard !early.isEmpty else { return }
        fail("I4", "central's stream forgets \(early) of epoch \(source.epoch.prefix(6)) before they are archived")
    }

    /// Central is about to say this (I4).
    func said(_ answer: Acknowledgement, _ source: RecordSource) {
        let settled = settled[source] ?? IntervalSet()
        let early = answer.archived.subtracting(settled)
        if !early.isEmpty {
            fail("I4", "central says archived for \(early) of \(source.relayID), which no committed version has")
        }
        let lost = answer.received.subtracting(settled.union(inStream[source] ?? IntervalSet()))
        if !lost.isEmpty {
            fail("I4", "central says received for \(lost) of \(source.relayID), which are not durable there")
        }
        for record in answer.rejected { checkRejection(source, record.n) }
    }

    func checkRejection(_ source: RecordSource, _ n: Int64) {
        guard let records = written[source], n >= 1, n <= Int64(records.count) else {
            return fail("C2", "central rejects record \(n) of \(source.relayID), which nobody wrote")
        }
        let record = records[Int(n - 1)]
        let isExpected = record.isPoison || (record.report >= 0 && reports[Int(record.report)].isUnstorable)
        if !isExpected { fail("C9", "central rejects the good record \(n) of \(source.relayID)") }
    }

    func quarantined(_ source: RecordSource, _ n: Int64) {
        checkRejection(source, n)
        rejected[source, default: IntervalSet()].insert(n)
        settled[source, default: IntervalSet()].insert(n)
        guard let records = written[source], n >= 1, n <= Int64(records.count) else { return }
        let record = records[Int(n - 1)]
        if record.report >= 0 { reports[Int(record.report)].isRejected = true }
    }

    // MARK: - Committed rows

    /// A row has become visible in `table`.
    func visible(_ row: ArchivedRow, in table: String) {
        let source = RecordSource(relayID: row.relayID, epoch: row.epoch)
        guard let records = written[source], row.n >= 1, row.n <= Int64(records.count) else {
            return fail("C2", "\(table) has record \(row.n) of \(row.relayID), which nobody wrote")
        }
        let record = records[Int(row.n - 1)]
        guard let digest = row.digest, digest.prefix64 == record.digest else {
            return fail("C4", "\(table) has other bytes for record \(row.n) of \(row.relayID) than its relay wrote")
        }
        if settled[source]?.contains(row.n) ?? false {
            return fail("I5", "record \(row.n) of \(row.relayID) comes into \(table) although it was settled")
        }
        settled[source, default: IntervalSet()].insert(row.n)
        switch table {
        case "alerts":
            counts[source, default: RowCounts()].alerts += 1
            if row.kind == "alert" { alertIDs.insert(row.alertID) }
        case "reports": archive(row, source, digest)
        default: keepCopy(row, source, digest)
        }
    }

    private func archive(_ row: ArchivedRow, _ source: RecordSource, _ digest: SHA256Digest) {
        counts[source, default: RowCounts()].reports += 1
        guard let number = byDigest[digest] else { return fail("C2", "reports has a row that no drone sent") }
        reports[number].reportRows += 1
        if !archivedIdentities.insert(Self.hash(row)).inserted {
            fail("I5", "\(row.droneID), boot \(row.boot), number \(row.seq) is in reports twice")
        }
    }

    private func keepCopy(_ row: ArchivedRow, _ source: RecordSource, _ digest: SHA256Digest) {
        guard let number = byDigest[digest] else { return fail("C2", "duplicates has a row that no drone sent") }
        reports[number].copyRows += 1
        if row.reason == "conflict" {
            counts[source, default: RowCounts()].conflicts += 1
            if !reports[number].isContested, !reports[number].isUnstorable {
                fail("C4", "\(row.droneID), number \(row.seq) is marked a conflict, and its bytes never differed")
            }
        } else {
            counts[source, default: RowCounts()].duplicates += 1
        }
    }

    static func hash(_ row: ArchivedRow) -> UInt64 {
        XXH3.hash64(Array("\(row.droneID)\n\(row.boot)\n\(row.seq)".utf8))
    }
}
