// Files, locks, clocks, threads and signals.

import Glibc
import Synchronization
import System
import Testing

@Suite struct FilesAndDirectories {
    private func withDirectory(_ body: (String) throws -> Void) throws {
        let directory = try FileSystem.makeTemporaryDirectory(prefix: "columba-system")
        defer { try? FileSystem.removeTree(directory) }
        try body(directory)
    }

    @Test("a file is replaced as a whole and leaves no temporary file behind")
    func writeAtomically() throws {
        try withDirectory { directory throws in
            let path = directory + "/value"
            try FileSystem.writeAtomically(path, [1, 2, 3])
            try FileSystem.writeAtomically(path, [])
            #expect(try FileSystem.read(path).isEmpty)
            let large = [UInt8](repeating: 7, count: 3 << 20)
            try FileSystem.writeAtomically(path, large)
            #expect(try FileSystem.read(path) == large)
            #expect(FileSystem.fileSize(path) == large.count)
            #expect(try FileSystem.list(directory) == ["value"])
        }
    }

    @Test("of many threads that create a file exclusively exactly one does, and its bytes stay")
    func createExclusively() throws {
        try withDirectory { directory throws in
            let winners = Mutex<[UInt8]>([])
            let threads = (0..<8).map { number in
                WorkerThread(name: "test-create") {
                    let bytes = [UInt8](repeating: UInt8(number), count: 10_000)
                    if (try? FileSystem.createExclusively(directory + "/one", bytes)) == true {
                        winners.withLock { $0.append(UInt8(number)) }
                    }
                }
            }
            for thread in threads { thread.join() }
            let winner = winners.withLock { $0 }
            #expect(winner.count == 1)
            #expect(try FileSystem.read(directory + "/one") == [UInt8](repeating: winner[0], count: 10_000))
            #expect(try FileSystem.list(directory) == ["one"])
        }
    }

    @Test("directories are made with their parents and removed with all they hold, links not followed")
    func trees() throws {
        try withDirectory { directory throws in
            try FileSystem.makeDirectories(directory + "/a/b/c")
            try FileSystem.makeDirectories(directory + "/a/b/c")
            try FileSystem.writeAtomically(directory + "/a/b/c/file", [1])
            try FileSystem.writeAtomically(directory + "/kept", [1])
            #expect(symlink(directory, directory + "/a/link") == 0)
            try FileSystem.removeTree(directory + "/a")
            #expect(try FileSystem.list(directory) == ["kept"])
            try FileSystem.removeTree(directory + "/a")
            #expect(throws: SystemError.self) { try FileSystem.makeDirectories(directory + "/kept") }
        }
    }

    @Test("an error says what was tried, where, why and what to do")
    func errors() throws {
        do {
            _ = try FileSystem.read("/no/such/file")
            Issue.record("a missing file was read")
        } catch let error as SystemError {
            #expect(error.errno == ENOENT)
            let reason = "No such file or directory (errno 2)"
            #expect(error.description == "cannot open /no/such/file: \(reason) (check that the path exists)")
        }
        #expect(SystemError(operation: "write", path: "/x", errno: ENOSPC).isFull)
    }

    @Test("files of the kernel that claim to be empty are read to their end")
    func kernelFiles() throws {
        #expect(try FileSystem.read("/proc/self/status").count > 500)
        #expect(try FileSystem.freeBytes(at: "/") > 0)
    }

    @Test("a directory has one holder; the next one is told who it is")
    func directoryLock() throws {
        try withDirectory { directory throws in
            var first: DirectoryLock? = try DirectoryLock(directory)
            #expect {
                _ = try DirectoryLock(directory)
            } throws: { "\($0)".contains("process \(Environment.processID) uses this directory already") }
            withExtendedLifetime(first) {}
            first = nil
            _ = try DirectoryLock(directory)
        }
    }

    @Test("a killed holder leaves no lock behind")
    func lockOfTheDead() throws {
        try withDirectory { directory throws in
            var configuration = ChildProcess.Configuration(
                executable: "/bin/sh", arguments: ["-c", "exec 9>lock; flock 9; echo held; exec sleep 60"])
            configuration.workingDirectory = directory
            configuration.standardOutput = .pipe
            let child = try ChildProcess(configuration)
            #expect(try child.readOutput(timeoutSeconds: 60)?.count == 5)
            #expect(throws: SystemError.self) { _ = try DirectoryLock(directory) }
            child.kill()
            #expect(try child.wait(timeoutSeconds: 60) == .killed(signal: SIGKILL))
            _ = try DirectoryLock(directory)
        }
    }
}

@Suite struct TimeAndThreads {
    @Test("the machine's clocks run; a manual clock stands still until it is moved")
    func clocks() {
        let clock = SystemTime()
        let before = clock.monotonicNanoseconds()
        #expect(clock.monotonicNanoseconds() >= before)
        #expect(clock.wallMicroseconds() > 1_700_000_000_000_000)
        let manual = ManualTime(wallMicroseconds: 5_000_000, monotonicNanoseconds: 100)
        manual.advance(seconds: 1.5)
        #expect(manual.wallMicroseconds() == 6_500_000 && manual.monotonicNanoseconds() == 1_500_000_100)
        manual.setWall(microseconds: 1)
        #expect(manual.wallMicroseconds() == 1 && manual.monotonicNanoseconds() == 1_500_000_100)
    }

    @Test("a thread's body has run when join returns")
    func join() {
        let done = Atomic(0)
        let threads = (0..<10).map { _ in
            WorkerThread(name: "a-name-longer-than-15") { done.add(1, ordering: .relaxed) }
        }
        for thread in threads { thread.join() }
        #expect(done.load(ordering: .relaxed) == 10)
        threads[0].join()
    }

    @Test("a monitor hands items from one thread to another, each once")
    func monitor() {
        let queue = Monitor<[Int]>([])
        let sum = Atomic(0)
        let takers = (0..<3).map { _ in
            WorkerThread(name: "test-taker") {
                while let item = queue.wait(until: { $0.isEmpty ? nil : $0.removeFirst() }), item > 0 {
                    sum.add(item, ordering: .relaxed)
                }
            }
        }
        for item in 1...500 { queue.update { $0.append(item) } }
        for _ in 0..<3 { queue.update { $0.append(0) } }
        for taker in takers { taker.join() }
        #expect(sum.load(ordering: .relaxed) == 125_250)
    }

    @Test("a monitor's wait ends at its time limit")
    func monitorTimeout() {
        let monitor = Monitor(0)
        let started = SystemTime().monotonicNanoseconds()
        #expect(monitor.wait(timeoutSeconds: 0.02) { $0 == 1 ? true : nil } == nil)
        #expect(SystemTime().monotonicNanoseconds() - started >= 15_000_000)
        #expect(monitor.wait(timeoutSeconds: 0) { $0 == 0 ? true : nil } == true)
    }

    @Test("the process knows itself")
    func environment() {
        #expect(Environment.residentBytes > 1 << 20)
        #expect(Environment.cpuSeconds > 0)
        #expect(FileSystem.exists(Environment.executablePath))
        #expect(Environment.executablePath.hasPrefix(Environment.executableDirectory + "/"))
        #expect(Environment.variable("COLUMBA_NO_SUCH_VARIABLE") == nil)
        #expect(Environment.variables["PATH"] == Environment.variable("PATH"))
    }
}
