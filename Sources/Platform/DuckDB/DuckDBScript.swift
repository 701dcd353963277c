// Our own scripts: the archiver's conversions and look-ups. Trusted text, so no sandbox; memory and threads are
// bounded.

import System

package struct DuckDBRunner: Sendable {
    package struct Configuration: Sendable {
        package var executable: DuckDBExecutable
        /// For spilling sorts; emptied by its owner.
        package var temporaryDirectory: String
        package var memoryBytes = 1 << 30
        package var threads = 2
        package var timeoutSeconds = 900.0
        package var niceness: Int32 = 5
        /// DuckDB ends with the thread that calls `run`, even if this process is killed.
        package var diesWithThread = false

        package init(executable: DuckDBExecutable, temporaryDirectory: String) {
            self.executable = executable
            self.temporaryDirectory = temporaryDirectory
        }
    }

    package let configuration: Configuration
    /// Answers of our own scripts are small or paged.
    private static let maxOutputBytes = 1 << 30

    package init(_ configuration: Configuration) { self.configuration = configuration }

    /// Runs the statements in a new process and returns what they print, one JSON object a line. Stops at the first
    /// error.
    package func run(
        _ script: String, isCancelled: () -> Bool = { false }
    ) throws(DuckDBError) -> [UInt8] {
        var child = ChildProcess.Configuration(
            executable: configuration.executable.path, arguments: ["-batch", "-no-init", "-bail", "-jsonlines"])
        child.environment = ["HOME": configuration.temporaryDirectory, "LC_ALL": "C.UTF-8"]
        child.standardInput = .pipe
        child.standardOutput = .pipe
        child.standardError = .pipe
        child.niceness = configuration.niceness
        child.diesWithStartingThread = configuration.diesWithThread
        let conversation: ChildProcess.Conversation
        do {
            conversation = try ChildProcess(child).converse(
                input: Array((settings + script).utf8), timeoutSeconds: configuration.timeoutSeconds,
                maxOutputBytes: Self.maxOutputBytes, isCancelled: isCancelled)
        } catch {
            throw DuckDBError(kind: .unavailable, message: "DuckDB cannot be run: \(error)")
        }
        try Self.check(conversation)
        return conversation.output
    }

    private var settings: String {
        """
        set threads=\(configuration.threads);
        set memory_limit='\(configuration.memoryBytes >> 20)MiB';
        set temp_directory=\(SQLText.literal(configuration.temporaryDirectory));
        set timezone='UTC';
        set autoload_known_extensions=false;
        set autoinstall_known_extensions=false;
        set enable_progress_bar=false;

        """
    }

    static func check(_ conversation: ChildProcess.Conversation) throws(DuckDBError) {
        let message = String(decoding: conversation.error, as: UTF8.self).trimmed
        switch conversation.ending {
        case .timedOut: throw DuckDBError(kind: .timedOut, message: "DuckDB did not end in time")
        case .cancelled: throw DuckDBError(kind: .cancelled, message: "cancelled")
        case .tooMuchOutput: throw DuckDBError(kind: .tooMuchOutput, message: "DuckDB wrote too much")
        case .exited: break
        }
        guard message.isEmpty && conversation.status.isSuccess else {
            if case .killed(let signal) = conversation.status {
                throw DuckDBError(kind: .crashed, message: "DuckDB was killed by signal \(signal)")
            }
            throw DuckDBError(kind: DuckDBError.classify(message), message: message)
        }
    }
}

extension String {
    /// Without white space at both ends.
    var trimmed: String {
        var view = self[...]
        while let last = view.last, last.isWhitespace { view.removeLast() }
        while let first = view.first, first.isWhitespace { view.removeFirst() }
        return String(view)
    }
}
