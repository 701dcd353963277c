// Repairs a damaged segment: its readable entries are copied to a new segment, its files go to `quarantine/`. A crash
// at any step leaves either the damaged segment as it was or a complete copy that takes its place at the next opening.

import SQLite
import System

/// What a segment held as far as it is known.
struct ExpectedContent {
    /// nil: unknown.
    var first: Int64?
    var last: Int64?
    var holes: [ClosedRange<Int64>] = []
    /// Entries outside belong to the neighbours: for example those of a failed append, whose positions were given
    /// again.
    var possible: ClosedRange<Int64> = 1...Int64.max - 1
    /// Where the neighbours end and begin, if they are known: entries that reach them leave nothing in doubt.
    var before: Int64?
    var behind: Int64?

    func isExact(_ positions: [Int64]) -> Bool {
        let knowsFirst = first != nil || positions.first == 1 || (before != nil && positions.first == (before ?? 0) + 1)
        let knowsLast = last != nil || (behind != nil && positions.last == (behind ?? 0) - 1)
        return knowsFirst && knowsLast
    }
}

struct Salvage {
    struct Outcome {
        /// The salvaged copy; nil if no entry could be read.
        var facts: SegmentFacts?
        var lost: [ClosedRange<Int64>]
        var lossIsExact: Bool
        var path: String

        /// Entries that can be read.
        var readable: Int

        func incident(_ reason: String, _ kind: LogIncident.Kind = .salvaged) -> LogIncident {
            LogIncident(
                kind: kind, path: path, detail: reason, salvagedEntries: readable, lostPositions: lost,
                lossIsExact: lossIsExact)
        }
    }

    private let name: SegmentName
    private let directory: String
    private let pageBytes: Int

    init(_ name: SegmentName, in directory: String, pageBytes: Int) {
        self.name = name
        self.directory = directory
        self.pageBytes = pageBytes
    }

    /// Writes the copy. The original stays where it is until `replaceOriginal`.
    func run(_ expected: ExpectedContent) throws -> Outcome {
        var (outcome, positions, pages) = try look(expected)
        outcome.facts = try write(positions, pages)
        return outcome
    }

    /// What `run` would keep and lose; changes nothing.
    func examine(_ expected: ExpectedContent) throws -> Outcome { try look(expected).outcome }

    private func look(
        _ expected: ExpectedContent
    ) throws -> (outcome: Outcome, positions: [Int64], pages: PageReader) {
        let path = name.path(in: directory)
        // The WAL first: beside a running owner that checkpoints, what leaves it meanwhile is in the database already.
        let wal = try Self.contents(path + "-wal")
        let pages = PageReader(database: try Self.contents(path), wal: wal, assumedPageBytes: pageBytes)
        var possible = expected.possible
        if let first = expected.first { possible = max(first, possible.lowerBound)...possible.upperBound }
        if let last = expected.last, last >= possible.lowerBound {
            possible = possible.lowerBound...min(last, possible.upperBound)
        }
        let positions = pages.positions.filter { possible.contains($0) }
        let first = expected.first ?? positions.first
        let last = expected.last ?? positions.last
        var missing: [ClosedRange<Int64>] = []
        if let first, let last, first <= last { missing = Self.gaps(positions, in: first...last) }
        let outcome = Outcome(
            facts: nil, lost: missing.flatMap { Self.subtract(expected.holes, from: $0) },
            lossIsExact: expected.isExact(positions), path: path, readable: positions.count)
        return (outcome, positions, pages)
    }

    /// Puts the copy, if there is one, in the original's place.
    func replaceOriginal() throws {
        try SegmentFile.quarantine(name, in: directory)
        let copy = name.path(in: directory, ".salvage")
        guard FileSystem.exists(copy) else { return }
        try FileSystem.rename(copy, to: name.path(in: directory))
        try FileSystem.syncDirectory(directory)
    }

