// Runs the scheduled jobs. One thread looks at the files and the clock every second and asks `JobScheduler` what is
// due; each run has a thread of its own, for it waits on DuckDB and the disk.
//
//   files ─▶ JobBook ─┐
//   clock ────────────┼─▶ JobScheduler ─▶ JobExecution ─▶ <lake>/derived/… or the exports' folder
//   history ──────────┘                        │
//            ▲─────────────────────────────────┘
//
// Exactly once for each instant does not rest on the history (it may be lost): the commit itself says which instants
// are in the table (`DerivedWriter`), a file's name says it for exports.

import Log
import Models
import System

package final class JobService: Sendable {
    package struct Configuration: Sendable {
        /// `*.sql`.
        package var directory: String
        /// Histories.
        package var stateDirectory: String
        package var maxConcurrent = 2
        package var lookEverySeconds = 2.0

        package init(directory: String, stateDirectory: String) {
            self.directory = directory
            self.stateDirectory = stateDirectory
        }
    }

    struct State {
        var book = JobBook()
        var scheduler = JobScheduler()
        var histories: [String: JobHistory] = [:]
        var counters: [String: [JobRun.Outcome: Int]] = [:]
        var threads: [WorkerThread] = []
        var isStopping = false
        /// Runs whose threads have not come to their very end.
        var active = 0
        /// A run has ended: what waited for it, or for a free place, may begin.
        var hasNews = false
        var lookedAt: UInt64?
    }

    let configuration: Configuration
    let execution: JobExecution
    let time: any TimeSource
    let state = Monitor(State())
    private let store: JobHistoryStore
    private let isWanted: @Sendable () -> Bool
    private let log: Log
    private static let secondsPerLook = 1.0

    /// - Parameter isWanted: whether this is the node of a cluster that begins what is due. Were two of them to think
    ///   so,
    ///   the commit would still know each instant once.
    init(
        _ configuration: Configuration, execution: JobExecution, time: any TimeSource, log: Log,
        isWanted: @escaping @Sendable () -> Bool = { true }
    ) throws {
        self.configuration = configuration
        self.isWanted = isWanted
        self.execution = execution
        self.time = time
        self.log = log
        store = JobHistoryStore(directory: configuration.stateDirectory)
        try FileSystem.makeDirectories(configuration.stateDirectory)
        // Whatever an earlier life was computing.
        try FileSystem.removeTree(execution.scratchDirectory)
        try FileSystem.makeDirectories(execution.scratchDirectory)
    }

    var now: Timestamp { Timestamp(microseconds: time.wallMicroseconds()) }
    private var monotonic: MonotonicInstant { MonotonicInstant(nanoseconds: time.monotonicNanoseconds()) }

    /// The thread's loop; ends after `stop`.
    package func run() {
        while !state.withLock({ $0.isStopping }) {
            step()
            _ = state.wait(timeoutSeconds: Self.secondsPerLook) { state in
                defer { state.hasNews = false }
                return state.isStopping || state.hasNews ? true : nil
            }
        }
    }

    /// No new runs; those under way are killed (their instants run again after the next start).
    package func stop() {
        let threads = state.update { state in
            state.isStopping = true
            return state.threads
        }
        for thread in threads { thread.join() }
    }

    /// Looks at files and clock once, and begins what is due.
    func step() {
        lookAtFiles()
        guard isWanted() else { return }
        let (now, monotonic) = (now, monotonic)
        let events = state.withLock { state -> [JobScheduler.Event] in
            guard !state.isStopping else { return [] }
            let slots = configuration.maxConcurrent - state.scheduler.runningCount
            return state.scheduler.tick(now: now, monotonic: monotonic, slots: max(0, slots))
        }
        for event in events { take(event) }
    }

    private func lookAtFiles() {
        let nanoseconds = time.monotonicNanoseconds()
        let (old, isDue) = state.withLock { state -> (JobBook, Bool) in
            let isDue = state.lookedAt.map { Double(nanoseconds - $0) >= configuration.lookEverySeconds * 1e9 } ?? true
            if isDue { state.lookedAt = nanoseconds }
            return (state.book, isDue)
        }
        guard isDue else { return }
        var book = old
        guard book.look(at: configuration.directory) else { return }
        for (name, error) in book.broken where old.broken[name] != error {
            log.error("job_file_broken", ["job": .string(name), "problem": .string(error.description)])
        }
        let known = state.withLock { $0.histories }
        var loaded: [String: JobHistory] = [:]
        for name in book.jobs.keys where known[name] == nil {
            loaded[name] = store.load(name) ?? JobHistory(settled: now.microseconds)
        }
        for (name, history) in loaded { save(name, history) }
        let read = (book, loaded)
        state.update { state in
            state.book = read.0
            for (name, history) in read.1 { state.histories[name] = history }
            let jobs = read.0.jobs.values.map { job in
                (job, state.histories[job.name].map { Timestamp(microseconds: $0.settled) })
            }
            state.scheduler.set(jobs, now: now)
        }
        log.info("jobs_read", ["jobs": .int(book.jobs.count), "broken": .int(book.broken.count)])
    }

    private func take(_ event: JobScheduler.Event) {
        switch event {
        case .run(let order): begin(order)
        case .missed(let job, let count, let through): missed(job, count, through)
        case .clockWentBack(let job, let settled):
            log.warning(
                "job_clock_went_back", ["job": .string(job), "newest_run": .string(settled.rfc3339)])
            settle(job)
        }
    }

    private func missed(_ job: String, _ count: Int, _ through: Timestamp) {
        log.warning(
            "job_instants_missed", ["job": .string(job), "count": .int(count), "through": .string(through.rfc3339)])
        var run = JobRun(
            scheduledAt: through.microseconds, startedAt: now.microseconds, attempt: 0, isManual: false,
            outcome: .missed)
        run.finishedAt = run.startedAt
        run.count = count
        let missed = run
        state.update { state in
            state.histories[job]?.begin(missed)
            state.counters[job, default: [:]][.missed, default: 0] += count
        }
        settle(job)
    }

    /// Writes the history down with what the scheduler holds for settled.
    private func settle(_ job: String) {
        let history = state.update { state -> JobHistory? in
            guard let settled = state.scheduler.settled(job) else { return state.histories[job] }
            state.histories[job]?.settled = settled.microseconds
            return state.histories[job]
        }
        if let history { save(job, history) }
    }

    private func save(_ job: String, _ history: JobHistory) {
        do {
            try store.save(job, history)
        } catch {
            // The run goes on: what is done is asked of the table, not of the history.
            log.error("job_history_not_saved", ["job": .string(job), "problem": .string("\(error)")])
        }
    }

    // MARK: A run

    func begin(_ order: JobScheduler.Order) {
        guard let job = state.withLock({ $0.book.jobs[order.job] }) else { return }
        if order.missed > 0 { missed(order.job, order.missed, order.scheduledAt) }
        let run = JobRun(
            scheduledAt: order.scheduledAt.microseconds, startedAt: now.microseconds, attempt: order.attempt,
            isManual: order.isManual, outcome: .running)
        let history = state.update { state -> JobHistory? in
            state.active += 1
            state.histories[order.job]?.begin(run)
            return state.histories[order.job]
        }
        if let history { save(order.job, history) }
        let thread = WorkerThread(name: "job", stackBytes: 2 << 20) { [self] in perform(job, order, run) }
        state.withLock { state in
            state.threads.append(thread)
            // Ended threads need no join; a few are kept for `stop`.
            if state.threads.count > 64 { state.threads.removeFirst(32) }
        }
    }

    private func perform(_ job: JobDefinition, _ order: JobScheduler.Order, _ begun: JobRun) {
        var run = begun
        var outcome = JobScheduler.Outcome.succeeded
        let started = monotonic
        do throws(JobExecution.Failure) {
            let done = try execution.run(job, instant: order.scheduledAt) { [self] in
                state.withLock { $0.isStopping }
            }
            (run.outcome, run.rows, run.bytes) = (done.outcome, done.rows, done.bytes)
            (run.version, run.file) = (done.version, done.file)
        } catch {
            run.outcome = error.code == "job_stopped" ? .interrupted : .failed
            (run.code, run.detail) = (error.code, error.detail)
            outcome = error.isFinal ? .failedForGood : .failed
        }
        // Not by the wall clock, which may have been set meanwhile.
        run.finishedAt = run.startedAt + Int64(monotonic.seconds(since: started) * 1e6)
        finish(order, run, outcome)
        if case .table(let name, append: _) = job.output, run.outcome == .succeeded {
            do { try execution.writer.tables.tidy(name, now: now) } catch {
                log.warning("job_table_not_tidied", ["job": .string(job.name), "problem": .string("\(error)")])
            }
        }
    }

    private func finish(_ order: JobScheduler.Order, _ run: JobRun, _ outcome: JobScheduler.Outcome) {
        let monotonic = monotonic
        let retry = state.update { state -> Double? in
            state.counters[order.job, default: [:]][run.outcome, default: 0] += 1
            state.histories[order.job]?.end(run)
            // Stopped, not failed: nothing is settled, and the next life begins it again.
            guard run.outcome != .interrupted else { return nil }
            return state.scheduler.finished(order, outcome, monotonic: monotonic)
        }
        settle(order.job)
        tell(order, run, retryIn: retry)
        state.update { state in
            state.active -= 1
            state.hasNews = true
        }
    }

    /// The detail of a failure may quote values (I9): its code alone is told.
    private func tell(_ order: JobScheduler.Order, _ run: JobRun, retryIn seconds: Double?) {
        let (job, at) = (LogValue.string(order.job), LogValue.string(order.scheduledAt.rfc3339))
        guard run.outcome == .failed else {
            return log.info(
                "job_\(run.outcome.rawValue)",
                [
                    "job": job, "scheduled_at": at, "attempt": .int(order.attempt), "rows": .int(run.rows ?? 0),
                    "seconds": .double(run.durationSeconds ?? 0),
                ])
        }
        log.error(
            "job_failed",
            [
                "job": job, "scheduled_at": at, "attempt": .int(order.attempt), "code": .string(run.code ?? ""),
                "retry_in_s": .string(seconds.map { "\(Int($0))" } ?? "never"),
            ])
    }

    /// Runs under way, to the very end of their threads' work. For tests that wait.
    var activeRuns: Int { state.withLock { $0.active } }
}
