// What the jobs' addresses answer: `GET /v1/jobs`, `GET /v1/jobs/{name}`, `GET /v1/jobs/{name}/runs`,
// `POST /v1/jobs/{name}/run`; and the jobs' metrics.

import HTTPServer
import JSON
import Models
import System

extension JobService {
    private static let maxRuns = 1_000

    /// Every path that `answer` knows.
    static func owns(_ path: String) -> Bool { path == "/v1/jobs" || path.hasPrefix("/v1/jobs/") }

    /// POST where something is begun, GET elsewhere.
    static func methods(_ path: String) -> [String] {
        path.hasSuffix("/run") && path.split(separator: "/").count == 4 ? ["POST"] : ["GET", "HEAD"]
    }

    /// Beginning a run writes its history: that waits for the disk on a thread of its own.
    func handle(_ exchange: HTTPExchange) {
        guard exchange.method == "POST" else { return exchange.respond(answer(exchange)) }
        _ = WorkerThread(name: "job-request", stackBytes: 1 << 20) { [self] in exchange.respond(answer(exchange)) }
    }

    private func answer(_ exchange: HTTPExchange) -> HTTPResponse {
        do throws(Problem) {
            let parts = exchange.path.split(separator: "/", omittingEmptySubsequences: false).dropFirst(3).map(
                String.init)
            switch (parts.count, parts.last) {
            case (0, _): return CentralRoutes.json(list())
            case (1, _): return CentralRoutes.json(try show(parts[0]))
            case (2, "runs"): return CentralRoutes.json(try runs(parts[0], limit: exchange.queryItem("limit")))
            case (2, "run"):
                var response = CentralRoutes.json(try runNow(parts[0]))
                response.status = 202
                return response
            default:
                throw Problem(status: 404, code: "not_found", detail: "There is nothing at this address.")
            }
        } catch {
            return HTTPResponse(problem: error)
        }
    }

    func list() -> [UInt8] {
        let (state, now) = (state.withLock { JobView($0) }, now)
        var output = JSONWriter(reservedBytes: 4_096)
        output.object { output in
            output.key("jobs")
            output.array { output in
                for name in state.names { output.object { state.append(name, now, to: &$0) } }
            }
        }
        return output.bytes
    }

    func show(_ name: String) throws(Problem) -> [UInt8] {
        let (state, now) = (state.withLock { JobView($0) }, now)
        guard state.names.contains(name) else { throw Self.unknown }
        var output = JSONWriter(reservedBytes: 4_096)
        output.object { output in
            state.append(name, now, to: &output)
            output.member("text", state.book.text(name) ?? "")
        }
        return output.bytes
    }

    func runs(_ name: String, limit: String?) throws(Problem) -> [UInt8] {
        guard let limit = limit.map({ Int($0) }) ?? Self.maxRuns, (1...Self.maxRuns).contains(limit) else {
            throw Problem(
                status: 422, code: "invalid_field", detail: "limit is 1 to \(Self.maxRuns).", field: "limit")
        }
        let (isKnown, history) = state.withLock { state in
            (state.book.jobs[name] != nil || state.book.broken[name] != nil, state.histories[name])
        }
        guard isKnown else { throw Self.unknown }
        var output = JSONWriter(reservedBytes: 4_096)
        output.object { output in
            output.member("job", name)
            output.key("runs")
            output.array { output in
                for run in (history?.runs ?? []).reversed().prefix(limit) { output.object { run.append(to: &$0) } }
            }
        }
        return output.bytes
    }

    private static var unknown: Problem {
        Problem(status: 404, code: "job_unknown", detail: "There is no such job; GET /v1/jobs lists them.")
    }

    /// A table that replaces its rows, or a folder, gets a result as of now. A table that appends gets the newest
    /// scheduled instant's, unless it has it: rows of half a period would be counted twice.
    func runNow(_ name: String) throws(Problem) -> [UInt8] {
        let now = now
        let (job, isBroken) = state.withLock { ($0.book.jobs[name], $0.book.broken[name] != nil) }
        guard let job else {
            guard isBroken else { throw Self.unknown }
            throw Problem(status: 422, code: "job_broken", detail: "The job's file is wrong; GET /v1/jobs says how.")
        }
        var instant = now
        if case .table(_, append: true) = job.output { instant = job.schedule.latest(through: now) ?? now }
        let scheduledAt = instant
        let order = state.update { state in
            state.isStopping ? nil : state.scheduler.runNow(name, scheduledAt: scheduledAt)
        }
        guard let order else {
            throw Problem(status: 409, code: "job_running", detail: "The job is running; wait for its end.")
        }
        begin(order)
        var output = JSONWriter()
        output.object { output in
            output.member("job", name)
            output.member("scheduled_at", scheduledAt)
            output.member("state", "running")
        }
        return output.bytes
    }

