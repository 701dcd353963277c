// What survives the death of the process, and what a reopened log says about it.

import Glibc
import SegmentedLog
import System
import Testing

/// The child of `Crashes.killed`: this test program run again with a directory to append to.
@Suite(.enabled(if: Environment.variable("COLUMBA_LOG_CHILD") != nil)) struct CrashChild {
    @Test("appends and notes each acknowledged position until it is killed")
    func appendUntilKilled() throws {
        let directory = try #require(Environment.variable("COLUMBA_LOG_CHILD"))
        let notes = open(directory + ".acknowledged", O_WRONLY | O_CREAT | O_APPEND, 0o644)
        let log = try SegmentedLog(
            directory: directory,
            configuration: SegmentedLog.Configuration(segmentBytes: 256 << 10, pageBytes: 4_096)
        ) { _ in }
        var random = SeededRandom(seed: UInt64(getpid()))
        while true {
            let appended = try log.appendNumbered(Int.random(in: 1...40, using: &random), payloadBytes: 700)
            var last = appended.upperBound
            _ = write(notes, &last, 8)
        }
    }
}

@Suite struct Crashes {
    let fixture = try? LogFixture()

    @Test("every acknowledged entry is there, byte for byte, after the process is killed at any moment")
    func killed() throws {
        let fixture = try #require(fixture)
        var random = SeededRandom.fresh("killed")
        let notes = fixture.directory + ".acknowledged"
        for _ in 0..<12 {
            var configuration = ChildProcess.Configuration(
                executable: Environment.executablePath,
                arguments: ["--testing-library", "swift-testing", "--filter", "CrashChild"])
            configuration.environment = Environment.variables.merging(
                ["COLUMBA_LOG_CHILD": fixture.directory], uniquingKeysWith: { $1 })
            configuration.standardOutput = .null
            configuration.standardError = .null
            let before = FileSystem.fileSize(notes) ?? 0
            let child = try ChildProcess(configuration)
            let wanted = before + 8 * Int.random(in: 1...60, using: &random)
            let started = SystemTime().monotonicNanoseconds()
            while (FileSystem.fileSize(notes) ?? 0) < wanted {
                try #require(child.isRunning && SystemTime().monotonicNanoseconds() - started < 180_000_000_000)
                usleep(200)
            }
            child.kill(SIGKILL)
            #expect(try child.wait() == .killed(signal: SIGKILL))
            try check(fixture, acknowledged: notes, release: Bool.random(using: &random))
        }
    }

    private func check(_ fixture: LogFixture, acknowledged notes: String, release: Bool) throws {
        let last = try FileSystem.read(notes).suffix(8).reversed().reduce(Int64(0)) { $0 << 8 | Int64($1) }
        try fixture.withLog { log throws in
            let entries = try log.readAll()
            #expect(log.nextPosition > last)
            let first = try #require(log.firstPosition)
            #expect(entries.map(\.position).elementsEqual(first..<log.nextPosition))
            #expect(entries.allSatisfy { Content($0) == Content(number: $0.position, payloadBytes: 700) })
            if release { try log.release(segmentStartingAt: first) }
        }
        #expect(fixture.damage.isEmpty, "a crash is not damage: \(fixture.damage)")
    }

    @Test(
        "after a failed flush nothing is acknowledged any more, and all that was acknowledged is there",
        .enabled(if: FileSystem.isExecutable("/usr/bin/strace"), "needs strace to make fdatasync fail"))
    func failedFlush() throws {
        let fixture = try #require(fixture)
        var configuration = ChildProcess.Configuration(
            executable: "/usr/bin/strace",
            arguments: [
                "-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync", "-e", "inject=fdatasync:error=EIO:when=40+",
                Environment.executablePath, "--testing-library", "swift-testing", "--filter", "CrashChild",
            ])
        configuration.environment = Environment.variables.merging(
            ["COLUMBA_LOG_CHILD": fixture.directory], uniquingKeysWith: { $1 })
        configuration.standardOutput = .pipe
        configuration.standardError = .pipe
        let result = try ChildProcess(configuration).converse(timeoutSeconds: 180, maxOutputBytes: 1 << 20)
        let text = String(decoding: result.output + result.error, as: UTF8.self)
        // Where tracing is not allowed nothing was tested.
        guard text.contains("Caught error") else { return }
        #expect(text.contains("fatal: SQLite cannot COMMIT"), "\(text)")
        try check(fixture, acknowledged: fixture.directory + ".acknowledged", release: false)
    }

