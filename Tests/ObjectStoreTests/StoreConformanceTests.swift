// What every object store promises, held against each kind alike: the archive runs on all of them unchanged.

import Glibc
import ObjectStore
import Synchronization
import System
import Testing
import TestSupport

@Suite("every object store")
struct StoreConformanceTests {
    @Test("what was put is what is read, whole, until it is replaced or removed", arguments: StoreKind.available)
    func putAndGet(kind: StoreKind) throws {
        let fixture = try StoreFixture()
        let store = try fixture.store(kind)
        #expect(try store.get("a/b") == nil)
        for bytes in [[], [0], StoreFixture.bytes(100_000, seed: 1)] as [[UInt8]] {
            try store.put("a/b", bytes)
            #expect(try store.get("a/b") == bytes)
            #expect(try FileSystem.read(try store.localFile("a/b")) == bytes)
        }
        try store.remove("a/b")
        #expect(try store.get("a/b") == nil)
        try store.remove("a/b")
        #expect(try store.list("").isEmpty)
    }

    @Test(
        "keys are bytes as they are: = + % space and other letters, in every operation", arguments: StoreKind.available)
    func oddKeys(kind: StoreKind) throws {
        let fixture = try StoreFixture()
        let store = try fixture.store(kind)
        let keys = [
            "reports/date=2026-11-20/part-1.parquet", "a+b/c d", "a%20b/100%", "ä/ö~!$&'()*,;:@", "x/<&>\"'",
            "x/a=b&c=d",
        ]
        for (index, key) in keys.enumerated() {
            try store.put(key, Array("\(index)".utf8))
            #expect(try store.putIfAbsent(key, [1]) == false, "\(key)")
        }
        #expect(try store.list("").map(\.key) == keys.sorted())
        for (index, key) in keys.enumerated() {
            #expect(try store.get(key) == Array("\(index)".utf8), "\(key)")
            #expect(try FileSystem.read(try store.localFile(key)) == Array("\(index)".utf8), "\(key)")
            try store.remove(key)
            #expect(try store.get(key) == nil, "\(key)")
        }
    }

    @Test(
        "a list has every object of the folder, by key, with its size, and none of a folder beside it",
        arguments: StoreKind.available)
    func list(kind: StoreKind) throws {
        let fixture = try StoreFixture()
        let store = try fixture.store(kind)
        let before = SystemTime().wallMicroseconds()
        for key in ["reports/b/2", "reports/a", "reports2/x", "report", "reports/b/1", "reports/_delta_log/0.json"] {
            try store.put(key, Array(key.utf8))
        }
        let found = try store.list("reports")
        #expect(found.map(\.key) == ["reports/_delta_log/0.json", "reports/a", "reports/b/1", "reports/b/2"])
        #expect(found.map(\.bytes) == found.map(\.key.utf8.count))
        #expect(try store.list("reports/").map(\.key) == found.map(\.key))
        #expect(try store.list("nothing").isEmpty && store.list("reports/a").isEmpty)
        // Clocks of the same machine; S3's times may be whole seconds.
        #expect(found.allSatisfy { abs($0.modifiedMicroseconds - before) < 60_000_000 })
        #expect(try store.folders("") == ["reports", "reports2"])
        #expect(try store.folders("reports") == ["_delta_log", "b"])
        #expect(try store.folders("nothing").isEmpty)
    }

    @Test("a list goes on beyond a page of 1,000 keys", arguments: StoreKind.available)
    func longList(kind: StoreKind) throws {
        let fixture = try StoreFixture()
        let store = try fixture.store(kind)
        let failed = Atomic(0)
        together(8) { thread in
            for index in stride(from: thread, to: 1_203, by: 8) {
                let digits = String(index + 10_000)
                do { try store.put("many/\(digits)", []) } catch { failed.add(1, ordering: .relaxed) }
            }
        }
        #expect(failed.load(ordering: .relaxed) == 0)
        #expect(try store.list("many").map(\.key) == (10_000..<11_203).map { "many/\($0)" })
    }

    @Test(
        "a file that is moved in has its bytes, small or in parts, and is gone from where it was",
        arguments: StoreKind.available, [0, 1_000, 5 << 20, (5 << 20) + 1, (12 << 20) + 7])
    func files(kind: StoreKind, size: Int) throws {
        let fixture = try StoreFixture()
        let store = try fixture.store(kind)
        let bytes = StoreFixture.bytes(size, seed: UInt64(size))
        let path = try fixture.file("in", bytes)
        try store.putFile("files/x=1/f", fromPath: path)
        #expect(!FileSystem.exists(path))
        #expect(try store.get("files/x=1/f") == bytes)
        let fresh = try #require(try store.freshFile("files/x=1/f"))
        #expect(try FileSystem.read(fresh) == bytes)
        #expect(try store.list("files").map(\.bytes) == [size])
        #expect(try store.freshFile("files/none") == nil)
    }

    @Test(
        "of 20 writers of a name at the same time exactly one is told that it won, and its bytes are there",
        arguments: StoreKind.available)
    func race(kind: StoreKind) throws {
        let fixture = try StoreFixture()
        let store = try fixture.store(kind)
        for round in 0..<5 {
            let key = "log/\(round).json"
            let winners = Monitor([Int]())
            let errors = Monitor([String]())
            together(20) { writer in
                do {
                    if try store.putIfAbsent(key, Array("writer \(writer)".utf8)) {
                        winners.update { $0.append(writer) }
                    }
                } catch {
                    errors.update { $0.append("\(error)") }
                }
            }
            #expect(errors.withLock { $0 } == [])
            let won = winners.withLock { $0 }
            #expect(won.count == 1)
            #expect(try store.get(key) == Array("writer \(won.first ?? -1)".utf8))
        }
    }

    @Test("a key that is no relative path is refused before anything is sent", arguments: StoreKind.available)
    func invalidKeys(kind: StoreKind) throws {
        let fixture = try StoreFixture()
        let store = try fixture.store(kind)
        for key in ["", "/a", "a//b", "a/../b", "./a", "a/", "a\0b"] {
            #expect(throws: InvalidObjectKey.self) { try store.put(key, []) }
            #expect(throws: InvalidObjectKey.self) { try store.get(key) }
            #expect(throws: InvalidObjectKey.self) { try store.putIfAbsent(key, []) }
            #expect(throws: InvalidObjectKey.self) { try store.remove(key) }
        }
    }

    @Test(
        "the local files of many objects come in the order asked for, in groups where they do not fit together",
        arguments: StoreKind.available)
    func groups(kind: StoreKind) throws {
        let fixture = try StoreFixture()
        let store: any ObjectStore =
            kind == .s3 ? try fixture.s3(WeedServer.shared().endpoint, cacheBytes: 4_000_000) : try fixture.store(kind)
        var objects: [SizedKey] = []
        for index in 0..<12 {
            let bytes = StoreFixture.bytes(600_000, seed: UInt64(index))
            try store.put("g/\(index + 10)", bytes)
            objects.append(SizedKey(key: "g/\(index + 10)", bytes: bytes.count))
        }
        var seen: [[UInt8]] = []
        var groups = 0
        try store.withLocalFiles(objects) { paths in
            groups += 1
            for path in paths { seen.append(Array(try FileSystem.read(path).prefix(8))) }
        }
        #expect(seen == (0..<12).map { StoreFixture.bytes(8, seed: UInt64($0)) })
        #expect((groups > 1) == (store.localBytesLimit != nil))
        let keys = objects.prefix(5).map(\.key)
        #expect(try store.localFiles(keys).map { FileSystem.fileSize($0) } == Array(repeating: 600_000, count: 5))
    }
}
