// One life of a relay's process: everything that a crash takes with it.

import AlertRules
import Central
import Crypto
import EdgeRelay
import JSON
import Models
import SegmentedLog
import Simulation
import Synchronization
import SyncProtocol
import System

/// A request on its way to the disk.
final class PendingPost {
    struct Item {
        /// In the ledger; −1 for what no drone sent.
        var number: Int
        var header: RecordHeader?
        var payload: [UInt8]
        var kind: UInt8
        /// Alert records that go with it.
        var alerts: [[UInt8]]
        var isPoison = false
    }

    var reports: [Item] = []
    let receivedAt: Int64
    let reply: (RelayAnswer) -> Void
    var isAnswered = false
    /// Where nothing was taken.
    var status = 422
    var retryAfterSeconds = 1.0

    init(receivedAt: Int64, reply: @escaping (RelayAnswer) -> Void) {
        self.receivedAt = receivedAt
        self.reply = reply
    }
}

/// What followers of the alerts were told.
final class AlertListener: Sendable {
    private let ids = Mutex(0)
    func heard() { ids.withLock { $0 += 1 } }
    var count: Int { ids.withLock { $0 } }
}

final class RelayLife {
    let node: RelayNode
    let epoch: String
    /// Of the current epoch among the disk's.
    var index: Int
    let clock: ManualTime
    private(set) var machine: ForwarderStateMachine
    /// The forwarder's next look at its machine, so that there is one at a time.
    var nextLook: Instant = .max
    private(set) var earlierThrough: [String: Int64] = [:]
    var waiting: [PendingPost] = []
    var writing: [PendingPost]?
    private let parser = ReportParser()
    private let alerting: Alerting
    private let board = DroneBoard(maxDrones: 1_000, ratePerSecond: 20, burst: 100)
    private var recent = RecentIdentities()
    private var unsequenced: UnsequencedReports
    private var level = BufferLevel.normal
    private(set) var raisedIDs: Set<String> = []
    /// Only for the mutation `lostWanted`.
    var everReceived: [String: IntervalSet] = [:]
    let listener = AlertListener()
    let reader: BatchReader

    init(_ node: RelayNode) {
        self.node = node
        let world = node.world
        let clock = ManualTime(wallMicroseconds: node.wallMicroseconds)
        self.clock = clock
        reader = BatchReader(relayID: node.relayID)
        let isReused = world.options.mutation == .reuseEpoch && !node.disk.epochs.isEmpty
        for position in node.disk.epochs.indices { node.disk.epochs[position].log.seal() }
        if !isReused {
            node.disk.epochs.append(
                RelayDisk.Epoch(name: world.newEpoch(), log: SimulatedLog(segmentBytes: node.disk.segmentBytes)))
        }
        index = node.disk.epochs.count - 1
        epoch = node.disk.epochs[index].name
        unsequenced = UnsequencedReports(relayID: node.relayID, epoch: epoch)
        let listener = listener
        alerting = Alerting(
            relayID: node.relayID, rules: world.rules, book: AlertBook(),
            wallMicroseconds: { clock.wallMicroseconds() }, onRaised: { _, _ in listener.heard() })
        var recovered: [(name: String, known: Recovery.Epoch)] = []
        for stored in node.disk.epochs {
            let known = Recovery.Epoch(stored.log.summaries, note: node.disk.notes[stored.name])
            earlierThrough[stored.name] = known.through
            recovered.append((stored.name, known))
        }
        machine = ForwarderStateMachine(limits: world.forwarderLimits)
        for (name, known) in recovered {
            machine.epochOpened(
                name, through: known.through, archived: known.archived, missing: known.missing,
                isCurrent: name == epoch)
        }
        for stored in node.disk.epochs { readTail(stored.log) }
        measure()
    }

    /// As Recovery does it: what came last, for the answers to resends.
    private func readTail(_ log: SimulatedLog) {
        let from = max(1, log.lastPosition - 5_000)
        for entry in log.read(from: from, through: .max, maxEntries: .max, maxBytes: .max)
        where entry.kind == BufferKind.report {
            guard let header = RecordHeader(entry.header) else { continue }
            _ = recent.stored(identity: header.identityHash, digest: header.digest.prefix64)
        }
    }

