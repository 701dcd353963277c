// What became of a job's runs: the newest hundred of each job, and the newest instant that is settled. One small file
// for each job, written whole and renamed, so that a start knows what the last life did.

import FoundationEssentials
import Models
import System

struct JobRun: Codable, Hashable, Sendable {
    enum Outcome: String, Codable, CaseIterable, Hashable, Sendable {
        case running, succeeded, failed, missed
        /// The process ended meanwhile; the instant is run again.
        case interrupted
        /// The result of this instant was there already: the end of a run whose process was killed before it could say.
        case alreadyDone = "already_done"
    }

    /// Microseconds since 1970, as all times here.
    var scheduledAt: Int64
    var startedAt: Int64
    var finishedAt: Int64?
    var attempt: Int
    var isManual: Bool
    var outcome: Outcome
    var rows: Int?
    var bytes: Int?
    /// Delta version of the table, or the file's name.
    var version: Int64?
    var file: String?
    var code: String?
    /// For analysts, who may see values; never in the log (I9).
    var detail: String?
    /// Of outcome `missed`: how many instants.
    var count: Int?

    var durationSeconds: Double? { finishedAt.map { Double($0 - startedAt) / 1e6 } }
}

struct JobHistory: Codable, Hashable, Sendable {
    /// `JobScheduler`'s J2.
    var settled: Int64
    /// Oldest first.
    var runs: [JobRun] = []
    /// Since the file was made; a counter that a restart does not reset would be wrong for Prometheus, so metrics count
    /// by themselves.
    var lastSuccess: Int64?

    static let maxRuns = 100

    mutating func begin(_ run: JobRun) {
        runs.append(run)
        if runs.count > Self.maxRuns { runs.removeFirst(runs.count - Self.maxRuns) }
    }

    mutating func end(_ run: JobRun) {
        if let index = runs.lastIndex(where: { $0.startedAt == run.startedAt && $0.scheduledAt == run.scheduledAt }) {
            runs[index] = run
        }
        if run.outcome == .succeeded || run.outcome == .alreadyDone { lastSuccess = run.finishedAt }
    }

    /// Runs that an earlier life did not finish.
    mutating func closeInterrupted() {
        for index in runs.indices where runs[index].outcome == .running { runs[index].outcome = .interrupted }
    }
}

/// The files. One thread at a time.
struct JobHistoryStore {
    let directory: String

    func load(_ job: String) -> JobHistory? {
        let path = path(job)
        guard FileSystem.exists(path), let bytes = try? FileSystem.read(path) else { return nil }
        guard var history = try? JSONDecoder().decode(JobHistory.self, from: Data(bytes)) else { return nil }
        history.closeInterrupted()
        return history
    }

    func save(_ job: String, _ history: JobHistory) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        try FileSystem.writeAtomically(path(job), Array(try encoder.encode(history)))
    }

    private func path(_ job: String) -> String {
        precondition(DerivedTables.isName(job), "a job's name makes a file's name")
        return "\(directory)/\(job).json"
    }
}
