// What the log's tests share: a directory that goes away, entries whose bytes follow from their position, incidents
// kept.

import Glibc
import Synchronization
import System

import SegmentedLog
import TestSupport

/// A reproducible source of random numbers that knows its seed; tests print it.
struct SeededRandom: RandomNumberGenerator {
    private var generator: SeededGenerator
    let seed: UInt64

    init(seed: UInt64) {
        self.seed = seed
        generator = SeededGenerator(seed: seed)
    }

    mutating func next() -> UInt64 { generator.next() }

    /// A seed from the environment to replay a failure, else a new one.
    static func fresh(_ test: String) -> SeededRandom {
        let seed = Environment.variable("COLUMBA_TEST_SEED").flatMap { UInt64($0) } ?? UInt64.random(in: 1 ... .max)
        let line = Array("seed of \(test): COLUMBA_TEST_SEED=\(seed)\n".utf8)
        _ = write(STDERR_FILENO, line, line.count)
        return SeededRandom(seed: seed)
    }
}

/// An entry's content, so that a test can say what must be stored.
struct Content: Hashable {
    var time: Int64
    var kind: UInt8
    var header: [UInt8]
    var payload: [UInt8]

    init(_ entry: LogEntry) {
        (time, kind, header, payload) = (entry.timeMicroseconds, entry.kind, entry.header, entry.payload)
    }

    /// Content that follows from a number.
    init(number: Int64, payloadBytes: Int = 300) {
        var random = SeededRandom(seed: UInt64(bitPattern: number))
        time = 1_795_150_800_000_000 + number
        kind = UInt8(truncatingIfNeeded: number % 3)
        header = Array("header \(number)".utf8)
        payload = (0..<payloadBytes).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    }

    static func random(_ random: inout SeededRandom, maxBytes: Int = 2_000) -> Content {
        // Now and then one that needs overflow pages.
        let size = Int.random(in: 0..<20, using: &random) == 0 ? 60_000 : Int.random(in: 0...maxBytes, using: &random)
        return Content(number: Int64.random(in: 1...1 << 40, using: &random), payloadBytes: size)
    }
}

extension SegmentedLog {
    func append(_ contents: [Content]) throws -> ClosedRange<Int64> {
        let buffers = contents.map { content -> (UnsafeMutableRawBufferPointer, UnsafeMutableRawBufferPointer) in
            let header = UnsafeMutableRawBufferPointer.allocate(byteCount: content.header.count, alignment: 8)
            let payload = UnsafeMutableRawBufferPointer.allocate(byteCount: content.payload.count, alignment: 8)
            header.copyBytes(from: content.header)
            payload.copyBytes(from: content.payload)
            return (header, payload)
        }
        defer {
            for (header, payload) in buffers {
                // Whoever kept the borrowed bytes reads something else now.
                _ = header.initializeMemory(as: UInt8.self, repeating: 0xee)
                _ = payload.initializeMemory(as: UInt8.self, repeating: 0xee)
                header.deallocate()
                payload.deallocate()
            }
        }
        return try append(
            zip(contents, buffers).map { content, buffer in
                NewLogEntry(
                    timeMicroseconds: content.time, kind: content.kind, header: UnsafeRawBufferPointer(buffer.0),
                    payload: UnsafeRawBufferPointer(buffer.1))
            })
    }

    /// Appends entries whose content follows from their positions.
    func appendNumbered(_ count: Int, payloadBytes: Int = 300) throws -> ClosedRange<Int64> {
        let first = nextPosition
        return try append((0..<Int64(count)).map { Content(number: first + $0, payloadBytes: payloadBytes) })
    }

    /// Everything that can be read, in small steps; stops at nothing.
    func readAll(from: Int64 = 1) throws -> [LogEntry] {
        var result: [LogEntry] = []
        var position = from
        while true {
            let next = try read(from: position, maxEntries: 1_000, maxBytes: 1 << 20)
            guard let last = next.last else { return result }
            result += next
            position = last.position + 1
        }
    }
}

/// A log in a directory of its own.
final class LogFixture: Sendable {
    let directory: String
    let root: String
    private let incidentList = Mutex<[LogIncident]>([])

    /// - Parameter inMemory: on a file system whose fsync costs nothing, for tests of thousands of files.
    init(inMemory: Bool = false) throws {
        let memory = "/dev/shm"
        root =
            inMemory && access(memory, W_OK) == 0
            ? try FileSystem.makeTemporaryDirectory(prefix: "columba-log", in: memory)
            : try FileSystem.makeTemporaryDirectory(prefix: "columba-log")
        directory = root + "/log"
    }

    deinit { try? FileSystem.removeTree(root) }

    var incidents: [LogIncident] { incidentList.withLock { $0 } }
    /// Incidents that tell of lost or damaged data, not of a normal crash.
    var damage: [LogIncident] { incidents.filter { $0.kind != .incompleteTail && $0.kind != .postponed } }

    func forgetIncidents() { incidentList.withLock { $0 = [] } }

    func open(
        _ directory: String? = nil, segmentBytes: Int = 256 << 10, pageBytes: Int = 4_096, firstPosition: Int64 = 1,
        readOnly: Bool = false
    ) throws -> SegmentedLog {
        try SegmentedLog(
            directory: directory ?? self.directory,
            configuration: SegmentedLog.Configuration(
                segmentBytes: segmentBytes, firstPosition: firstPosition, readOnly: readOnly, pageBytes: pageBytes)
        ) { [weak self] incident in
            self?.incidentList.withLock { $0.append(incident) }
        }
    }

    /// Opens a log, uses it, and closes it however that ends.
    func withLog<Result>(
        segmentBytes: Int = 256 << 10, pageBytes: Int = 4_096, firstPosition: Int64 = 1, readOnly: Bool = false,
        _ body: (SegmentedLog) throws -> Result
    ) throws -> Result {
        let log = try open(
            segmentBytes: segmentBytes, pageBytes: pageBytes, firstPosition: firstPosition, readOnly: readOnly)
        defer { log.close() }
        return try body(log)
    }

    /// Writes a file without syncing it: copies in tests are many.
    static func write(_ path: String, _ bytes: [UInt8]) throws {
        let descriptor = Glibc.open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o644)
        guard descriptor >= 0, Glibc.write(descriptor, bytes, bytes.count) == bytes.count, close(descriptor) == 0 else {
            throw SystemError(operation: "write", path: path, errno: errno)
        }
    }

    /// The files of a directory as a crash of the process would leave them (the kernel's view of each file).
    func copy(to name: String) throws -> String {
        let target = root + "/" + name
        try FileSystem.makeDirectories(target)
        for file in try FileSystem.list(directory) where !FileSystem.isDirectory(directory + "/" + file) {
            guard let bytes = try? FileSystem.read(directory + "/" + file) else { continue }
            try LogFixture.write(target + "/" + file, bytes)
        }
        return target
    }

    func files(suffix: String) throws -> [String] {
        try FileSystem.list(directory).filter { $0.hasSuffix(suffix) }.map { directory + "/" + $0 }
    }
}