    private static func contents(_ path: String) throws -> [UInt8] {
        FileSystem.exists(path) ? try FileSystem.read(path) : []
    }

    private func write(_ positions: [Int64], _ pages: PageReader) throws -> SegmentFacts? {
        guard let first = positions.first, let last = positions.last else { return nil }
        let temporary = name.path(in: directory, ".salvaging")
        for suffix in ["", "-journal"] { try FileSystem.remove(temporary + suffix) }
        let holes = Self.gaps(positions, in: first...last)
        let times = try Self.copy(positions, pages, to: temporary, pageBytes, holes)
        try FileSystem.syncFile(temporary)
        let bytes = FileSystem.fileSize(temporary) ?? 0
        try FileSystem.rename(temporary, to: name.path(in: directory, ".salvage"))
        try FileSystem.syncDirectory(directory)
        return SegmentFacts(
            name: name, first: first, last: last, holes: holes, firstTime: times.first, lastTime: times.last,
            bytes: bytes, sealed: true, checkpointed: true)
    }

    /// In a function of its own: the connection is closed when it returns.
    private static func copy(
        _ positions: [Int64], _ pages: PageReader, to path: String, _ pageBytes: Int, _ holes: [ClosedRange<Int64>]
    ) throws -> (first: Int64, last: Int64) {
        let database = try Database(path: path, mode: .create)
        try database.setPragma("page_size", String(pageBytes))
        try database.setPragma("synchronous", "FULL", expecting: "2")
        try database.execute("BEGIN; " + SegmentFile.schema)
        let insert = try database.prepare(SegmentFile.insertEntry)
        var times = (first: Int64(0), last: Int64(0))
        for position in positions {
            guard let entry = pages.entry(at: position) else { preconditionFailure("a found entry can be read again") }
            let checksum = entry.header.withUnsafeBytes { header in
                entry.payload.withUnsafeBytes { payload in
                    EntryChecksum.of(
                        position: position, timeMicroseconds: entry.timeMicroseconds, kind: entry.kind, header: header,
                        payload: payload)
                }
            }
            try insert.bind(1, position)
            try insert.bind(2, entry.timeMicroseconds)
            try insert.bind(3, Int64(entry.kind))
            try insert.bind(4, entry.header)
            try insert.bind(5, entry.payload)
            try insert.bind(6, checksum)
            try insert.run()
            if position == positions.first { times.first = entry.timeMicroseconds }
            times.last = entry.timeMicroseconds
        }
        let meta = try database.prepare(SegmentFile.insertMeta)
        for (key, value) in [
            ("format", SegmentMeta.format), ("first", String(positions[0])),
            ("last", String(positions[positions.count - 1])), ("holes", SegmentMeta.encode(holes)),
        ] {
            try meta.bind(1, key)
            try meta.bind(2, value)
            try meta.run()
        }
        try database.execute("COMMIT")
        return times
    }

    /// The positions of `range` that are not in the sorted `positions`.
    static func gaps(_ positions: [Int64], in range: ClosedRange<Int64>) -> [ClosedRange<Int64>] {
        var result: [ClosedRange<Int64>] = []
        var next = range.lowerBound
        for position in positions where position >= next && position <= range.upperBound {
            if position > next { result.append(next...position - 1) }
            next = position + 1
        }
        if next <= range.upperBound { result.append(next...range.upperBound) }
        return result
    }

    /// What of `range` is in none of the sorted `holes`.
    static func subtract(_ holes: [ClosedRange<Int64>], from range: ClosedRange<Int64>) -> [ClosedRange<Int64>] {
        var result: [ClosedRange<Int64>] = []
        var next = range.lowerBound
        for hole in holes where hole.upperBound >= next && hole.lowerBound <= range.upperBound {
            if hole.lowerBound > next { result.append(next...hole.lowerBound - 1) }
            next = hole.upperBound + 1
        }
        if next <= range.upperBound { result.append(next...range.upperBound) }
        return result
    }
}
