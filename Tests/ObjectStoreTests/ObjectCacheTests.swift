// The cache of objects: bounded, never in a reader's way, and never trusted further than its index.

import Crypto
import Glibc
import Synchronization
import System
import TestSupport
import Testing

import ObjectStore

@Suite("the cache of objects")
struct ObjectCacheTests {
    private final class Fixture {
        let directory: String
        let time = ManualTime()
        let fetched = Monitor([String]())

        init() throws { directory = try FileSystem.makeTemporaryDirectory(prefix: "columba-cache") }
        deinit { try? FileSystem.removeTree(directory) }

        func cache(_ maxBytes: Int = 1000) throws -> ObjectCache {
            try ObjectCache(directory: "\(directory)/0", maxBytes: maxBytes, time: time)
        }

        /// Fetches `size` bytes made of the name.
        func use(_ cache: ObjectCache, _ name: String, size: Int = 100) throws -> String {
            try cache.file(name) { path, room in
                fetched.update { $0.append(name) }
                try room(size)
                try FileSystem.writeAtomically(path, Self.content(name, size))
                return try ObjectCache.measure(path)
            }
        }

        static func content(_ name: String, _ size: Int) -> [UInt8] {
            Array(repeatElement(Array(name.utf8), count: size).joined().prefix(size))
        }

        var fetches: [String] { fetched.withLock { $0 } }
    }

    @Test("a copy lies under its key's folders, is fetched once, and others may not enter the folder")
    func once() throws {
        let fixture = try Fixture()
        let cache = try fixture.cache()
        let path = try fixture.use(cache, "lake/date=2026-11-20/a")
        #expect(path.hasSuffix("/objects/lake/date=2026-11-20/a"))
        #expect(try FileSystem.read(path) == Fixture.content("lake/date=2026-11-20/a", 100))
        #expect(try fixture.use(cache, "lake/date=2026-11-20/a") == path)
        #expect(fixture.fetches.count == 1)
        var status = stat()
        #expect(stat(cache.directory, &status) == 0 && status.st_mode & 0o777 == 0o700)
        let counts = cache.counts
        #expect(counts.files == 1 && counts.bytes == 100 && counts.hits == 1 && counts.fetches == 1)
    }

    @Test("the least recently used copies make room, and none that was used within 15 minutes")
    func eviction() throws {
        let fixture = try Fixture()
        let cache = try fixture.cache(300)
        for name in ["a", "b", "c"] {
            _ = try fixture.use(cache, name)
            fixture.time.advance(seconds: 60)
        }
        // a is the oldest, and used again.
        _ = try fixture.use(cache, "a")
        #expect(throws: ObjectCache.Full.self) { try fixture.use(cache, "d") }
        #expect(cache.counts.bytes == 300 && cache.counts.evictions == 0)
        // b's last use is 16 minutes ago, c's 15 and a's 14.
        fixture.time.advance(seconds: 14 * 60)
        _ = try fixture.use(cache, "d")
        #expect(cache.known("b") == nil && !FileSystem.exists(cache.path("b")))
        #expect(cache.known("a") != nil && cache.known("c") != nil && cache.known("d") != nil)
        // All in use: the limit holds, and the error says which setting it is.
        let error = #expect(throws: ObjectCache.Full.self) { try fixture.use(cache, "e") }
        #expect(error?.description.contains("s3.cache_bytes") == true)
        #expect(cache.counts.bytes == 300)
        #expect(throws: ObjectCache.Full.self) { try fixture.use(cache, "huge", size: 301) }
    }

    @Test("what is released by its only user may go at once; what another has used since may not")
    func release() throws {
        let fixture = try Fixture()
        let cache = try fixture.cache(200)
        _ = try fixture.use(cache, "a")
        _ = try fixture.use(cache, "b")
        _ = try fixture.use(cache, "b")
        cache.release(["a", "b"])
        _ = try fixture.use(cache, "c")
        #expect(cache.known("a") == nil && cache.known("b") != nil)
        #expect(throws: ObjectCache.Full.self) { try fixture.use(cache, "d") }
    }

