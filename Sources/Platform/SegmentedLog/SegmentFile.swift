// A segment's files and what is written in them besides entries.
//
//   <number>.segment        the SQLite database; <number>: 20 digits, not above the first position in it
//   <number>.segment-wal    SQLite's write-ahead log; until the segment is sealed all its content is only there
//   <number>.segment-shm    none: the index of the WAL is in memory (CSQLiteVFS). Left by older versions and other
//   tools
//   <number>.segment-journal   for a moment, while a sealed segment leaves its WAL behind
//   <number>.preparing…     a segment being prepared: removed when the log opens
//   <number>.released       a segment being removed: its removal is completed when the log opens
//   <number>.salvaging…     a copy of a damaged segment being written: removed when the log opens
//   <number>.salvage        that copy, complete: takes the damaged one's place when the log opens
//   quarantine/             the files of damaged segments
//   reserve                 1 MiB that is given up when a log on a full disk cannot be opened without it
//
// The SQLite files must not be opened and closed by other means while a connection has them open: closing any
// descriptor of a file drops all POSIX locks of this process on it. The WAL carries no locks and may be read.

import SQLite
import System

/// A segment's number, which names its files.
struct SegmentName: Hashable, Comparable, Sendable {
    let number: Int64

    init(_ number: Int64) { self.number = number }

    /// Reads `<20 digits><suffix>`.
    init?(file: String, suffix: String) {
        guard file.hasSuffix(suffix), file.utf8.count == 20 + suffix.utf8.count,
            let number = Int64(file.dropLast(suffix.count)), number >= 1
        else { return nil }
        self.number = number
    }

    static func < (left: SegmentName, right: SegmentName) -> Bool { left.number < right.number }

    private var digits: String {
        let digits = String(number)
        return String(repeating: "0", count: 20 - digits.utf8.count) + digits
    }

    func file(_ suffix: String = ".segment") -> String { digits + suffix }
    func path(in directory: String, _ suffix: String = ".segment") -> String { directory + "/" + file(suffix) }
}

/// What a segment says about itself in its table `meta`.
struct SegmentMeta: Equatable {
    static let format = "1"

    /// Written with the first entry.
    var first: Int64?
    /// The segment that was sealed just before this one began; with `first` it tells where that one ended.
    var previous: Int64?
    /// Written when the segment is sealed.
    var last: Int64?
    /// Positions between first and last that are missing since a repair.
    var holes: [ClosedRange<Int64>] = []

    var isSealed: Bool { last != nil }

    static func encode(_ ranges: [ClosedRange<Int64>]) -> String {
        ranges.map { "\($0.lowerBound)-\($0.upperBound)" }.joined(separator: ",")
    }

    static func decode(_ text: String) -> [ClosedRange<Int64>]? {
        var ranges: [ClosedRange<Int64>] = []
        for part in text.split(separator: ",") {
            let ends = part.split(separator: "-").compactMap { Int64($0) }
            guard ends.count == 2, ends[0] <= ends[1] else { return nil }
            ranges.append(ends[0]...ends[1])
        }
        return ranges
    }

    /// Throws `DamagedSegment` if the table is not as this program writes it.
    static func read(_ database: Database) throws -> SegmentMeta {
        var meta = SegmentMeta()
        var format = ""
        let statement = try database.prepare("SELECT key, value FROM meta")
        while try statement.step() {
            let value = statement.text(1)
            switch statement.text(0) {
            case "format": format = value
            case "first": meta.first = Int64(value)
            case "previous": meta.previous = Int64(value)
            case "last": meta.last = Int64(value)
            case "holes":
                guard let holes = decode(value) else { throw DamagedSegment("its list of holes is unreadable") }
                meta.holes = holes
            default: throw DamagedSegment("it has an unknown key in its table meta")
            }
        }
        guard format == Self.format else { throw DamagedSegment("it has no format version this program knows") }
        return meta
    }
}

/// A segment's content is not what this program wrote. The reason never holds stored data (I9).
struct DamagedSegment: Error {
    let reason: String
    init(_ reason: String) { self.reason = reason }

    /// Tells damage of a file from trouble with the disk, the memory or the limits of the process.
    static func reason(of error: any Error) -> String? {
        switch error {
        case let error as DamagedSegment: error.reason
        case let error as SQLiteError where error.isShortFile: "a file is shorter than it was"
        case let error as SQLiteError
        where !error.isInputOutput && !error.isBusy && !error.isCannotOpen && !error.isPermission:
            "SQLite says: \(error.message)"
        default: nil
        }
    }
}

enum SegmentFile {
    static let schema = """
        CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
        CREATE TABLE entries(position INTEGER PRIMARY KEY, time INTEGER NOT NULL, kind INTEGER NOT NULL,
            header BLOB NOT NULL, payload BLOB NOT NULL, checksum INTEGER NOT NULL);
        """
    static let insertEntry = "INSERT INTO entries VALUES(?1, ?2, ?3, ?4, ?5, ?6)"
    static let insertMeta = "INSERT OR REPLACE INTO meta VALUES(?1, ?2)"

    /// Makes a log's directory, durably.
    static func makeDirectory(_ directory: String) throws {
        if FileSystem.isDirectory(directory) { return }
        try FileSystem.makeDirectories(directory)
        guard let slash = directory.lastIndex(of: "/"), slash != directory.startIndex else { return }
        try FileSystem.syncDirectory(String(directory[..<slash]))
    }