    // MARK: Metrics

    func metrics() -> [UInt8] {
        let (state, now) = (state.withLock { JobView($0) }, now)
        var text = """
            # HELP columba_jobs Job files by state.
            # TYPE columba_jobs gauge
            columba_jobs{state="ok"} \(state.book.jobs.count)
            columba_jobs{state="broken"} \(state.book.broken.count)

            """
        func family(_ name: String, _ kind: String, _ help: String, _ lines: [String]) {
            guard !lines.isEmpty else { return }
            text += "# HELP \(name) \(help)\n# TYPE \(name) \(kind)\n" + lines.map { "\(name)\($0)\n" }.joined()
        }
        // Names are a-z, 0-9 and _: no label needs an escape.
        let jobs = state.book.jobs.keys.sorted()
        family(
            "columba_job_runs_total", "counter", "Ended runs by outcome, and missed instants.",
            jobs.flatMap { job in
                JobRun.Outcome.allCases.filter { $0 != .running }.map { outcome in
                    "{job=\"\(job)\",outcome=\"\(outcome.rawValue)\"} \(state.counters[job]?[outcome] ?? 0)"
                }
            })
        family(
            "columba_job_last_duration_seconds", "gauge", "How long the newest ended run took.",
            jobs.compactMap { job in
                state.histories[job]?.runs.last { $0.durationSeconds != nil && $0.outcome != .missed }
                    .flatMap { run in run.durationSeconds.map { "{job=\"\(job)\"} \($0)" } }
            })
        family(
            "columba_job_last_success_age_seconds", "gauge", "Since the end of the newest run that succeeded.",
            jobs.compactMap { job in
                state.histories[job]?.lastSuccess.map {
                    "{job=\"\(job)\"} \(Double(now.microseconds - $0) / 1e6)"
                }
            })
        family(
            "columba_job_running", "gauge", "1 while a run is under way.",
            jobs.map { "{job=\"\($0)\"} \(state.scheduler.isRunning($0) ? 1 : 0)" })
        return Array(text.utf8)
    }
}

/// The service's state at one moment.
private struct JobView {
    let book: JobBook
    let scheduler: JobScheduler
    let histories: [String: JobHistory]
    let counters: [String: [JobRun.Outcome: Int]]

    init(_ state: JobService.State) {
        (book, scheduler, histories, counters) = (state.book, state.scheduler, state.histories, state.counters)
    }

    var names: [String] { (Array(book.jobs.keys) + Array(book.broken.keys)).sorted() }

    func append(_ name: String, _ now: Timestamp, to output: inout JSONWriter) {
        output.member("name", name)
        guard let job = book.jobs[name] else {
            output.member("state", "broken")
            output.member("error", book.broken[name]?.description ?? "")
            return
        }
        output.member("state", state(name))
        output.member("title", job.title)
        output.member("schedule", job.schedule.text)
        output.object("output") { output in
            switch job.output {
            case .table(let table, let append):
                output.member("table", "\(DerivedTables.folder).\(table)")
                output.member("mode", append ? "append" : "replace")
            case .files(let folder, let format):
                output.member("folder", folder)
                output.member("format", format.rawValue)
            }
        }
        output.key("inputs")
        output.array { output in for input in job.inputs { output.string(input) } }
        output.member("retries", job.retries)
        output.member("timeout_s", job.timeoutSeconds)
        output.member("catch_up", job.catchUp.rawValue)
        output.member("next_run", scheduler.nextRun(name, now: now))
        output.member("last_success", histories[name]?.lastSuccess.map { Timestamp(microseconds: $0) })
        output.key("last_run")
        if let run = histories[name]?.runs.last { output.object { run.append(to: &$0) } } else { output.null() }
    }

    private func state(_ name: String) -> String {
        if scheduler.isRunning(name) { return "running" }
        return scheduler.isWaitingToRetry(name) ? "retrying" : "scheduled"
    }
}

extension JobRun {
    fileprivate func append(to output: inout JSONWriter) {
        output.member("scheduled_at", Timestamp(microseconds: scheduledAt))
        output.member("started_at", Timestamp(microseconds: startedAt))
        output.member("finished_at", finishedAt.map { Timestamp(microseconds: $0) })
        output.member("outcome", outcome.rawValue)
        output.member("attempt", attempt)
        output.member("manual", isManual)
        output.member("duration_s", durationSeconds)
        if let rows { output.member("rows", rows) }
        if let bytes { output.member("bytes", bytes) }
        if let version { output.member("version", version) }
        if let file { output.member("file", file) }
        if let code { output.member("code", code) }
        if let detail { output.member("detail", detail) }
        if let count { output.member("count", count) }
    }
}