    @Test("a copy stays while a query holds a lease, and a lease is no use by itself")
    func lease() throws {
        let fixture = try Fixture()
        let cache = try fixture.cache(200)
        _ = try fixture.use(cache, "a")
        _ = try fixture.use(cache, "b")
        #expect(cache.lease(["a", "c"]) == nil)
        do {
            let lease = try #require(cache.lease(["a"]))
            #expect(lease.paths == [cache.path("a")])
            fixture.time.advance(seconds: 901)
            _ = try fixture.use(cache, "c")
            #expect(FileSystem.exists(cache.path("a")) && !FileSystem.exists(cache.path("b")))
            withExtendedLifetime(lease) {}
        }
        _ = try fixture.use(cache, "d")
        #expect(!FileSystem.exists(cache.path("a")))
        try FileSystem.remove(cache.path("d"))
        #expect(cache.lease(["d"]) == nil)
    }

    /// False where the file system is mounted `noatime`: there copies go in the order in which they came.
    private static let keepsReads: Bool = {
        guard let fixture = try? Fixture(), let cache = try? fixture.cache(), let path = try? fixture.use(cache, "a")
        else { return false }
        var status = stat()
        return (try? FileSystem.read(path)) != nil && stat(path, &status) == 0 && status.st_atim.tv_sec > 0
    }()

    @Test(
        "who reads a copy through its path has used it",
        .enabled(if: keepsReads, "this file system keeps no times of access"))
    func reads() throws {
        let fixture = try Fixture()
        let time = ManualTime(wallMicroseconds: SystemTime().wallMicroseconds())
        let cache = try ObjectCache(directory: "\(fixture.directory)/r", maxBytes: 300, time: time)
        for name in ["a", "b", "c"] { _ = try fixture.use(cache, name) }
        time.advance(seconds: 2_000)
        // The kernel's clock has not moved with it: what is read now was read 2,000 s ago, but after b and c.
        _ = try FileSystem.read(cache.path("a"))
        _ = try fixture.use(cache, "d")
        #expect(FileSystem.exists(cache.path("a")) && !FileSystem.exists(cache.path("b")))
        _ = try fixture.use(cache, "e")
        #expect(FileSystem.exists(cache.path("a")) && !FileSystem.exists(cache.path("c")))
    }

    @Test("many threads that want the same object wait for one fetch, and a failed one is tried by the next")
    func concurrency() throws {
        let fixture = try Fixture()
        let cache = try fixture.cache(100_000)
        let failures = Atomic(0)
        struct Unlucky: Error {}
        let tries = Atomic(0)
        together(16) { thread in
            do {
                _ = try cache.file("x") { path, room in
                    let count = tries.add(1, ordering: .relaxed).newValue
                    try room(10)
                    if count == 1 { throw Unlucky() }
                    try FileSystem.writeAtomically(path, Array(repeating: 1, count: 10))
                    return try ObjectCache.measure(path)
                }
            } catch {
                failures.add(1, ordering: .relaxed)
            }
        }
        #expect(tries.load(ordering: .relaxed) == 2 && failures.load(ordering: .relaxed) == 1)
        #expect(cache.counts.fetches == 1 && cache.counts.hits == 14)
        #expect(try FileSystem.list("\(cache.directory)/incoming").isEmpty)
    }

