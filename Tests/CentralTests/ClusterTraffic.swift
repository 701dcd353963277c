// What relays send to a cluster, from a seed: batches cut into parts as the partitioned stream has them, with resends,
// copies through other relays, conflicts, record numbers used twice, alerts and records nobody can read; and, worked
// out from the rules alone with plain sets, which rows the archive must end up with.

import Central
import Crypto
import Models
import SyncProtocol
import TestSupport

struct ClusterTraffic {
    enum Kind: Equatable {
        case report(ReportIdentity)
        case alert
        case alertState
        /// Intake could not read it.
        case rejected
        /// DuckDB will not take it (the engine in memory plays that).
        case unstorable(ReportIdentity)
    }

    struct Record {
        var source: RecordSource
        var n: Int64
        var kind: Kind
        var body: String
        var partition: Int

        var digest: SHA256Digest { SHA256.hash(Array(body.utf8)) }
    }

    let partitions: Int
    /// By position: of every batch one for each partition.
    private(set) var messages: [StreamedBatch] = []
    /// What each message holds, in its order.
    private(set) var records: [Int64: [Record]] = [:]

    private var random: SeededGenerator
    private var position: Int64
    private var nextNumber: [RecordSource: Int64] = [:]
    private var nextSeq: [String: Int64] = [:]
    private var seen: [(ReportIdentity, String)] = []
    private var batches: [[Record]] = []
    private let hasUnstorable: Bool
    /// A number may come under two records at the same moment, so that the partitions meet them in different orders.
    /// The rows are right all the same; what is counted of that number is not.
    let hasSimultaneousClones: Bool

    static let sources = [
        RecordSource(relayID: ArchiveFixture.relay, epoch: ArchiveFixture.epoch),
        RecordSource(relayID: "south-1", epoch: ArchiveFixture.otherEpoch),
    ]

    init(seed: UInt64, partitions: Int, batches count: Int, after position: Int64 = 0, hasUnstorable: Bool = true) {
        self.partitions = partitions
        self.position = position
        self.hasUnstorable = hasUnstorable
        hasSimultaneousClones = seed % 2 == 1
        random = SeededGenerator(seed: seed)
        while batches.count < count {
            let first = makeBatch(mayBeClone: true)
            let pair = chance(0.2) ? [first, makeBatch(mayBeClone: hasSimultaneousClones)] : [first]
            batches += pair
            publish(pair)
        }
    }

