// What the log promises in good times.

import System
import Testing

import SegmentedLog

@Suite struct AppendAndRead {
    let fixture = try? LogFixture()

    @Test("entries are read back as they were written, in order")
    func roundTrip() throws {
        let fixture = try #require(fixture)
        try fixture.withLog { log throws in
            #expect(log.nextPosition == 1)
            #expect(log.firstPosition == nil && log.lastPosition == nil)
            #expect(try log.read(from: 1, maxEntries: 10, maxBytes: 100).isEmpty)
            let sizes = [0, 1, 300, 5_000, 300_000]
            let contents = sizes.map { Content(number: Int64($0) + 7, payloadBytes: $0) }
            #expect(try log.append(contents) == 1...5)
            let read = try log.readAll()
            #expect(read.map(\.position) == [1, 2, 3, 4, 5])
            #expect(read.map { Content($0) } == contents)
            #expect(log.nextPosition == 6 && log.firstPosition == 1 && log.lastPosition == 5)
        }
        #expect(fixture.incidents.isEmpty)
    }

    @Test("a read keeps to its limits but gives at least one entry")
    func limits() throws {
        let fixture = try #require(fixture)
        try fixture.withLog { log throws in
            _ = try log.appendNumbered(100, payloadBytes: 1_000)
            #expect(try log.read(from: 1, maxEntries: 7, maxBytes: 1 << 20).map(\.position) == Array(1...7))
            #expect(try log.read(from: 50, maxEntries: 99, maxBytes: 1).map(\.position) == [50])
            #expect(try log.read(from: 1, maxEntries: 99, maxBytes: 3_100).count == 3)
            let range = try log.read(from: 10, through: 12, maxEntries: 99, maxBytes: 1 << 20)
            #expect(range.map(\.position) == [10, 11, 12])
            #expect(try log.read(from: 101, maxEntries: 9, maxBytes: 9).isEmpty)
            #expect(try log.read(from: -5, through: 1, maxEntries: 9, maxBytes: 9_999).map(\.position) == [1])
        }
    }

    @Test("a full segment is sealed, checkpointed in the background, and reads go across segments")
    func manySegments() throws {
        let fixture = try #require(fixture)
        try fixture.withLog { log throws in
            for _ in 0..<60 { _ = try log.appendNumbered(20, payloadBytes: 1_500) }
            #expect(log.segments.count > 3)
            #expect(log.segments.dropLast().allSatisfy { $0.sealed })
            #expect(log.segments.reduce(0) { $0 + $1.entries } == 1_200)
            #expect(log.waitForHousekeeping(timeoutSeconds: 60))
            #expect(try log.readAll().map(\.position) == Array(1...1_200))
            #expect(try log.readAll().allSatisfy { Content($0) == Content(number: $0.position, payloadBytes: 1_500) })
            for (earlier, later) in zip(log.segments, log.segments.dropFirst()) {
                #expect(earlier.lastPosition + 1 == later.firstPosition)
                #expect(earlier.lastTimeMicroseconds < later.firstTimeMicroseconds)
            }
            let wal = try fixture.files(suffix: "-wal").reduce(0) { $0 + (FileSystem.fileSize($1) ?? 0) }
            #expect(wal < 2 * (256 << 10) + 100_000, "sealed segments have left their write-ahead logs")
        }
        #expect(fixture.incidents.isEmpty)
    }

    @Test("a reopened log goes on after its last entry, in a new segment")
    func reopening() throws {
        let fixture = try #require(fixture)
        for round in 0..<4 {
            try fixture.withLog(firstPosition: 1_000) { log throws in
                #expect(log.nextPosition == 1_000 + Int64(round) * 10)
                let first = log.nextPosition
                #expect(try log.appendNumbered(10) == first...first + 9)
                #expect(log.segments.count == round + 1)
            }
        }
        try fixture.withLog { log throws in
            #expect(try log.readAll().map(\.position) == Array(1_000..<1_040))
            #expect(log.segments.allSatisfy { $0.sealed })
            #expect(log.waitForHousekeeping(timeoutSeconds: 60))
        }
        #expect(fixture.incidents.isEmpty)
    }