    // MARK: - Reports

    /// The status an HTTP client would see for bytes that may be no report.
    func parse(_ bytes: [UInt8]) -> Int {
        bytes.withUnsafeBytes { bytes in
            do throws(Problem) {
                _ = try parser.parse(bytes)
                return 202
            } catch {
                return error.status
            }
        }
    }

    /// As ReportIngest does it: parse, identify, alert (I6), look at the buffer's level.
    func take(_ numbers: [Int], reply: @escaping (RelayAnswer) -> Void) -> PendingPost {
        let post = PendingPost(receivedAt: node.wallMicroseconds, reply: reply)
        for number in numbers { take(number, post) }
        return post
    }

    private func take(_ number: Int, _ post: PendingPost) {
        let known = node.world.ledger.reports[number]
        known.body.withUnsafeBytes { bytes in
            do throws(Problem) {
                let report = try parser.parse(bytes)
                let item = try take(number, report, post)
                // Where the oracle looks: the alert is out before anything else happens to the report (I6).
                if let expected = known.alertID, !raisedIDs.contains(expected) {
                    node.world.ledger.fail("I6", "relay \(node.number) took report \(number) and raised no alert")
                }
                post.reports.append(item)
            } catch {
                post.status = error.status
                post.retryAfterSeconds = Double(error.retryAfterSeconds ?? 1)
                if error.status != 429, let expected = known.alertID, !raisedIDs.contains(expected) {
                    node.world.ledger.fail(
                        "I6", "relay \(node.number) refused report \(number) (\(error.code)) and raised no alert")
                }
                if error.status == 400 || error.status == 422 {
                    node.world.ledger.fail("I8", "relay \(node.number) refuses a good report: \(error.code)")
                }
            }
        }
    }

    private func take(
        _ number: Int, _ report: ParsedReport, _ post: PendingPost
    ) throws(Problem) -> PendingPost.Item {
        let digest = SHA256.hash(report.body)
        let now = node.monotonic
        let receivedAt = Timestamp(microseconds: post.receivedAt)
        let identity: ReportIdentity
        if let seq = report.seq {
            identity = ReportIdentity(droneID: report.droneID, boot: report.boot, seq: seq)
        } else {
            identity = unsequenced.identity(droneID: report.droneID, digest: digest, at: now)
        }
        let observedAt = report.observedAt ?? receivedAt
        let hearing = board.heard(
            identity, body: report.body, latitude: report.latitude, longitude: report.longitude,
            observedAt: observedAt, receivedAt: receivedAt, at: now)
        let isReplayed: Bool
        switch hearing {
        case .noted(let late): isReplayed = late
        case .tooFast:
            throw Problem(status: 429, code: "too_many_reports", detail: "", retryAfterSeconds: 2)
        }
        let isPutOff = node.world.options.mutation == .alertAfterCommit
        let alerts = isPutOff ? [] : evaluate(report, identity, observedAt, receivedAt, isLate: isReplayed)
        if level >= .full || (level >= .alertsOnly && alerts.isEmpty) {
            throw Problem(status: 503, code: "buffer_full", detail: "", retryAfterSeconds: 30)
        }
        let header = RecordHeader(identity: identity, digest: digest, isAssigned: report.seq == nil)
        return PendingPost.Item(
            number: number, header: header, payload: Array(report.body), kind: BufferKind.report, alerts: alerts)
    }

    private func evaluate(
        _ report: ParsedReport, _ identity: ReportIdentity, _ observedAt: Timestamp, _ receivedAt: Timestamp,
        isLate: Bool
    ) -> [[UInt8]] {
        let alerts = alerting.evaluate(
            report, identity: identity, observedAt: observedAt, receivedAt: receivedAt, at: node.monotonic,
            isLate: isLate)
        for alert in alerts { raisedIDs.insert(RowScanner.scan(alert[...]).alertID) }
        return alerts
    }

    /// Only for the mutation: rules are asked when the report is on disk.
    func alertLate(_ group: [PendingPost]) {
        for item in group.flatMap(\.reports) {
            item.payload.withUnsafeBytes { bytes in
                guard let report = try? parser.parse(bytes), let identity = item.header?.identity else { return }
                let now = Timestamp(microseconds: node.wallMicroseconds)
                _ = evaluate(report, identity, report.observedAt ?? now, now, isLate: false)
            }
        }
    }