    private mutating func chance(_ share: Double) -> Bool { Double.random(in: 0..<1, using: &random) < share }
    private mutating func number(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &random) }

    // MARK: - Batches

    private mutating func makeBatch(mayBeClone: Bool) -> [Record] {
        if chance(0.15), let again = batches.randomElement(using: &random) { return again }
        let source = Self.sources[number(0...1)]
        // A relay that came back from a copy of its disk uses numbers again.
        let isClone = mayBeClone && chance(0.08) && nextNumber[source, default: 1] > 4
        var n = isClone ? Int64(number(1...Int(nextNumber[source, default: 1]) - 1)) : nextNumber[source, default: 1]
        var batch: [Record] = []
        for _ in 0..<number(1...8) {
            batch.append(makeRecord(source, n, isClone: isClone))
            n += chance(0.05) ? 2 : 1
        }
        nextNumber[source] = max(nextNumber[source, default: 1], n)
        return batch
    }

    private mutating func makeRecord(_ source: RecordSource, _ n: Int64, isClone: Bool) -> Record {
        let drone = "pw-\(number(0...6))"
        let draw = Double.random(in: 0..<1, using: &random)
        func place(_ drone: String?) -> Int { drone.map { DronePartition.index(ofDrone: $0, count: partitions) } ?? 0 }
        if !isClone, draw < 0.05 {
            return Record(source: source, n: n, kind: .rejected, body: #"{"no":"report"}"#, partition: 0)
        }
        if draw < 0.12 {
            let body = Self.alert(drone, source, n, number(0...999))
            return Record(source: source, n: n, kind: .alert, body: body, partition: place(drone))
        }
        if draw < 0.15 {
            let change = AlertStateChange(
                alertID: String(repeating: "ab", count: 16), state: .closed, by: "op", note: "\(number(0...9_999))",
                outcome: .confirmed, at: Timestamp(microseconds: ArchiveFixture.start + n), relayID: source.relayID)
            let body = String(decoding: AlertText.json(change), as: UTF8.self)
            return Record(source: source, n: n, kind: .alertState, body: body, partition: 0)
        }
        if draw < 0.27, let (identity, body) = seen.randomElement(using: &random) {
            return Record(
                source: source, n: n, kind: .report(identity), body: body, partition: place(identity.droneID))
        }
        if draw < 0.33, let (identity, _) = seen.randomElement(using: &random) {
            let body = BatchMaker.report(
                drone: identity.droneID, seq: identity.seq, name: "Other \(number(0...9))",
                extra: #","other":\#(number(0...9_999))"#)
            return Record(
                source: source, n: n, kind: .report(identity), body: body, partition: place(identity.droneID))
        }
        nextSeq[drone, default: 0] += 1
        let identity = ReportIdentity(droneID: drone, boot: "b1", seq: nextSeq[drone, default: 0])
        let isUnstorable = hasUnstorable && !isClone && draw > 0.98
        let body = BatchMaker.report(
            drone: drone, seq: identity.seq, name: "Person \(number(0...30))",
            extra: isUnstorable ? #","x-unstorable":1"# : "",
            observedAt: chance(0.2) ? "2026-11-19T23:59:00Z" : "2026-11-20T05:00:00Z")
        if !isUnstorable { seen.append((identity, body)) }
        return Record(
            source: source, n: n, kind: isUnstorable ? .unstorable(identity) : .report(identity), body: body,
            partition: place(drone))
    }

    private static func alert(_ drone: String, _ source: RecordSource, _ n: Int64, _ salt: Int) -> String {
        let at = Timestamp(microseconds: ArchiveFixture.start)
        let alert = Alert(
            alertID: String(repeating: "cd", count: 16), rule: "r\(salt)", ruleVersion: 1, severity: .info,
            droneID: drone, citizen: "Person \(salt % 30)", observedAt: at, receivedAt: at, raisedAt: at,
            relayID: source.relayID)
        return String(decoding: AlertText.json(alert), as: UTF8.self)
    }

    // MARK: - Messages

    /// Two batches at once get their positions in any order, but partition 0's part is each one's last.
    private mutating func publish(_ batches: [[Record]]) {
        var queues = batches.map { batch in
            ((1..<partitions).shuffled(using: &random) + [0]).map { (batch, $0) }
        }
        while let index = queues.indices.filter({ !queues[$0].isEmpty }).randomElement(using: &random) {
            let (batch, partition) = queues[index].removeFirst()
            position += Int64(number(1...3))
            publish(batch, partition)
        }
    }

    private mutating func publish(_ batch: [Record], _ partition: Int) {
        guard let source = batch.first?.source else { return }
        var maker = BatchMaker(relay: source.relayID, epoch: source.epoch)
        let own = batch.filter { $0.partition == partition }
        for record in own {
            let kind: RecordKind =
                switch record.kind {
                case .alert: .alert
                case .alertState: .alertState
                default: .report
                }
            maker.add(record.n, record.body, kind: kind)
        }
        var message = maker.batch(at: position)
        message.partition = partition
        message.cover = IntervalSet(batch.map { $0.n...$0.n })
        let rejected = own.filter { $0.kind == .rejected }
        message.skip = IntervalSet(rejected.map { $0.n...$0.n })
        message.skipCodes = Dictionary(rejected.map { ($0.n, "missing_field") }) { $1 }
        messages.append(message)
        records[position] = own
    }

    /// Every record number that was sent.
    func numbers(_ source: RecordSource) -> IntervalSet {
        messages.filter { $0.relayID == source.relayID }.compactMap(\.cover).reduce(IntervalSet()) { $0.union($1) }
    }

    func messages(of partition: Int) -> [StreamedBatch] { messages.filter { $0.partition == partition } }
    func last(of partition: Int) -> Int64 { messages(of: partition).last?.position ?? 0 }
}

/// A row of the archive, as the checks compare it.
struct ExpectedRow: Hashable, Comparable, CustomStringConvertible {
    var table: String
    var relayID: String
    var n: Int64
    /// Empty for alerts.
    var identity: String
    var digest: String
    var reason: String

    var description: String { "\(table) \(relayID) \(n) \(identity) \(digest.prefix(8)) \(reason)" }

    static func < (left: ExpectedRow, right: ExpectedRow) -> Bool { left.description < right.description }
}

extension ClusterTraffic {
    private struct Model {
        var settled: [RecordSource: Set<Int64>] = [:]
        var stored: [RecordNumber: Set<SHA256Digest>] = [:]
        var archived: [ReportIdentity: SHA256Digest] = [:]
    }

    /// The rows of all tables, sorted: every report once, every other copy in `duplicates`, nothing lost.
    func expectedRows() -> [ExpectedRow] {
        var rows: [ExpectedRow] = []
        for partition in 0..<partitions {
            var model = Model()
            for message in messages(of: partition) {
                for record in records[message.position] ?? [] { decide(record, &model, &rows) }
                let source = RecordSource(relayID: message.relayID, epoch: message.epoch)
                for range in message.cover?.ranges ?? [] { model.settled[source, default: []].formUnion(range) }
            }
        }
        return rows.sorted()
    }

    private func decide(_ record: Record, _ model: inout Model, _ rows: inout [ExpectedRow]) {
        let number = RecordNumber(source: record.source, n: record.n)
        let isFirst = model.settled[record.source, default: []].insert(record.n).inserted
        func row(_ table: String, _ identity: ReportIdentity?, _ reason: String = "") -> ExpectedRow {
            ExpectedRow(
                table: table, relayID: record.source.relayID, n: record.n,
                identity: identity.map { "\($0.droneID) \($0.boot) \($0.seq)" } ?? "", digest: record.digest.hex,
                reason: reason)
        }
        switch record.kind {
        case .rejected, .unstorable: return
        case .alert, .alertState:
            guard isFirst else { return }
            rows.append(row("alerts", nil))
        case .report(let identity):
            guard isFirst || model.stored[number]?.contains(record.digest) != true else { return }
            let known = model.archived[identity]
            if isFirst, known == nil {
                model.archived[identity] = record.digest
                rows.append(row("reports", identity))
            } else {
                let isCopy = isFirst && known == record.digest
                rows.append(row("duplicates", identity, isCopy ? "duplicate" : "conflict"))
            }
        }
        model.stored[number, default: []].insert(record.digest)
    }
}