    /// Creates an empty segment under its name so that a crash at any step leaves either nothing or all of it:
    /// a database whose WAL holds the schema. So an unsealed segment without a WAL has lost entries, for certain.
    static func prepare(_ name: SegmentName, in directory: String, pageBytes: Int) throws {
        let temporary = name.path(in: directory, ".preparing")
        let final = name.path(in: directory)
        guard !FileSystem.exists(final) else {
            throw SegmentedLogError(code: .unavailable, detail: "\(final) is in the way: it should not exist")
        }
        for suffix in ["", "-wal", "-shm"] { try FileSystem.remove(temporary + suffix) }
        do {
            try create(temporary, pageBytes: pageBytes)
            try FileSystem.syncFile(temporary)
            try FileSystem.syncFile(temporary + "-wal")
            try FileSystem.remove(temporary + "-shm")
            try FileSystem.rename(temporary + "-wal", to: final + "-wal")
            try FileSystem.rename(temporary, to: final)
            try FileSystem.syncDirectory(directory)
        } catch {
            // Whatever is left of it now is empty and is removed when the log opens.
            for path in [temporary, final] {
                for suffix in ["", "-wal", "-shm"] { try? FileSystem.remove(path + suffix) }
            }
            throw error
        }
    }

    /// In a function of its own: its connection is closed when it returns, before the files are renamed.
    private static func create(_ path: String, pageBytes: Int) throws {
        let database = try Database(path: path, mode: .create)
        try database.setPragma("page_size", String(pageBytes))
        try configureWriter(database)
        try database.execute("BEGIN;\(schema) INSERT INTO meta VALUES('format', '\(SegmentMeta.format)'); COMMIT;")
    }

    /// Opens a segment's one writing connection.
    static func openWriter(_ name: SegmentName, in directory: String) throws -> Database {
        let database = try Database(path: name.path(in: directory), mode: .readWrite)
        try configureWriter(database)
        return database
    }

    /// Every answer is checked: SQLite may refuse a PRAGMA without an error (F36).
    private static func configureWriter(_ database: Database) throws {
        database.setBusyTimeout(milliseconds: 2_000)
        try database.disableCheckpointOnClose()
        try database.setPragma("journal_mode", "wal")
        try database.setPragma("synchronous", "FULL", expecting: "2")
        try database.setPragma("wal_autocheckpoint", "0")
        try database.setPragma("mmap_size", "0")
        try database.setPragma("cache_size", "-4096")
    }

    /// Opens a segment while no other connection of this process exists. Unlike a reader it may write: SQLite undoes
    /// a change of journal mode a crash has interrupted.
    static func openForRecovery(_ name: SegmentName, in directory: String) throws -> Database {
        let database = try Database(path: name.path(in: directory), mode: .readWrite)
        try database.disableCheckpointOnClose()
        return database
    }

    /// Opens a reading connection: it writes no byte of the database and never checkpoints.
    static func openReader(_ name: SegmentName, in directory: String) throws -> Database {
        let path = name.path(in: directory)
        do {
            return try openReader(path, .readOnly)
        } catch let error as SQLiteError where error.needsRollback && (FileSystem.fileSize(path + "-wal") ?? 0) == 0 {
            // The process ended while the segment left its WAL behind. Everything is in the database file, the journal
            // holds only the old mode.
            return try openReader(path, .immutable)
        }
    }

    private static func openReader(_ path: String, _ mode: Database.Mode) throws -> Database {
        let database = try Database(path: path, mode: mode)
        database.setBusyTimeout(milliseconds: 2_000)
        try database.disableCheckpointOnClose()
        try database.setPragma("mmap_size", "0")
        try database.setPragma("cache_size", "-1024")
        return database
    }

    static let reserveBytes = 1 << 20
    static func reserve(in directory: String) -> String { directory + "/reserve" }

    /// Writes the reserve if it is missing. Without room for it the log works all the same.
    static func keepReserve(in directory: String) {
        let path = reserve(in: directory)
        guard FileSystem.fileSize(path) != reserveBytes else { return }
        guard let free = try? FileSystem.freeBytes(at: directory), free > 4 * reserveBytes else { return }
        try? FileSystem.remove(path)
        try? FileSystem.writeDurably(path, [UInt8](repeating: 0, count: reserveBytes))
    }

    /// Bytes of a segment on disk.
    static func bytes(_ name: SegmentName, in directory: String) -> Int {
        let path = name.path(in: directory)
        return (FileSystem.fileSize(path) ?? 0) + (FileSystem.fileSize(path + "-wal") ?? 0)
    }

    /// Removes a segment so that a crash in between is recognised: the rename says that the rest may go.
    static func remove(_ name: SegmentName, in directory: String) throws {
        let path = name.path(in: directory)
        let released = name.path(in: directory, ".released")
        if FileSystem.exists(path) { try FileSystem.rename(path, to: released) }
        try FileSystem.remove(path + "-wal")
        try FileSystem.remove(path + "-shm")
        try FileSystem.remove(path + "-journal")
        try FileSystem.remove(released)
    }

    /// Moves a damaged segment's files out of the way, keeping them for people.
    static func quarantine(_ name: SegmentName, in directory: String) throws {
        let quarantine = directory + "/quarantine"
        try FileSystem.makeDirectories(quarantine)
        let path = name.path(in: directory)
        var target = quarantine + "/" + name.file()
        var copy = 1
        while FileSystem.exists(target) || FileSystem.exists(target + "-wal") {
            copy += 1
            target = quarantine + "/" + name.file(".\(copy).segment")
        }
        for suffix in ["-journal", "-wal", ""] where FileSystem.exists(path + suffix) {
            try FileSystem.rename(path + suffix, to: target + suffix)
        }
        try FileSystem.remove(path + "-shm")
        try FileSystem.syncDirectory(quarantine)
        try FileSystem.syncDirectory(directory)
    }
}