    func raiseSilences() {
        let alerts = alerting.raiseSilences(board, at: node.monotonic)
        guard !alerts.isEmpty else { return }
        let post = PendingPost(receivedAt: node.wallMicroseconds, reply: { _ in })
        // The board lists drones in no order that two runs share.
        for alert in alerts.sorted(by: { $0.lexicographicallyPrecedes($1) }) {
            post.reports.append(
                PendingPost.Item(number: -1, header: nil, payload: alert, kind: BufferKind.alert, alerts: []))
        }
        waiting.append(post)
    }

    // MARK: - Writing

    struct Plan {
        var entries: [LogEntry] = []
        var alerts = IntervalSet()
        var records: [Ledger.Record] = []
        var bytes = 4_096
    }

    /// As BufferWriter's transaction does it: a report is followed by the alerts that it raised, once.
    func plan(_ group: [PendingPost]) -> Plan {
        var plan = Plan()
        var next = node.disk.epochs[index].log.nextPosition
        func add(_ post: PendingPost, _ item: PendingPost.Item, _ payload: [UInt8], _ kind: UInt8, _ header: [UInt8]) {
            let entry = LogEntry(
                position: next, timeMicroseconds: post.receivedAt, kind: kind, header: header, payload: payload)
            let digest = kind == BufferKind.report ? item.header?.digest : nil
            plan.entries.append(entry)
            if kind != BufferKind.report { plan.alerts.insert(next) }
            plan.records.append(
                Ledger.Record(
                    digest: (digest ?? SHA256.hash(payload)).prefix64, report: Int32(item.number), kind: kind,
                    isPoison: item.isPoison))
            plan.bytes += SimulatedLog.bytes(of: entry)
            next += 1
        }
        for post in group {
            for item in post.reports {
                add(post, item, item.payload, item.kind, item.header?.encoded() ?? [])
                guard let header = item.header else { continue }
                let isRepeat = recent.isDuplicate(identity: header.identityHash, digest: header.digest.prefix64)
                if isRepeat || node.world.options.mutation == .alertNotStored { continue }
                for alert in item.alerts { add(post, item, alert, BufferKind.alert, []) }
            }
        }
        if node.world.options.mutation == .duplicateBeforeCommit { skipRepeats(&plan, group) }
        return plan
    }

    /// Only for the mutation: what is remembered is not written again.
    private func skipRepeats(_ plan: inout Plan, _ group: [PendingPost]) {
        let isKnown = group.flatMap(\.reports).allSatisfy { item in
            item.header.map { recent.isDuplicate(identity: $0.identityHash, digest: $0.digest.prefix64) } ?? false
        }
        if isKnown { plan = Plan() }
    }

    func remember(_ group: [PendingPost]) {
        for item in group.flatMap(\.reports) {
            guard let header = item.header else { continue }
            _ = recent.stored(identity: header.identityHash, digest: header.digest.prefix64)
        }
    }

    // MARK: - The forwarder's machine

    func withMachine<Result>(_ body: (inout ForwarderStateMachine) -> Result) -> Result { body(&machine) }

    func committed(through: Int64, alerts: IntervalSet) {
        machine.committed(epoch, through: through, alerts: alerts, at: node.monotonic)
        measure()
    }

    func epoch(_ name: String) -> ForwarderStateMachine.Epoch? { machine.epochs.first { $0.name == name } }
    func archived(_ name: String) -> IntervalSet { epoch(name)?.archived ?? IntervalSet() }
    func settled(_ name: String) -> IntervalSet? { epoch(name)?.settled }
    func missing(_ name: String) -> IntervalSet { epoch(name)?.missing ?? IntervalSet() }
    func waiting(_ name: String) -> Int { epoch(name)?.waiting ?? 0 }
    func released(_ name: String) { machine.epochReleased(name) }

    /// How full the buffer is, as the gauge measures it.
    func measure() {
        let disk = node.disk
        level = BufferAdmission(maxBytes: disk.maxBytes).level(used: disk.usedBytes, free: disk.freeBytes)
    }
}
