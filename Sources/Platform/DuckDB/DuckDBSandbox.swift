// A DuckDB process for somebody else's SQL: it reads the files named, writes the files named, and nothing else.
//
// Three walls: (1) DuckDB's own: `allowed_paths` (exact files, no folder, so nothing can be listed), limits, then
// `.safe_mode`, which locks the configuration and the shell's dot commands; the order matters, because safe mode
// first would lock the default limits. (2) The statement goes only inside `query($tag$…$tag$)`, which takes one
// SELECT and nothing else. (3) The kernel: address space, CPU time, file size and open files are limited, because
// `repeat('x', 2e9)` and `list_sum(range(3e9))` pass by DuckDB's memory limit; the process is killed at the time
// limit, because DuckDB has none.

package import System

package final class DuckDBSandbox {
    package struct Limits: Hashable, Sendable {
        package var memoryBytes: Int
        package var threads: Int
        package var timeoutSeconds: Double
        /// Of everything printed, and of each file written.
        package var resultBytes: Int
        /// What DuckDB needs beside its memory limit: code, thread stacks, the allocator's reserve.
        static let addressSpaceReserveBytes = 1 << 30

        package init(memoryBytes: Int, threads: Int, timeoutSeconds: Double, resultBytes: Int) {
            self.memoryBytes = memoryBytes
            self.threads = threads
            self.timeoutSeconds = timeoutSeconds
            self.resultBytes = resultBytes
        }
    }

    private let child: ChildProcess
    private let errorsPath: String
    private var errorBytesRead = 0
    private var pending: [UInt8] = []
    private let resultBytes: Int
    private let time: any TimeSource
    private var deadlineNanoseconds: UInt64
    private var isCancelled: () -> Bool

    /// Starts the process and its clock. `scratchDirectory` is this query's own. `setup` is our text: views and the
    /// like.
    package init(
        _ executable: DuckDBExecutable, limits: Limits, scratchDirectory: String, allowedPaths: [String], setup: String,
        time: any TimeSource, isCancelled: @escaping () -> Bool
    ) throws(DuckDBError) {
        errorsPath = "\(scratchDirectory)/errors"
        resultBytes = limits.resultBytes
        self.time = time
        self.isCancelled = isCancelled
        deadlineNanoseconds = time.monotonicNanoseconds() + UInt64(limits.timeoutSeconds * 1e9)
        var configuration = ChildProcess.Configuration(
            executable: executable.path, arguments: ["-batch", "-no-init", "-jsonlines"])
        configuration.environment = ["HOME": scratchDirectory, "LC_ALL": "C.UTF-8"]
        configuration.workingDirectory = scratchDirectory
        configuration.standardInput = .pipe
        configuration.standardOutput = .pipe
        configuration.standardError = .file(errorsPath)
        configuration.limits = ChildProcess.Limits(
            addressSpaceBytes: UInt64(limits.memoryBytes + Limits.addressSpaceReserveBytes),
            cpuSeconds: UInt64(limits.timeoutSeconds) * UInt64(limits.threads) + 2,
            fileSizeBytes: UInt64(limits.resultBytes), openFiles: 1024)
        configuration.niceness = 10
        configuration.ownProcessGroup = true
        do {
            child = try ChildProcess(configuration)
        } catch {
            throw DuckDBError(kind: .unavailable, message: "DuckDB cannot be started: \(error)")
        }
        let settings = """
            set allowed_paths=\(SQLText.list(allowedPaths));
            set memory_limit='\(limits.memoryBytes >> 20)MiB';
            set threads=\(limits.threads);
            set timezone='UTC';
            set temp_directory='';
            set max_temp_directory_size='0B';
            set autoload_known_extensions=false;
            set autoinstall_known_extensions=false;
            set enable_progress_bar=false;

            """
        _ = try ask(settings + setup + "\n.safe_mode\n")
    }

    /// For a process that was started ahead: the query's own clock starts now.
    package func begin(timeoutSeconds: Double, isCancelled: @escaping () -> Bool) {
        deadlineNanoseconds = time.monotonicNanoseconds() + UInt64(timeoutSeconds * 1e9)
        self.isCancelled = isCancelled
    }

    /// Runs statements and returns what they print. An error of any of them is thrown; the process lives on unless it
    /// was killed, so that the next question can be about that error.
    package func ask(_ script: String) throws(DuckDBError) -> [UInt8] {
        let mark = "@@\(UInt64.random(in: 0 ... .max))"
        try send(script + "\n.print \(mark)\n")
        let output = try receive(until: Array((mark + "\n").utf8))
        let errors = try newErrors()
        guard errors.isEmpty else { throw DuckDBError(kind: DuckDBError.classify(errors), message: errors) }
        return output
    }

    /// Kills the process. Called by whoever is done with it; the object's end does it too.
    package func end() {
        child.kill()
        _ = try? child.wait(timeoutSeconds: 10)
    }

    // MARK: - Inside

    private var secondsLeft: Double {
        let now = time.monotonicNanoseconds()
        return now >= deadlineNanoseconds ? 0 : Double(deadlineNanoseconds - now) / 1e9
    }

    private func send(_ text: String) throws(DuckDBError) {
        let sent: Bool
        do {
            sent = try child.writeInput(Array(text.utf8), timeoutSeconds: secondsLeft)
        } catch {
            throw DuckDBError(kind: .crashed, message: "\(error)")
        }
        guard sent else { throw try ending() }
    }

    private func receive(until mark: [UInt8]) throws(DuckDBError) -> [UInt8] {
        // Short waits, so that a client who has gone away is seen within 100 ms.
        let pollSeconds = 0.05
        while true {
            if pending.count >= mark.count && pending.suffix(mark.count).elementsEqual(mark) {
                let output = Array(pending.dropLast(mark.count))
                pending = []
                return output
            }
            if pending.count > resultBytes { throw killed(.tooMuchOutput, "the answer is too large") }
            if secondsLeft == 0 { throw killed(.timedOut, "the time limit is over") }
            if isCancelled() { throw killed(.cancelled, "cancelled") }
            let more: [UInt8]?
            do {
                more = try child.readOutput(maxBytes: 1 << 20, timeoutSeconds: min(pollSeconds, secondsLeft))
            } catch {
                throw DuckDBError(kind: .crashed, message: "\(error)")
            }
            guard let more else { throw try ending() }
            pending += more
        }
    }

    private func killed(_ kind: DuckDBError.Kind, _ message: String) -> DuckDBError {
        end()
        return DuckDBError(kind: kind, message: message)
    }

    /// Why the process is gone, or why it does not read any more.
    private func ending() throws(DuckDBError) -> DuckDBError {
        if secondsLeft == 0 { return killed(.timedOut, "the time limit is over") }
        let status = (try? child.wait(timeoutSeconds: 5)) ?? nil
        let errors = try newErrors()
        switch status {
        case .killed(let signal) where signal == Self.cpuLimitSignal:
            return DuckDBError(kind: .timedOut, message: "the CPU time limit is over")
        case .killed(let signal) where signal == Self.fileSizeSignal:
            return DuckDBError(kind: .tooMuchOutput, message: "the answer is too large")
        case .killed, nil:
            // With a limited address space an allocation that fails where DuckDB cannot handle it ends the process.
            end()
            return DuckDBError(kind: .memory, message: "the process ended abnormally, most likely for want of memory")
        case .exited:
            return DuckDBError(kind: errors.isEmpty ? .crashed : DuckDBError.classify(errors), message: errors)
        }
    }

    private static let cpuLimitSignal: Int32 = 24
    private static let fileSizeSignal: Int32 = 25

    private func newErrors() throws(DuckDBError) -> String {
        do {
            let all = try FileSystem.read(errorsPath)
            let new = all.dropFirst(errorBytesRead)
            errorBytesRead = all.count
            return String(decoding: new, as: UTF8.self).trimmed
        } catch {
            throw DuckDBError(kind: .storage, message: "\(error)")
        }
    }
}
