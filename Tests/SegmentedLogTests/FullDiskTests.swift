// A full disk: nothing acknowledged is lost, everything that frees space works, and then the log goes on by itself.

import Glibc
import SegmentedLog
import Synchronization
import System
import Testing

/// A small file system of its own, if this user may mount one.
private final class SmallDisk {
    let fixture: LogFixture
    let path: String

    init?(megabytes: Int, inodes: Int = 10_000) throws {
        fixture = try LogFixture()
        path = fixture.root + "/small"
        try FileSystem.makeDirectories(path)
        guard mount("tmpfs", path, "tmpfs", 0, "size=\(megabytes)m,nr_inodes=\(inodes)") == 0 else { return nil }
    }

    deinit { umount2(path, Int32(MNT_DETACH)) }

    var log: String { path + "/log" }

    /// Another program takes all the room that is left.
    func fill() throws {
        for size in [1 << 20, 1 << 16, 4_096] {
            var number = 0
            let bytes = [UInt8](repeating: 1, count: size)
            while (try? FileSystem.writeDurably(path + "/filler\(size).\(number)", bytes)) != nil {
                number += 1
            }
        }
    }

    func empty() throws {
        for name in try FileSystem.list(path) where name.hasPrefix("filler") {
            try FileSystem.remove(path + "/" + name)
        }
    }
}

private let mayMount = getuid() == 0

@Suite(.enabled(if: mayMount, "needs the right to mount a small tmpfs")) struct FullDisk {
    private func appendUntilFull(_ log: SegmentedLog) throws {
        for _ in 0..<10_000 {
            do {
                _ = try log.appendNumbered(20, payloadBytes: 1_500)
            } catch let error as SegmentedLogError {
                #expect(error.code == .diskFull, "\(error)")
                return
            }
        }
        Issue.record("the disk never became full")
    }

    private func check(_ log: SegmentedLog, _ positions: Range<Int64>) throws {
        let entries = try log.readAll()
        #expect(entries.map(\.position) == Array(positions))
        #expect(entries.allSatisfy { Content($0) == Content(number: $0.position, payloadBytes: 1_500) })
    }

    @Test("appends fail, reads and releases work, and after a release the log goes on")
    func fullAndFreed() throws {
        guard let disk = try SmallDisk(megabytes: 12) else { return }
        let log = try disk.fixture.open(disk.log, segmentBytes: 1 << 20)
        defer { log.close() }
        for _ in 0..<3 {
            try appendUntilFull(log)
            let first = try #require(log.firstPosition)
            var next = log.nextPosition
            for _ in 0..<5 {
                // The background may have made room meanwhile; then the append is whole.
                if let appended = try? log.appendNumbered(400, payloadBytes: 1_500) {
                    #expect(appended.count == 400)
                    next = appended.upperBound + 1
                }
                #expect(log.nextPosition == next, "a failed append takes no position")
            }
            try check(log, first..<next)
            // The oldest half is archived and released.
            for segment in log.segments.filter(\.sealed).prefix(4) {
                try log.release(segmentStartingAt: segment.firstPosition)
            }
            #expect(try log.appendNumbered(20, payloadBytes: 1_500).lowerBound == next, "positions have no hole")
            try check(log, (try #require(log.firstPosition))..<log.nextPosition)
        }
        #expect(disk.fixture.damage.isEmpty, "\(disk.fixture.damage)")
        #expect(log.failure == nil)
    }

    @Test("a log is opened on a disk without a free byte, read and released, and goes on once there is room")
    func openedWhenFull() throws {
        guard let disk = try SmallDisk(megabytes: 12) else { return }
        var next: Int64 = 1
        do {
            let log = try disk.fixture.open(disk.log, segmentBytes: 1 << 20)
            defer { log.close() }
            for _ in 0..<40 { _ = try log.appendNumbered(40, payloadBytes: 1_500) }
            next = log.nextPosition
            try disk.fill()
        }
        let log = try disk.fixture.open(disk.log, segmentBytes: 1 << 20)
        defer { log.close() }
        try check(log, 1..<next)
        try disk.fill()
        #expect(throws: SegmentedLogError.self) { try log.appendNumbered(20) }
        try check(log, 1..<next)
        try log.release(segmentStartingAt: try #require(log.firstPosition))
        try disk.empty()
        #expect(try log.appendNumbered(20, payloadBytes: 1_500).lowerBound == next)
        try check(log, (try #require(log.firstPosition))..<log.nextPosition)
        #expect(disk.fixture.damage.isEmpty, "\(disk.fixture.damage)")
    }

    @Test("a new log opens where its folder cannot even be made, and makes it as soon as there is room")
    func noRoomForTheFolder() throws {
        guard let disk = try SmallDisk(megabytes: 4, inodes: 16) else { return }
        // What a new folder needs of this file system is an inode.
        for number in 0..<64 where (try? FileSystem.writeDurably("\(disk.path)/filler\(number)", [])) == nil { break }
        let log = try disk.fixture.open(disk.log)
        defer { log.close() }
        #expect(!FileSystem.isDirectory(disk.log))
        let error = #expect(throws: SegmentedLogError.self) { try log.appendNumbered(1) }
        #expect(error?.code == .diskFull)
        #expect(try log.readAll().isEmpty && log.nextPosition == 1)
        try disk.empty()
        #expect(try log.appendNumbered(1) == 1...1)
        #expect(try log.readAll().count == 1)
        #expect(disk.fixture.damage.isEmpty, "\(disk.fixture.damage)")
    }
}
