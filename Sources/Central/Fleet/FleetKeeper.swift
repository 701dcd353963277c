// Holds what central knows of its fleet, looks at it once a second, and keeps it on disk: ledgers, accounts, gaps,
// incidents. What it decides is in pure values (`RelayLedger`, `AccountBook`, `IncidentBook`, `RelayCompleteness`);
// this is their owner, with one thread and one file.

package import Log
package import Models
package import SyncProtocol
package import System
import Synchronization

package final class FleetKeeper: Sendable {
    private static let tickSeconds = 1.0
    /// Ledgers change with each batch; losing the last seconds of them costs nothing but the next report.
    private static let saveSeconds = 5.0

    struct State {
        var ledgers: [String: RelayLedger] = [:]
        var unsaved: Set<String> = []
        /// Relays of which other nodes of a cluster should hear more than their reports.
        var untold: Set<String> = []
        var incidents: IncidentBook
        var accounts = AccountBook()
        var mismatches: [AccountBook.Mismatch] = []
        var savedAt: UInt64 = 0
        var accountedAt: UInt64?
        var isStopped = false
        var wantsLook = false

        /// Looks that a commit or a report calls for come close together: a difference must outlast seconds.
        mutating func isAccountDue(at monotonic: UInt64) -> Bool {
            if let accountedAt, Double(monotonic - min(monotonic, accountedAt)) / 1e9 < tickSeconds { return false }
            accountedAt = monotonic
            return true
        }
    }

    private let fleet: Fleet
    private let store: FleetStore
    private let archive: @Sendable () -> ArchiveStatistics
    private let quarantined: @Sendable () -> [String: Int]
    private let time: any TimeSource
    private let log: Log
    private let onWord: @Sendable () -> Void
    let state: Monitor<State>
    /// Held over a write, by the fleet's own thread and the desk's only.
    private let saveTurn = Mutex(())

    /// Knows what is on disk; `look` begins to judge.
    /// - Parameters:
    ///   - archive: as of the last commit.
    ///   - quarantined: records that wait for a decision, by relay.
    ///   - onWord: a person closed an incident or retired a relay: other nodes of a cluster should hear of it.
    package init(
        fleet: Fleet, store: FleetStore, time: any TimeSource, log: Log,
        archive: @escaping @Sendable () -> ArchiveStatistics,
        quarantined: @escaping @Sendable () -> [String: Int] = { [:] }, onWord: @escaping @Sendable () -> Void = {}
    ) throws {
        self.fleet = fleet
        self.store = store
        self.archive = archive
        self.quarantined = quarantined
        self.time = time
        self.log = log
        self.onWord = onWord
        var initial = State(incidents: IncidentBook(try store.incidents()))
        initial.ledgers = Dictionary(try store.ledgers().map { ($0.relayID, $0) }) { $1 }
        state = Monitor(initial)
    }

    private var now: Timestamp { Timestamp(microseconds: time.wallMicroseconds()) }

    // MARK: From relays

    /// A relay's report; false where an older one came late.
    /// - Parameter heardAt: another node heard it then, some seconds ago. What is durable now may be more than the
    ///   relay knew when it reported, and its next report may be on its way already: only what it says itself counts.
    ///   Nil: this node hears it now.
    package func take(_ report: RelayReport, heardAt: Timestamp? = nil) -> Bool {
        let now = now
        let views = heardAt != nil ? nil : fleet.relays().first { $0.relayID == report.relayID }
        let isTaken = state.withLock { state in
            var ledger = state.ledgers[report.relayID] ?? RelayLedger(relayID: report.relayID)
            if heardAt != nil, let known = ledger.report, known.sentAt >= report.sentAt { return false }
            let memory = ledger.memory
            let events = ledger.reported(
                report,
                durable: { epoch in
                    views?.epochs.first { $0.epoch == epoch }?.received ?? IntervalSet()
                }, isSecondHand: heardAt != nil, at: heardAt ?? now)
            guard let events else { return false }
            for event in events { Self.note(event, of: &ledger, &state.incidents, at: now) }
            if ledger.memory != memory { state.untold.insert(report.relayID) }
            state.ledgers[report.relayID] = ledger
            state.unsaved.insert(report.relayID)
            return true
        }
        if isTaken { wake() }
        return isTaken
    }

    private static func note(
        _ event: RelayLedger.Event, of ledger: inout RelayLedger, _ incidents: inout IncidentBook, at now: Timestamp
    ) {
        switch event {
        case .rollback:
            happened(
                .rollback, &ledger, &incidents, detail: "its last report knows fewer records than it had sent before",
                at: now)
        case .cloned:
            happened(.clonedRelay, &ledger, &incidents, detail: "two processes report in turn", at: now)
        case .counters(let received, let accounted):
            incidents.goesOn(
                .accountingMismatch, ledger.relayID, count: abs(received - accounted),
                detail: "the relay's own counters: \(received) received or carried over, \(accounted) accounted for",
                at: now)
        case .rulesRefused(let version, _):
            // The reason is the relay's own text and stands in /v1/rules.
            incidents.goesOn(.rulesRefused, ledger.relayID, count: 1, detail: "version \(version)", at: now)
        case .rulesSettled: incidents.isOver(.rulesRefused, ledger.relayID, at: now)
        case .returned: break
        }
    }

    /// An event for a person to close.
    private static func happened(
        _ code: IncidentCode, _ ledger: inout RelayLedger, _ incidents: inout IncidentBook, count: Int = 1,
        level: Int? = nil, detail: String, at now: Timestamp
    ) {
        let total = incidents.happened(
            code, ledger.relayID, count: count, after: ledger.raised(code), level: level, detail: detail, at: now)
        ledger.raise(code, through: total)
    }

    // MARK: From the archiver's thread

    /// Something was committed, or a decision taken: look soon.
    package func wake() { state.update { $0.wantsLook = true } }

    // MARK: For any thread

    package var ledgers: [String: RelayLedger] { state.withLock { $0.ledgers } }
    package var incidents: [Incident] { state.withLock { $0.incidents.all } }
    package func openIncidents(_ code: IncidentCode) -> Int { state.withLock { $0.incidents.openCount(code) } }
    package var mismatches: [AccountBook.Mismatch] { state.withLock { $0.mismatches } }

    package func completeness(_ views: [RelayView], _ archive: ArchiveStatistics) -> FleetCompleteness {
        let now = now
        let facts = Self.facts(views, archive)
        let ledgers = ledgers
        let known = Set(ledgers.keys).union(facts.keys)
        return FleetCompleteness(
            known.sorted().map { relayID in
                var ledger = ledgers[relayID] ?? RelayLedger(relayID: relayID)
                // A life that began since the last look is one all the same.
                _ = ledger.observe(facts[relayID] ?? [], at: now)
                let contact = views.first { $0.relayID == relayID }?.lastContact?.microseconds
                ledger.lastContactMicroseconds = [ledger.lastContactMicroseconds, contact].compactMap { $0 }.max()
                return RelayCompleteness(ledger, facts[relayID] ?? [], at: now)
            })
    }

    /// False: no such relay.
    package func retire(_ relayID: String, by: String, note: String) throws -> Bool {
        let now = now
        let ledger = state.withLock { state -> RelayLedger? in
            state.ledgers[relayID]?.retire(by: by, note: note, at: now)
            state.untold.insert(relayID)
            return state.ledgers[relayID]
        }
        guard let ledger else { return false }
        try store.save([ledger], incidents: [:])
        log.warning("relay_retired", ["relay_id": .string(relayID)])
        onWord()
        return true
    }

    package func close(_ id: String, by: String, note: String?) throws -> Incident? {
        let now = now
        let closed = state.withLock { $0.incidents.close(id, by: by, note: note, at: now) }
        guard closed != nil else { return nil }
        try saveIncidents()
        onWord()
        return closed
    }

    // MARK: The thread

    package func start() -> WorkerThread { WorkerThread(name: "fleet", stackBytes: 4 << 20) { self.run() } }

    package func stop() { state.update { $0.isStopped = true } }

    private func run() {
        while true {
            let isStopped =
                state.wait(timeoutSeconds: Self.tickSeconds) { state -> Bool? in
                    if state.isStopped { return true }
                    defer { state.wantsLook = false }
                    return state.wantsLook ? false : nil
                } ?? false
            look()
            save(all: isStopped)
            if isStopped { return }
        }
    }

    /// One look at everything.
    package func look() {
        let now = now
        let archive = archive()
        let views = fleet.relays()
        let facts = Self.facts(views, archive)
        let accounts = Self.accounts(facts, archive, ledgers)
        let quarantined = quarantined()
        let monotonic = time.monotonicNanoseconds()
        let wanted = state.withLock { state -> [(String, String, IntervalSet)] in
            var wanted: [(String, String, IntervalSet)] = []
            for view in views {
                var ledger = state.ledgers[view.relayID] ?? RelayLedger(relayID: view.relayID)
                let known = facts[view.relayID] ?? []
                if ledger.observe(known, at: now) { state.unsaved.insert(view.relayID) }
                if let contact = view.lastContact?.microseconds, contact > ledger.lastContactMicroseconds ?? .min {
                    ledger.lastContactMicroseconds = contact
                    state.unsaved.insert(view.relayID)
                }
                wanted += known.map { (view.relayID, $0.epoch, ledger.wanted($0, at: now)) }
                if Self.judge(&ledger, known, archive, &state.incidents, at: now) {
                    state.unsaved.insert(view.relayID)
                }
                state.ledgers[view.relayID] = ledger
            }
            if state.isAccountDue(at: monotonic) {
                state.mismatches = state.accounts.look(
                    accounts, tableReports: archive.reports,
                    notedReports: archive.relays.reduce(0) { $0 + $1.reports })
            }
            Self.judge(state.mismatches, Array(state.ledgers.values), &state.incidents, at: now)
            for relayID in Set(state.ledgers.keys).union(quarantined.keys) {
                let count = quarantined[relayID] ?? 0
                state.incidents.goesOn(.quarantined, relayID, count: count, detail: "\(count) records", at: now)
            }
            return wanted
        }
        for (relayID, epoch, numbers) in wanted { fleet.want(numbers, relayID: relayID, epoch: epoch) }
        report()
    }

    /// True if more, or less, was raised than before.
    private static func judge(
        _ ledger: inout RelayLedger, _ facts: [LifeFacts], _ archive: ArchiveStatistics,
        _ incidents: inout IncidentBook, at now: Timestamp
    ) -> Bool {
        let relayID = ledger.relayID
        let raised = [ledger.conflictsRaised, ledger.recordConflictsRaised, ledger.lostRaised]
        let states = archive.relays.filter { $0.relayID == relayID }
        let recordConflicts = states.reduce(0) { $0 + $1.recordConflicts }
        let conflicts = max(0, states.reduce(0) { $0 + $1.conflicts } - recordConflicts)
        for (code, found) in [(IncidentCode.identityConflict, conflicts), (.recordConflict, recordConflicts)] {
            let count = found - ledger.raised(code)
            guard count > 0 else { continue }
            happened(code, &ledger, &incidents, count: count, detail: "\(found) in all", at: now)
        }
        judgeLost(&ledger, facts, &incidents, at: now)
        let overdue = ledger.isRetired ? 0 : facts.reduce(0) { $0 + ledger.overdue($1, at: now).count }
        incidents.goesOn(.gapOpen, relayID, count: overdue, detail: "\(overdue) records", at: now)
        return raised != [ledger.conflictsRaised, ledger.recordConflictsRaised, ledger.lostRaised]
    }

    /// A change in either direction counts when two looks saw it.
    private static func judgeLost(
        _ ledger: inout RelayLedger, _ facts: [LifeFacts], _ incidents: inout IncidentBook, at now: Timestamp
    ) {
        let found = RelayCompleteness(ledger, facts, at: now).lost
        let (least, most) = (min(found, ledger.lostSuspected), max(found, ledger.lostSuspected))
        ledger.lostSuspected = found
        if least > ledger.lostRaised {
            happened(
                .recordsLost, &ledger, &incidents, count: least - ledger.lostRaised, level: least,
                detail: "\(least) records in all", at: now)
            ledger.lostRaised = least
        } else if ledger.report != nil {
            // Without a report a node cannot know of losses that others have raised.
            ledger.lostRaised = min(ledger.lostRaised, most)
        }
    }

    private static func judge(
        _ mismatches: [AccountBook.Mismatch], _ ledgers: [RelayLedger], _ incidents: inout IncidentBook,
        at now: Timestamp
    ) {
        for ledger in ledgers where ledger.reportsNotAddingUp < AccountBook.reportsBeforeMismatch {
            let found = mismatches.filter { $0.relayID == ledger.relayID }
            incidents.goesOn(
                .accountingMismatch, ledger.relayID, count: found.count, detail: found.first?.detail ?? "", at: now)
        }
        let own = mismatches.filter { $0.relayID == nil }
        incidents.goesOn(.accountingMismatch, nil, count: own.count, detail: own.first?.detail ?? "", at: now)
    }

    /// Tells the log what opened and closed.
    private func report() {
        for change in state.withLock({ $0.incidents.takeChanges() }) {
            let incident = change.incident
            let values: KeyValuePairs<String, LogValue> = [
                "code": .string(incident.code.rawValue), "relay_id": .string(incident.relayID ?? "central"),
                "count": .int(incident.count), "detail": .string(incident.detail),
            ]
            switch change.kind {
            case .opened: log.error("incident_opened", values)
            case .closed: log.info("incident_closed", values)
            }
        }
    }

    private func save(all: Bool) {
        saveLogged { try saveIncidents() }
        let monotonic = time.monotonicNanoseconds()
        let ledgers = state.withLock { state -> [RelayLedger] in
            let isDue = Double(monotonic - min(monotonic, state.savedAt)) / 1e9 >= Self.saveSeconds
            guard all || isDue else { return [] }
            state.savedAt = monotonic
            defer { state.unsaved = [] }
            return state.unsaved.compactMap { state.ledgers[$0] }
        }
        saveLogged {
            do { try store.save(ledgers, incidents: [:]) } catch {
                state.withLock { $0.unsaved.formUnion(ledgers.map(\.relayID)) }
                throw error
            }
        }
    }

    /// With the ledgers that say what was raised already: after a crash the same conflict is not raised twice. One at a
    /// time, so that whoever closes an incident hears only when that is on disk.
    private func saveIncidents() throws {
        try saveTurn.withLock { _ in
            let (changed, ledgers) = state.withLock { state -> ([String: Incident?], [RelayLedger]) in
                let changed = state.incidents.takeUnsaved()
                guard !changed.isEmpty else { return ([:], []) }
                defer { state.unsaved = [] }
                return (changed, state.unsaved.compactMap { state.ledgers[$0] })
            }
            do { try store.save(ledgers, incidents: changed) } catch {
                state.withLock { state in
                    state.incidents.notSaved(changed.keys)
                    state.unsaved.formUnion(ledgers.map(\.relayID))
                }
                throw error
            }
        }
    }

    private func saveLogged(_ work: () throws -> Void) {
        do { try work() } catch { log.error("fleet_not_saved", ["error": .string("\(error)")]) }
    }
}
