// Random sequences of all operations against a plain array that does the same.

import Glibc
import SegmentedLog
import System
import Testing

@Suite struct ModelOfTheLog {
    /// What the log must hold: entries by position, and where each segment begins.
    private struct Model {
        var entries: [Int64: Content] = [:]
        var next: Int64 = 1

        mutating func append(_ contents: [Content]) {
            for content in contents {
                entries[next] = content
                next += 1
            }
        }

        func read(from: Int64, through: Int64, maxEntries: Int) -> [Int64] {
            Array(entries.keys.filter { $0 >= from && $0 <= through }.sorted().prefix(maxEntries))
        }
    }

    private let fixture = try? LogFixture(inMemory: true)

    @Test("the log does what an array does, through restarts and crashes", arguments: [4_096, 8_192, 32_768])
    func matchesModel(pageBytes: Int) throws {
        let fixture = try #require(fixture)
        var random = SeededRandom.fresh("matchesModel, page \(pageBytes)")
        var model = Model()
        var directory = fixture.directory
        var log = try fixture.open(directory, pageBytes: pageBytes)
        defer { log.close() }
        for step in 0..<250 {
            switch Int.random(in: 0..<100, using: &random) {
            case 0..<55:
                let count = Int.random(in: 1...30, using: &random)
                let contents = (0..<count).map { _ in Content.random(&random) }
                let first = model.next
                #expect(try log.append(contents).lowerBound == first)
                model.append(contents)
            case 55..<80: try compareRead(log, model, &random)
            case 80..<87: try release(log, &model, &random)
            case 87..<92: try log.sealActiveSegment()
            case 92..<97:
                log.close()
                log = try fixture.open(directory, pageBytes: pageBytes, firstPosition: model.next)
            default:
                // A crash: the files as they are now, without any closing.
                #expect(log.waitForHousekeeping(timeoutSeconds: 90))
                let image = try copy(directory, to: fixture.root + "/crash\(step)")
                log.close()
                directory = image
                log = try fixture.open(directory, pageBytes: pageBytes, firstPosition: model.next)
            }
            #expect(log.nextPosition == model.next)
            #expect(log.firstPosition == model.entries.keys.min() && log.lastPosition == model.entries.keys.max())
            #expect(log.segments.reduce(0) { $0 + $1.entries } == model.entries.count)
        }
        let all = try log.readAll()
        #expect(all.map(\.position) == model.entries.keys.sorted())
        #expect(all.allSatisfy { Content($0) == model.entries[$0.position] })
        #expect(fixture.damage.isEmpty, "\(fixture.damage)")
    }

    private func compareRead(_ log: SegmentedLog, _ model: Model, _ random: inout SeededRandom) throws {
        let from = Int64.random(in: 0...model.next + 3, using: &random)
        let through = Bool.random(using: &random) ? Int64.max : from + Int64.random(in: 0...200, using: &random)
        let maxEntries = Int.random(in: 1...300, using: &random)
        let read = try log.read(from: from, through: through, maxEntries: maxEntries, maxBytes: 1 << 30)
        #expect(read.map(\.position) == model.read(from: from, through: through, maxEntries: maxEntries))
        #expect(read.allSatisfy { Content($0) == model.entries[$0.position] })
        let bytes = Int.random(in: 1...50_000, using: &random)
        let limited = try log.read(from: from, through: through, maxEntries: maxEntries, maxBytes: bytes)
        #expect(limited.count <= 1 || limited.reduce(0) { $0 + $1.byteCount } <= bytes)
        #expect(limited.map(\.position) == Array(read.map(\.position).prefix(limited.count)))
        #expect(read.isEmpty == limited.isEmpty)
    }

    private func release(_ log: SegmentedLog, _ model: inout Model, _ random: inout SeededRandom) throws {
        guard let segment = log.segments.filter(\.sealed).randomElement(using: &random) else { return }
        try log.release(segmentStartingAt: segment.firstPosition)
        for position in segment.firstPosition...segment.lastPosition { model.entries[position] = nil }
    }

    private func copy(_ directory: String, to target: String) throws -> String {
        try FileSystem.makeDirectories(target)
        for file in try FileSystem.list(directory) where !FileSystem.isDirectory(directory + "/" + file) {
            // A file of the segment being prepared may go while it is copied.
            guard let bytes = try? FileSystem.read(directory + "/" + file) else { continue }
            try LogFixture.write(target + "/" + file, bytes)
        }
        return target
    }
}
