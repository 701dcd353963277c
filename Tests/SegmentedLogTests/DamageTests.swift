// Bit rot, cut and missing files: the log always opens; an entry is handed out as it was written or reported.

import Glibc
import SegmentedLog
import System
import Testing

@Suite struct Damage {
    let fixture = try? LogFixture(inMemory: true)

    /// A directory with one sealed, one checkpointed and one crash-left segment of 40 entries each, as a crash leaves
    /// it.
    private func makeImage(_ fixture: LogFixture) throws -> String {
        let log = try fixture.open(segmentBytes: 4 << 20)
        defer { log.close() }
        for segment in 0..<2 {
            for _ in 0..<8 { _ = try log.appendNumbered(5) }
            if segment == 0 {
                try log.sealActiveSegment()
                #expect(log.waitForHousekeeping(timeoutSeconds: 60))
            }
        }
        return try fixture.copy(to: "image")
    }

    private func duplicate(_ image: String, to target: String) throws {
        try FileSystem.removeTree(target)
        try FileSystem.makeDirectories(target)
        for file in try FileSystem.list(image) {
            try LogFixture.write(target + "/" + file, try FileSystem.read(image + "/" + file))
        }
    }

    /// Opens a damaged copy and checks the promise; returns the positions still there.
    @discardableResult
    private func examine(_ fixture: LogFixture, _ directory: String, _ what: String) throws -> Set<Int64> {
        fixture.forgetIncidents()
        let log = try fixture.open(directory, segmentBytes: 4 << 20)
        defer { log.close() }
        let entries = try log.readAll()
        for entry in entries {
            #expect(Content(entry) == Content(number: entry.position), "wrong bytes at \(entry.position) after \(what)")
        }
        let positions = Set(entries.map(\.position))
        #expect(entries.map(\.position) == positions.sorted(), "each position once, in order, after \(what)")
        let missing = Set(Int64(1)...80).subtracting(positions)
        if !missing.isEmpty {
            #expect(!fixture.incidents.isEmpty, "\(missing.count) entries were lost silently after \(what)")
            let reported = fixture.incidents.flatMap(\.lostPositions).reduce(into: Set<Int64>()) { $0.formUnion($1) }
            let isExact = fixture.incidents.allSatisfy { $0.kind != .salvaged || $0.lossIsExact }
            if isExact && !fixture.incidents.contains(where: { $0.kind == .incompleteTail }) {
                #expect(reported == missing, "the report is exact after \(what)")
            }
        }
        // The log goes on, and no position that was used is used again.
        let appended = try log.appendNumbered(3)
        #expect(appended.lowerBound > (positions.max() ?? 0))
        if !missing.contains(80) { #expect(appended.lowerBound > 80) }
        #expect(try log.read(from: appended.lowerBound, maxEntries: 9, maxBytes: 9_999).count == 3)
        return positions
    }

    @Test("a flipped bit anywhere leaves every entry as it was, or the loss is reported")
    func flippedBits() throws {
        let fixture = try #require(fixture)
        var random = SeededRandom.fresh("flippedBits")
        let image = try makeImage(fixture)
        let files = try FileSystem.list(image).filter { $0.contains(".segment") && !$0.hasSuffix("-shm") }
        var kept = 0
        var rounds = 0
        for file in files {
            let size = try #require(FileSystem.fileSize(image + "/" + file))
            // The headers, where every byte matters, and samples of the rest.
            let headers = stride(from: 0, to: min(size, 140), by: 7)
            let samples = (0..<40).map { _ in Int.random(in: 0..<max(size, 1), using: &random) }
            for offset in Array(headers) + samples where offset < size {
                let directory = fixture.root + "/flipped"
                try duplicate(image, to: directory)
                var bytes = try FileSystem.read(directory + "/" + file)
                bytes[offset] ^= 1 << UInt8.random(in: 0..<8, using: &random)
                try LogFixture.write(directory + "/" + file, bytes)
                kept += try examine(fixture, directory, "a flip at \(offset) of \(file)").count
                rounds += 1
            }
        }
        #expect(rounds > 100 && Double(kept) > 0.95 * Double(rounds * 80), "salvage keeps nearly all entries")
    }

    @Test("files cut, zeroed, filled with noise or missing: the log opens and says what is lost")
    func ruinedFiles() throws {
        let fixture = try #require(fixture)
        var random = SeededRandom.fresh("ruinedFiles")
        let image = try makeImage(fixture)
        let directory = fixture.root + "/ruined"
        for file in try FileSystem.list(image) where file.contains(".segment") {
            let whole = try FileSystem.read(image + "/" + file)
            let half = whole.count / 2
            let ruins: [(String, [UInt8]?)] = [
                ("empty", []), ("zeroed", [UInt8](repeating: 0, count: whole.count)), ("half", Array(whole[..<half])),
                ("first page zeroed", [UInt8](repeating: 0, count: min(4_096, whole.count)) + whole.dropFirst(4_096)),
                ("second half zeroed", whole[..<half] + [UInt8](repeating: 0, count: whole.count - half)),
                ("noise", (0..<whole.count).map { _ in UInt8.random(in: 0...255, using: &random) }), ("missing", nil),
            ]
            for (name, bytes) in ruins {
                try duplicate(image, to: directory)
                if let bytes {
                    try LogFixture.write(directory + "/" + file, bytes)
                } else {
                    // A segment of which nothing is left looks like a released one: its owner's accounts tell them
                    // apart.
                    if !FileSystem.exists(directory + "/" + file + "-wal") && file.hasSuffix(".segment") { continue }
                    try FileSystem.remove(directory + "/" + file)
                }
                try examine(fixture, directory, "\(file) \(name)")
            }
        }
    }

    @Test("a destroyed database header costs no entry: pages are read without it")
    func destroyedHeader() throws {
        let fixture = try #require(fixture)
        let directory = try makeImage(fixture)
        let file = directory + "/00000000000000000001.segment"
        var bytes = try FileSystem.read(file)
        bytes.replaceSubrange(0..<100, with: repeatElement(0x55, count: 100))
        try LogFixture.write(file, bytes)
        #expect(try examine(fixture, directory, "a destroyed header").count == 80)
        #expect(fixture.damage.map { $0.kind } == [.salvaged] && fixture.damage.map { $0.salvagedEntries } == [40])
        #expect(FileSystem.exists(directory + "/quarantine/00000000000000000001.segment"))
        #expect(try examine(fixture, directory, "a reopening").count == 83)
        #expect(fixture.incidents.isEmpty, "what was repaired is not reported again: \(fixture.incidents)")
    }

    @Test("damage met by a reader is repaired while the log runs, and exactly the lost entry is reported")
    func damageWhileRunning() throws {
        let fixture = try #require(fixture)
        try fixture.withLog { log throws in
            _ = try log.appendNumbered(60)
            try log.sealActiveSegment()
            #expect(log.waitForHousekeeping(timeoutSeconds: 60))
            let file = fixture.directory + "/00000000000000000001.segment"
            let victim = Content(number: 30).payload
            let bytes = try FileSystem.read(file)
            let at = try #require(bytes.indices.first { bytes[$0...].starts(with: victim[..<16]) })
            let descriptor = open(file, O_WRONLY)
            var wrong = ~bytes[at + 5]
            #expect(pwrite(descriptor, &wrong, 1, at + 5) == 1)
            close(descriptor)
            let expected = Array(1...60).filter { $0 != 30 }.map { Int64($0) }
            #expect(try log.readAll().map(\.position) == expected)
            #expect(fixture.damage.map(\.lostPositions) == [[30...30]])
            let incident = try #require(fixture.damage.first)
            #expect(incident.lossIsExact && incident.salvagedEntries == 59)
            #expect(log.segments[0].entries == 59)
            #expect(try log.append([Content(number: 61)]) == 61...61)
        }
        fixture.forgetIncidents()
        try fixture.withLog { log throws in #expect(try log.readAll().count == 60) }
        #expect(fixture.incidents.isEmpty, "\(fixture.incidents)")
    }

    @Test("foreign files in the directory are left alone")
    func foreignFiles() throws {
        let fixture = try #require(fixture)
        try FileSystem.makeDirectories(fixture.directory)
        let names = ["lock", "notes.txt", "1.segment", "0000000000000000000x.segment"]
        for name in names { _ = try FileSystem.createExclusively(fixture.directory + "/" + name, [1]) }
        try fixture.withLog { _ = try $0.appendNumbered(1) }
        for name in names { #expect(FileSystem.exists(fixture.directory + "/" + name)) }
    }
}
