// The object store itself is killed: what it acknowledged is there afterwards, and unfinished uploads leave nothing
// that is seen.

import Crypto
import Models
import ObjectStore
import Synchronization
import System
import Testing
import TestSupport

@Suite("the object store is killed", .enabled(if: WeedServer.isInstalled, "\(WeedServer.missing)"))
struct S3KillTests {
    private func patient(_ settings: inout S3Settings) {
        settings.attempts = 200
        settings.longestPauseSeconds = 0.3
        settings.requestSeconds = 5
    }

    @Test("kill -9 again and again among writes: every acknowledged object is there, every name had one winner")
    func killed() throws {
        let weed = try WeedServer()
        defer { weed.end() }
        try weed.start()
        let fixture = try StoreFixture()
        let store = try fixture.s3(weed.endpoint, change: patient)
        try store.check()
        let acknowledged = Monitor([(key: String, bytes: [UInt8])]())
        let problems = Monitor([String]())
        let isOver = Atomic(false)
        let killer = WorkerThread(name: "killer") {
            for round in 1...3 {
                // As many writes as a life lasts, not a time.
                _ = eventually(within: 20) { acknowledged.withLock { $0.count } > round * 60 }
                weed.kill()
                do { try weed.start() } catch { problems.update { $0.append("\(error)") } }
            }
            isOver.store(true, ordering: .relaxed)
        }
        together(4) { writer in
            var index = 0
            while !isOver.load(ordering: .relaxed) || index < 100 {
                index += 1
                let bytes = StoreFixture.bytes(200 + index, seed: UInt64(writer * 100_000 + index))
                let key = index % 3 == 0 ? "log/\(index)" : "data/\(writer)/\(index)"
                do {
                    if index % 3 == 0 {
                        guard try store.putIfAbsent(key, bytes) else { continue }
                    } else {
                        try store.put(key, bytes)
                    }
                    acknowledged.update { $0.append((key, bytes)) }
                } catch {
                    problems.update { $0.append("\(key): \(error)") }
                }
            }
        }
        killer.join()
        #expect(problems.withLock { $0 } == [])
        let all = acknowledged.withLock { $0 }
        #expect(Set(all.map(\.key)).count == all.count, "a name was won twice")
        for (key, bytes) in all { #expect(try store.get(key) == bytes, "\(key)") }
        #expect(all.count > 240 && all.contains { $0.key.hasPrefix("log/") })
    }

    @Test("an upload in parts that a crash ended is not seen, and is aborted when it is old enough")
    func leftOver() throws {
        let fixture = try StoreFixture()
        let weed = try WeedServer.shared()
        // Everything behind the first part is lost, the abort too: as if this process had died there.
        let proxy = try S3Proxy(to: weed.port) { request, _ in
            request.method == "POST" && request.target.contains("uploads=") || request.target.contains("partNumber=1&")
                ? .pass : .drop
        }
        defer { proxy.end() }
        let dying = try fixture.s3(proxy.endpoint) { $0.attempts = 1 }
        let bytes = StoreFixture.bytes((10 << 20) + 5, seed: 4)
        let path = try fixture.file("big", bytes)
        #expect(throws: S3Error.self) { try dying.putFile("reports/big.parquet", fromPath: path) }
        #expect(FileSystem.exists(path), "a file that was not stored stays")

        let store = try fixture.s3(weed.endpoint)
        #expect(try store.get("reports/big.parquet") == nil && store.list("").isEmpty)
        let now = Timestamp(microseconds: SystemTime().wallMicroseconds())
        #expect(try store.removeUnfinished(olderThanSeconds: 3600, now: now) == 0)
        let later = Timestamp(microseconds: now.microseconds + 7_200_000_000)
        let other = try StoreFixture().s3(weed.endpoint)
        #expect(try other.removeUnfinished(olderThanSeconds: 3600, now: later) == 0, "another store's are its own")
        #expect(try store.removeUnfinished(olderThanSeconds: 3600, now: later) == 1)
        #expect(try store.removeUnfinished(olderThanSeconds: 3600, now: later) == 0)
        try store.putFile("reports/big.parquet", fromPath: path)
        #expect(try store.get("reports/big.parquet") == bytes)
    }

    @Test("an upload that fails is aborted at once, and one that the server knows no more may have been completed")
    func endsOfUploads() throws {
        let fixture = try StoreFixture()
        let weed = try WeedServer.shared()
        let completions = Atomic(0)
        let isRefusing = Atomic(true)
        let proxy = try S3Proxy(to: weed.port) { request, _ in
            if isRefusing.load(ordering: .relaxed), request.target.contains("partNumber=2&") {
                return .answer(status: 400, body: "<Error><Code>InvalidPart</Code></Error>")
            }
            guard request.method == "POST", request.target.contains("uploadId") else { return .pass }
            // As AWS has it: whose completion was carried out is not known any more.
            return completions.add(1, ordering: .relaxed).newValue == 1
                ? .loseAnswer : .answer(status: 404, body: "<Error><Code>NoSuchUpload</Code></Error>")
        }
        defer { proxy.end() }
        let store = try fixture.s3(proxy.endpoint)
        let bytes = StoreFixture.bytes((10 << 20) + 5, seed: 6)
        let path = try fixture.file("big", bytes)
        let later = Timestamp(microseconds: SystemTime().wallMicroseconds() + 7_200_000_000)
        #expect(throws: S3Error.self) { try store.putFile("big", fromPath: path) }
        #expect(try store.removeUnfinished(olderThanSeconds: 60, now: later) == 0)
        isRefusing.store(false, ordering: .relaxed)
        try store.putFile("big", fromPath: path)
        #expect(completions.load(ordering: .relaxed) == 2)
        #expect(try store.get("big") == bytes)
        // Another's object under that name is no completion.
        let other = try fixture.file("other", StoreFixture.bytes((10 << 20) + 5, seed: 7))
        completions.store(1, ordering: .relaxed)
        #expect(throws: S3Error.self) { try store.putFile("big", fromPath: other) }
        #expect(try store.get("big") == bytes)
    }

    @Test("a large upload whose parts and last answer are lost again and again arrives whole")
    func lossyUpload() throws {
        let fixture = try StoreFixture()
        let weed = try WeedServer.shared()
        let proxy = try S3Proxy(to: weed.port) { request, number in
            if request.method == "POST", request.target.contains("uploadId") {
                return number % 2 == 1 ? .pass : .loseAnswer
            }
            return [.pass, .loseAnswer, .drop][number % 3]
        }
        defer { proxy.end() }
        let store = try fixture.s3(proxy.endpoint) { $0.attempts = 12 }
        let bytes = StoreFixture.bytes((11 << 20) + 3, seed: 5)
        try store.putFile("big", fromPath: try fixture.file("big", bytes))
        #expect(try fixture.s3(weed.endpoint).get("big") == bytes)
        let later = Timestamp(microseconds: SystemTime().wallMicroseconds() + 7_200_000_000)
        #expect(try fixture.s3(weed.endpoint).removeUnfinished(olderThanSeconds: 60, now: later) == 0)
        #expect(proxy.requests.count { $0.method == "POST" } == 3, "the last step's answer was lost once")
    }
}