    @Test("a copy of the files taken between any two operations opens with all acknowledged entries")
    func crashImages() throws {
        let fixture = try #require(fixture)
        var random = SeededRandom.fresh("crashImages")
        try fixture.withLog(segmentBytes: 128 << 10) { log throws in
            for round in 0..<40 {
                switch Int.random(in: 0..<10, using: &random) {
                case 0: try log.sealActiveSegment()
                case 1:
                    if let first = log.segments.first, first.sealed {
                        try log.release(segmentStartingAt: first.firstPosition)
                    }
                default: _ = try log.appendNumbered(Int.random(in: 1...60, using: &random))
                }
                let (first, next) = (log.firstPosition, log.nextPosition)
                // Checkpoints and preparations go on meanwhile: a file copied in the middle of one is torn, which
                // only a power cut could do; so wait for them in two of three rounds and take it as it comes in the
                // third.
                if round % 3 != 0 { #expect(log.waitForHousekeeping(timeoutSeconds: 60)) }
                if round % 3 == 0 { continue }
                let image = try fixture.copy(to: "image\(round)")
                let copy = try fixture.open(image, segmentBytes: 128 << 10)
                defer { copy.close() }
                #expect(try copy.readAll().map(\.position) == Array((first ?? next)..<next))
                if next > 1 && first != nil { #expect(copy.nextPosition == next) }
                try FileSystem.removeTree(image + "/quarantine")
            }
        }
        #expect(fixture.damage.isEmpty, "\(fixture.damage)")
    }

    @Test("a torn end of the write-ahead log costs only what was never acknowledged")
    func tornTail() throws {
        let fixture = try #require(fixture)
        try fixture.withLog(segmentBytes: 1 << 20) { log throws in
            for _ in 0..<10 { _ = try log.appendNumbered(5) }
            let image = try fixture.copy(to: "whole")
            let wal = image + "/00000000000000000001.segment-wal"
            let size = try #require(FileSystem.fileSize(wal))
            // The last transaction is cut anywhere inside.
            for cut in [1, 100, 4_095, 4_096, 4_120, 4_121] {
                let torn = try fixture.copy(to: "torn\(cut)")
                #expect(truncate(torn + "/00000000000000000001.segment-wal", size - cut) == 0)
                let copy = try fixture.open(torn)
                defer { copy.close() }
                let read = try copy.readAll()
                #expect(read.count >= 45 && read.map(\.position) == Array(1...Int64(read.count)))
                #expect(copy.nextPosition == Int64(read.count) + 1)
            }
        }
        #expect(fixture.damage.isEmpty, "\(fixture.damage)")
        #expect(fixture.incidents.contains { $0.kind == .incompleteTail })
    }

    @Test("work left by a crash in a preparation, a release or a repair is completed when the log opens")
    func unfinishedWork() throws {
        let fixture = try #require(fixture)
        try fixture.withLog { log throws in
            for _ in 0..<3 {
                _ = try log.appendNumbered(5)
                try log.sealActiveSegment()
            }
            #expect(log.waitForHousekeeping(timeoutSeconds: 60))
        }
        let prefix = fixture.directory + "/000000000000000000"
        // A release that stopped after its first step.
        let first = prefix + "01.segment"
        try FileSystem.rename(first, to: prefix + "01.released")
        // A preparation that stopped in the middle, and its write-ahead log's new name without the database's.
        _ = try FileSystem.createExclusively(prefix + "99.preparing", [1, 2, 3])
        _ = try FileSystem.createExclusively(prefix + "99.preparing-shm", [1, 2, 3])
        _ = try FileSystem.createExclusively(prefix + "98.segment-wal", [])
        // A repair whose copy was not complete.
        _ = try FileSystem.createExclusively(prefix + "06.salvaging", [4])
        try fixture.withLog { log throws in
            #expect(try log.readAll().map(\.position) == Array(6...15))
            #expect(log.nextPosition == 16)
        }
        let left = try FileSystem.list(fixture.directory)
        #expect(!left.contains { $0.contains("released") || $0.contains("salvaging") || $0.contains("00099") })
        #expect(fixture.damage.isEmpty, "\(fixture.damage)")
    }
}
