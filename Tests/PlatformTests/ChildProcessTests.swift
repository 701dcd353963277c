// Child processes: what they are given, what they are kept from, and that they end when they should.

import Glibc
import System
import Testing
import TestSupport

@Suite struct ChildProcesses {
    private func shell(
        _ script: String, _ change: (inout ChildProcess.Configuration) -> Void = { _ in }
    ) throws -> ChildProcess {
        var configuration = ChildProcess.Configuration(executable: "/bin/sh", arguments: ["-c", script])
        configuration.standardInput = .pipe
        configuration.standardOutput = .pipe
        configuration.standardError = .pipe
        change(&configuration)
        return try ChildProcess(configuration)
    }

    private func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

    @Test("a conversation gives input, takes both outputs and the exit status")
    func conversation() throws {
        let child = try shell("cat; echo oops >&2; exit 3")
        let result = try child.converse(input: Array("hello".utf8), timeoutSeconds: 60, maxOutputBytes: 100)
        #expect(result.ending == .exited && result.status == .exited(3))
        #expect(text(result.output) == "hello" && text(result.error) == "oops\n")
    }

    @Test("megabytes go through both pipes at once without a deadlock")
    func largeConversation() throws {
        let input = (0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        let result = try shell("cat").converse(input: input, timeoutSeconds: 60, maxOutputBytes: input.count)
        #expect(result.status.isSuccess && result.output == input)
    }

    @Test("a child that takes too long is killed at the time limit")
    func timeLimit() throws {
        let started = SystemTime().monotonicNanoseconds()
        let result = try shell("exec sleep 60").converse(timeoutSeconds: 0.2, maxOutputBytes: 10)
        #expect(result.ending == .timedOut && result.status == .killed(signal: SIGKILL))
        #expect(Waiting.isWithin(5, since: started))
    }

    @Test("a child that writes without end is killed at the output limit; what came first is kept")
    func outputLimit() throws {
        let result = try shell("exec yes").converse(timeoutSeconds: 60, maxOutputBytes: 1_000)
        #expect(result.ending == .tooMuchOutput && result.output.count == 1_000)
        let exact = try shell("printf 12345").converse(timeoutSeconds: 60, maxOutputBytes: 5)
        #expect(exact.ending == .exited && exact.output.count == 5)
    }

    @Test("a child nobody waits for any more is killed")
    func cancelled() throws {
        let result = try shell("exec sleep 60").converse(timeoutSeconds: 30, maxOutputBytes: 10, isCancelled: { true })
        #expect(result.ending == .cancelled && result.status == .killed(signal: SIGKILL))
    }

    @Test("a grandchild that keeps the pipe open does not hold up the end")
    func grandchild() throws {
        let started = SystemTime().monotonicNanoseconds()
        let result = try shell("sleep 20 & echo done").converse(timeoutSeconds: 15, maxOutputBytes: 100)
        #expect(result.ending == .exited && text(result.output) == "done\n")
        #expect(Waiting.isWithin(2, since: started))
    }

    @Test("a child has three open files, no blocked signal and default handlers")
    func cleanState() throws {
        var set = sigset_t()
        sigemptyset(&set)
        sigaddset(&set, SIGTERM)
        sigaddset(&set, SIGUSR1)
        pthread_sigmask(SIG_BLOCK, &set, nil)
        defer { pthread_sigmask(SIG_UNBLOCK, &set, nil) }
        let leak = open("/dev/null", O_RDONLY)
        defer { close(leak) }
        let files = try shell("ls /proc/self/fd | grep -v '^[012]$' | wc -l; grep -E 'SigBlk|SigIgn' /proc/self/status")
            .converse(timeoutSeconds: 10, maxOutputBytes: 1_000)
        let lines = text(files.output).split(separator: "\n")
        // `ls` itself holds the directory it lists.
        #expect(lines.first == "1")
        #expect(lines.dropFirst().allSatisfy { $0.hasSuffix("0000000000000000") }, "\(lines)")
    }

    @Test("limits, niceness, working directory and environment reach the child")
    func settings() throws {
        let limits = "ulimit -v; ulimit -t; ulimit -f; ulimit -n"
        let child = try shell("\(limits); nice; pwd; echo $GREETING; echo ${HOME:-none}") {
            $0.limits = ChildProcess.Limits(
                addressSpaceBytes: 512 << 20, cpuSeconds: 7, fileSizeBytes: 1 << 20, openFiles: 50)
            $0.niceness = 5
            $0.workingDirectory = "/usr"
            $0.environment = ["GREETING": "hello there", "PATH": "/usr/bin:/bin"]
        }
        let result = try child.converse(timeoutSeconds: 10, maxOutputBytes: 1_000)
        let nice = getpriority(Int32(PRIO_PROCESS.rawValue), 0)
        let expected = ["524288", "7", "2048", "50", "\(min(nice + 5, 19))", "/usr", "hello there", "none"]
        #expect(text(result.output).split(separator: "\n").map(String.init) == expected, "\(text(result.error))")
    }

    @Test("a program over its processor time is killed by the kernel")
    func processorLimit() throws {
        let child = try shell("while :; do :; done") { $0.limits.cpuSeconds = 1 }
        let result = try child.converse(timeoutSeconds: 30, maxOutputBytes: 10)
        #expect(result.ending == .exited)
        #expect(result.status == .killed(signal: SIGKILL) || result.status == .killed(signal: SIGXCPU))
    }

    @Test("a program that does not exist, or a directory that does not, is an error that names it")
    func cannotStart() throws {
        #expect {
            try ChildProcess(ChildProcess.Configuration(executable: "/no/such/program"))
        } throws: { error in
            let error = error as? SystemError
            return error?.errno == ENOENT && error?.path == "/no/such/program"
        }
        var configuration = ChildProcess.Configuration(executable: "/bin/true")
        configuration.workingDirectory = "/no/such/directory"
        #expect {
            try ChildProcess(configuration)
        } throws: { ($0 as? SystemError)?.path == "/no/such/directory" }
    }

    @Test("a started server is watched, signalled and waited for; its messages go to a file")
    func server() throws {
        let directory = try FileSystem.makeTemporaryDirectory(prefix: "columba-child")
        defer { try? FileSystem.removeTree(directory) }
        let child = try shell("echo ready >&2; exec sleep 60") {
            $0.standardError = .file(directory + "/log")
            $0.standardOutput = .null
        }
        #expect(child.isRunning && child.processID > 1)
        #expect(try child.wait(timeoutSeconds: 0.05) == nil)
        while FileSystem.fileSize(directory + "/log") != 6 { usleep(1_000) }
        child.kill(SIGTERM)
        #expect(try child.wait(timeoutSeconds: 60) == .killed(signal: SIGTERM))
        #expect(try child.wait() == .killed(signal: SIGTERM), "the status can be asked for again")
        #expect(!child.isRunning)
        child.kill()
    }

    @Test("a child does not outlive the object that stands for it")
    func letGo() throws {
        let processID: Int32
        do {
            let child = try shell("exec sleep 60")
            processID = child.processID
            #expect(Glibc.kill(processID, 0) == 0)
        }
        #expect(Glibc.kill(processID, 0) == -1 && errno == ESRCH)
    }

    @Test("lines go back and forth with a warm child")
    func dialogue() throws {
        let child = try shell("while read line; do echo \"got $line\"; done")
        for number in 0..<5 {
            #expect(try child.writeInput(Array("\(number)\n".utf8), timeoutSeconds: 60))
            let answer = try child.readOutput(timeoutSeconds: 60)
            #expect(answer.map { text($0) } == "got \(number)\n")
        }
        #expect(try child.readOutput(timeoutSeconds: 0.05) == [])
        child.closeInput()
        #expect(try child.readOutput(timeoutSeconds: 60) == nil)
        #expect(try child.wait(timeoutSeconds: 60) == .exited(0))
    }

    @Test("many children are started from many threads at once, none inherits another's pipe")
    func concurrentStarts() throws {
        let threads = (0..<4).map { thread in
            WorkerThread(name: "test-spawn") {
                for round in 0..<15 {
                    // Each ends only when its input ends: an inherited copy of the pipe would keep it open.
                    let child = try? ChildProcesses().shell("cat")
                    let word = Array("\(thread).\(round)".utf8)
                    let result = try? child?.converse(input: word, timeoutSeconds: 60, maxOutputBytes: 100)
                    #expect(result?.output == word && result?.ending == .exited)
                }
            }
        }
        for thread in threads { thread.join() }
    }
}
