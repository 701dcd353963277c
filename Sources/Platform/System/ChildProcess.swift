// Another program, run as a child: queries in a sandbox of resource limits, servers in tests and in the demo.
// A child has exactly three open files, default signals and the limits asked for; it never outlives its `ChildProcess`.

import CPosix
import Glibc
import Synchronization

/// How a child ended.
package enum ExitStatus: Hashable, Sendable, CustomStringConvertible {
    case exited(Int32)
    case killed(signal: Int32)

    package var isSuccess: Bool { self == .exited(0) }
    package var description: String {
        switch self {
        case .exited(let code): "exited with status \(code)"
        case .killed(let signal): "was killed by signal \(signal)"
        }
    }
}

package final class ChildProcess: Sendable {
    /// Where a standard stream of the child goes.
    package enum Stream: Hashable, Sendable {
        case null
        case inherit
        /// Read or written through this object.
        case pipe
        /// Read from its beginning (input), or created and appended to (output).
        case file(String)
    }

    /// Limits the kernel enforces on the child; nil leaves the parent's.
    package struct Limits: Hashable, Sendable {
        package var addressSpaceBytes: UInt64?
        package var cpuSeconds: UInt64?
        package var fileSizeBytes: UInt64?
        package var openFiles: UInt64?

        package init(
            addressSpaceBytes: UInt64? = nil, cpuSeconds: UInt64? = nil, fileSizeBytes: UInt64? = nil,
            openFiles: UInt64? = nil
        ) {
            self.addressSpaceBytes = addressSpaceBytes
            self.cpuSeconds = cpuSeconds
            self.fileSizeBytes = fileSizeBytes
            self.openFiles = openFiles
        }
    }

    package struct Configuration: Sendable {
        /// Path of the program; `PATH` is not searched.
        package var executable: String
        /// Without argument 0, which is the executable's path.
        package var arguments: [String]
        /// nil: the parent's.
        package var environment: [String: String]?
        package var workingDirectory: String?
        package var standardInput = Stream.null
        package var standardOutput = Stream.null
        package var standardError = Stream.inherit
        package var limits = Limits()
        package var niceness: Int32 = 0
        /// A terminal's Ctrl-C reaches only the parent.
        package var ownProcessGroup = false
        /// The kernel kills the child when the *thread* that started it ends: only for threads that live as long.
        package var diesWithStartingThread = false

        package init(executable: String, arguments: [String] = []) {
            self.executable = executable
            self.arguments = arguments
        }
    }

    enum StreamSlot { case input, output, error }

    /// The parent's ends of the pipes (-1: none or closed) and the status once reaped.
    struct State {
        var status: ExitStatus?
        var input: Int32
        var output: Int32
        var error: Int32

        subscript(slot: StreamSlot) -> Int32 {
            get {
                switch slot {
                case .input: input
                case .output: output
                case .error: error
                }
            }
            set {
                switch slot {
                case .input: input = newValue
                case .output: output = newValue
                case .error: error = newValue
                }
            }
        }
    }

    package let processID: Int32
    let executable: String
    let pidfd: Int32
    let state: Mutex<State>

    /// Starts the program. Throws if it cannot be started, with the reason (no such file, no such directory…).
    package init(_ configuration: Configuration) throws {
        executable = configuration.executable
        var child: [Int32] = []
        var own: [Int32] = []
        defer { for descriptor in child where descriptor > 2 { close(descriptor) } }
        do {
            for (index, stream) in [
                configuration.standardInput, configuration.standardOutput, configuration.standardError,
            ].enumerated() {
                let ends = try ChildProcess.open(stream, index)
                child.append(ends.child)
                own.append(ends.own)
            }
            let started = try ChildProcess.start(configuration, child)
            processID = started.process
            pidfd = started.pidfd
        } catch {
            for descriptor in own where descriptor >= 0 { close(descriptor) }
            throw error
        }
        state = Mutex(State(input: own[0], output: own[1], error: own[2]))
    }

    deinit {
        if state.withLock({ $0.status }) == nil {
            _ = columba_pidfd_signal(pidfd, SIGKILL)
            while waitpid(processID, nil, 0) < 0 && errno == EINTR {}
        }
        let last = state.withLock { $0 }
        for descriptor in [last.input, last.output, last.error, pidfd] where descriptor >= 0 { close(descriptor) }
    }

    /// Sends a signal; a child that has ended is left alone.
    package func kill(_ signal: Int32 = SIGKILL) {
        _ = columba_pidfd_signal(pidfd, signal)
    }

    /// Waits for the child's end; nil if it still runs when the time is over. No time: waits for ever.
    package func wait(timeoutSeconds: Double? = nil) throws -> ExitStatus? {
        let deadline = timeoutSeconds.map { MonotonicDeadline(secondsFromNow: $0) }
        while true {
            if let status = try reap() { return status }
            var watched = pollfd(fd: pidfd, events: Int16(POLLIN), revents: 0)
            let ready = poll(&watched, 1, deadline?.remainingMilliseconds ?? -1)
            if ready < 0 && errno != EINTR { throw failure("wait for", errno) }
            if ready == 0 { return try reap() }
        }
    }

    package var isRunning: Bool { (try? reap()) == .some(.none) }

    /// Takes the exit status without waiting.
    func reap() throws -> ExitStatus? {
        try state.withLock { state in
            if let status = state.status { return status }
            var word: Int32 = 0
            let result = waitpid(processID, &word, WNOHANG)
            if result == 0 || (result < 0 && errno == EINTR) { return nil }
            guard result == processID else { throw failure("wait for", errno) }
            let signal = word & 0x7f
            let status = signal == 0 ? ExitStatus.exited((word >> 8) & 0xff) : .killed(signal: signal)
            state.status = status
            return status
        }
    }

    func failure(_ operation: String, _ error: Int32) -> SystemError {
        SystemError(operation: "\(operation) process", path: executable, errno: error)
    }

    // MARK: - Starting

    private static func open(_ stream: Stream, _ index: Int) throws -> (child: Int32, own: Int32) {
        switch stream {
        case .null: return (-1, -1)
        case .inherit: return (Int32(index), -1)
        case .file(let path):
            let flags = index == 0 ? O_RDONLY : O_WRONLY | O_CREAT | O_APPEND
            let descriptor = columba_open(path, flags, 0o644)
            guard descriptor >= 0 else { throw SystemError(operation: "open", path: path, errno: errno) }
            return (descriptor, -1)
        case .pipe:
            var ends: [Int32] = [-1, -1]
            guard columba_pipe(&ends) == 0 else {
                throw SystemError(operation: "create a pipe", errno: errno)
            }
            let (child, own) = index == 0 ? (ends[0], ends[1]) : (ends[1], ends[0])
            _ = columba_set_nonblocking(own)
            return (child, own)
        }
    }

    private static func start(_ configuration: Configuration, _ descriptors: [Int32]) throws -> columba_spawn_result {
        let variables = configuration.environment ?? Environment.variables
        let result = withCStrings([configuration.executable] + configuration.arguments) { arguments in
            withCStrings(variables.map { "\($0.key)=\($0.value)" }) { environment in
                configuration.executable.withCString { executable in
                    withOptionalCString(configuration.workingDirectory) { directory in
                        var request = columba_spawn_request()
                        request.executable = executable
                        request.arguments = arguments
                        request.environment = environment
                        request.working_directory = directory
                        request.descriptors = (descriptors[0], descriptors[1], descriptors[2])
                        request.address_space_bytes = configuration.limits.addressSpaceBytes ?? .max
                        request.cpu_seconds = configuration.limits.cpuSeconds ?? .max
                        request.file_size_bytes = configuration.limits.fileSizeBytes ?? .max
                        request.open_files = configuration.limits.openFiles ?? .max
                        request.niceness = configuration.niceness
                        request.death_signal = configuration.diesWithStartingThread ? SIGKILL : 0
                        request.own_process_group = configuration.ownProcessGroup ? 1 : 0
                        return columba_spawn(&request)
                    }
                }
            }
        }
        guard result.step == Int32(COLUMBA_SPAWN_OK.rawValue) else {
            let inDirectory = result.step == Int32(COLUMBA_SPAWN_DIRECTORY.rawValue)
            throw SystemError(
                operation: inDirectory ? "enter the working directory" : "start process",
                path: inDirectory ? configuration.workingDirectory ?? "" : configuration.executable,
                errno: result.error)
        }
        return result
    }

    private static func withCStrings<Result>(
        _ strings: [String], _ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>?) -> Result
    ) -> Result {
        var copies: [UnsafeMutablePointer<CChar>?] = strings.map { strdup($0) }
        copies.append(nil)
        defer { for copy in copies { free(copy) } }
        return copies.withUnsafeBufferPointer { body($0.baseAddress) }
    }

    private static func withOptionalCString<Result>(
        _ string: String?, _ body: (UnsafePointer<CChar>?) -> Result
    ) -> Result {
        guard let string else { return body(nil) }
        return string.withCString { body($0) }
    }
}

/// A point in time to give up at, for calls that take a rest of milliseconds.
struct MonotonicDeadline {
    private let nanoseconds: UInt64

    init(secondsFromNow seconds: Double) {
        let wait = UInt64(min(max(seconds, 0), 1e9) * 1e9)
        nanoseconds = SystemTime().monotonicNanoseconds() + wait
    }

    /// Rounded up, so that a poll does not spin just before the deadline; 0 when it has passed.
    var remainingMilliseconds: Int32 {
        let now = SystemTime().monotonicNanoseconds()
        guard now < nanoseconds else { return 0 }
        return Int32(min((nanoseconds - now + 999_999) / 1_000_000, 1_000_000_000))
    }

    var hasPassed: Bool { remainingMilliseconds == 0 }
}