    @Test("random uses of many threads stay within the limit and always give the right bytes")
    func hammer() throws {
        let seed = UInt64.random(in: 0 ... .max)
        print("seed \(seed)")
        let fixture = try Fixture()
        let cache = try ObjectCache(directory: "\(fixture.directory)/h", maxBytes: 5_000, keepSeconds: 0)
        let wrong = Monitor([String]())
        together(8) { thread in
            var chance = SeededGenerator(seed: seed &+ UInt64(thread))
            for _ in 0..<150 {
                let name = "n\(UInt64.random(in: 0..<30, using: &chance))"
                let size = 100 + name.utf8.count * 50
                do {
                    _ = try cache.file(name) { path, room in
                        try room(size)
                        try FileSystem.writeDurably(path, Fixture.content(name, size))
                        return try ObjectCache.measure(path)
                    }
                } catch is ObjectCache.Full {
                    // Seven others are fetching at this moment.
                } catch {
                    wrong.update { $0.append("\(name): \(error)") }
                }
                if cache.counts.bytes > 5_000 { wrong.update { $0.append("\(cache.counts)") } }
            }
        }
        #expect(wrong.withLock { $0 } == [])
        for name in try FileSystem.list("\(cache.directory)/objects") {
            #expect(try FileSystem.read(cache.path(name)) == Fixture.content(name, 100 + name.utf8.count * 50))
        }
        #expect(cache.counts.evictions > 0)
    }

    @Test("copies survive a start; a short, empty or altered one is fetched again, an unknown one goes")
    func restart() throws {
        let fixture = try Fixture()
        do {
            let cache = try fixture.cache(10_000)
            for name in ["lake/good", "lake/short", "lake/altered", "lake/gone", "vault/x/y"] {
                _ = try fixture.use(cache, name)
            }
            withExtendedLifetime(cache) {}
        }
        let objects = "\(fixture.directory)/0/objects"
        try FileSystem.writeAtomically("\(objects)/lake/short", Array(Fixture.content("lake/short", 100).prefix(60)))
        var altered = Fixture.content("lake/altered", 100)
        altered[50] ^= 1
        try FileSystem.writeAtomically("\(objects)/lake/altered", altered)
        try FileSystem.remove("\(objects)/lake/gone")
        try FileSystem.writeAtomically("\(objects)/lake/unknown", [1, 2, 3])
        try FileSystem.writeAtomically("\(fixture.directory)/0/incoming/half", [1])

        let cache = try fixture.cache(10_000)
        fixture.fetched.update { $0 = [] }
        for name in ["lake/good", "lake/short", "lake/altered", "lake/gone", "vault/x/y"] {
            let path = try fixture.use(cache, name)
            #expect(try FileSystem.read(path) == Fixture.content(name, 100), "\(name)")
        }
        #expect(fixture.fetches.sorted() == ["lake/altered", "lake/gone", "lake/short"])
        #expect(!FileSystem.exists("\(objects)/lake/unknown"))
        #expect(try FileSystem.list("\(cache.directory)/incoming").isEmpty)
        #expect(cache.counts.damaged == 1)
    }

    @Test("a copy that was cut or removed while the process runs is fetched again")
    func underway() throws {
        let fixture = try Fixture()
        let cache = try fixture.cache()
        let path = try fixture.use(cache, "a")
        try FileSystem.remove(path)
        #expect(try FileSystem.read(try fixture.use(cache, "a")).count == 100)
        _ = truncate(path, 7)
        #expect(cache.known("a") == nil)
        #expect(try FileSystem.read(try fixture.use(cache, "a")) == Fixture.content("a", 100))
        #expect(fixture.fetches.count == 3)
    }

    @Test("two processes have two folders, and a smaller limit than before is kept by the next fetch")
    func folders() throws {
        let fixture = try Fixture()
        do {
            let first = try ObjectCache.open(in: fixture.directory, maxBytes: 1000, time: fixture.time)
            let second = try ObjectCache.open(in: fixture.directory, maxBytes: 1000, time: fixture.time)
            #expect(first.directory != second.directory)
            for name in ["a", "b", "c", "d"] { _ = try fixture.use(first, name) }
            withExtendedLifetime((first, second)) {}
        }
        let smaller = try ObjectCache.open(in: fixture.directory, maxBytes: 250, time: fixture.time)
        _ = try fixture.use(smaller, "e")
        #expect(smaller.counts.bytes <= 250)
    }
}