    @Test("the first position is a floor, never a way back")
    func firstPositionIsAFloor() throws {
        let fixture = try #require(fixture)
        try fixture.withLog { _ = try $0.appendNumbered(5) }
        try fixture.withLog(firstPosition: 3) { #expect($0.nextPosition == 6) }
        try fixture.withLog(firstPosition: 500) { log throws in
            #expect(try log.appendNumbered(1) == 500...500)
            #expect(try log.readAll().map(\.position) == [1, 2, 3, 4, 5, 500])
        }
        #expect(fixture.incidents.isEmpty)
    }

    @Test("an opened and closed log leaves no empty segments behind")
    func emptySegmentsGo() throws {
        let fixture = try #require(fixture)
        for _ in 0..<5 {
            let log = try fixture.open()
            _ = try log.appendNumbered(1)
            log.close()
        }
        for _ in 0..<5 { try fixture.withLog { #expect($0.segments.count == 5) } }
        #expect(try fixture.files(suffix: ".segment").count <= 6)
        #expect(fixture.incidents.isEmpty)
    }

    @Test("a released segment's files are gone, its positions read as nothing, and they are not given again")
    func releasing() throws {
        let fixture = try #require(fixture)
        try fixture.withLog { log throws in
            _ = try log.appendNumbered(10)
            try log.sealActiveSegment()
            _ = try log.appendNumbered(10)
            try log.sealActiveSegment()
            let before = log.totalBytes
            try log.release(segmentStartingAt: 1)
            #expect(log.totalBytes < before)
            #expect(log.firstPosition == 11)
            #expect(try log.read(from: 1, through: 10, maxEntries: 9, maxBytes: 9).isEmpty)
            #expect(try log.readAll().map(\.position) == Array(11...20))
            try log.release(segmentStartingAt: 1)
            try log.release(segmentStartingAt: 11)
            #expect(log.segments.isEmpty && log.nextPosition == 21)
        }
        try fixture.withLog(firstPosition: 21) { #expect($0.nextPosition == 21) }
        #expect(fixture.incidents.isEmpty)
    }

    @Test("a log opened for reading sees what the owner has appended and changes nothing")
    func readOnly() throws {
        let fixture = try #require(fixture)
        try fixture.withLog { log throws in
            _ = try log.appendNumbered(50)
            let files = { try FileSystem.list(fixture.directory).filter { $0.hasPrefix("00000000000000000001.") } }
            let before = try files()
            try fixture.withLog(readOnly: true) { viewer throws in
                #expect(try viewer.readAll().count == 50)
                #expect(viewer.segments.count == 1)
            }
            #expect(try files() == before)
            _ = try log.appendNumbered(50)
        }
        #expect(fixture.incidents.isEmpty)
    }

    @Test("a reader beside the writer sees each entry once, in order, and only acknowledged ones")
    func readerBesideWriter() throws {
        let fixture = try #require(fixture)
        try fixture.withLog(segmentBytes: 128 << 10) { log throws in
            let total = 3_000
            let reader = WorkerThread(name: "test-reader") {
                var next: Int64 = 1
                while next <= Int64(total) {
                    guard let entries = try? log.read(from: next, maxEntries: 64, maxBytes: 1 << 16) else { return }
                    guard let last = entries.last else { continue }
                    let acknowledged = log.nextPosition
                    #expect(entries.map(\.position) == Array(next...last.position) && last.position < acknowledged)
                    next = last.position + 1
                    // What is read is released, as a forwarder does.
                    for segment in log.segments where segment.sealed && segment.lastPosition < next {
                        try? log.release(segmentStartingAt: segment.firstPosition)
                    }
                }
            }
            for _ in 0..<(total / 10) { _ = try log.appendNumbered(10) }
            reader.join()
            #expect(log.firstPosition.map { $0 > 1 } ?? true)
        }
        #expect(fixture.incidents.isEmpty)
    }
}
