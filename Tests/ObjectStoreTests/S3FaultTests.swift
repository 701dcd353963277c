// Between a writer and its object store anything may be lost, late or wrong. What is acknowledged is there, a name has
// one winner who knows it, and what is not known for certain is not claimed (F16, F47–F49).

import Crypto
import Models
import ObjectStore
import Synchronization
import System
import Testing
import TestSupport

@Suite("an S3 store among faults", .enabled(if: WeedServer.isInstalled, "\(WeedServer.missing)"))
struct S3FaultTests {
    private func isCreation(_ request: ProxiedRequest) -> Bool { request.header("if-none-match") != nil }

    private func proxied(
        _ fixture: StoreFixture, change: (inout S3Settings) -> Void = { _ in },
        react: @escaping @Sendable (ProxiedRequest, Int) -> Reaction
    ) throws -> (S3Proxy, S3ObjectStore) {
        let proxy = try S3Proxy(to: try WeedServer.shared().port, react: react)
        return (proxy, try fixture.s3(proxy.endpoint, change: change))
    }

    @Test("a put-if-absent whose success was lost on the way is recognised as won", arguments: [false, true])
    func lostSuccess(isReplaced: Bool) throws {
        let fixture = try StoreFixture()
        let lost = Atomic(false)
        let (proxy, store) = try proxied(fixture) { request, _ in
            guard request.header("if-none-match") != nil else { return .pass }
            guard !lost.exchange(true, ordering: .relaxed) else { return .pass }
            return isReplaced ? .instead(status: 500) : .loseAnswer
        }
        defer { proxy.end() }
        #expect(try store.putIfAbsent("log/1", Array("mine".utf8)))
        #expect(try store.get("log/1") == Array("mine".utf8))
        #expect(store.counts.recognised >= 1)
        #expect(try !store.putIfAbsent("log/1", Array("mine".utf8)))
    }

    @Test("a put-if-absent whose refusal was lost on the way has lost, even where the winner wrote the same bytes")
    func lostRefusal() throws {
        let fixture = try StoreFixture()
        let other = try fixture.s3(try WeedServer.shared().endpoint)
        #expect(try other.putIfAbsent("log/1", Array("same".utf8)))
        let lost = Atomic(false)
        let (proxy, store) = try proxied(fixture) { request, _ in
            request.header("if-none-match") != nil && !lost.exchange(true, ordering: .relaxed) ? .loseAnswer : .pass
        }
        defer { proxy.end() }
        #expect(try !store.putIfAbsent("log/1", Array("same".utf8)))
        #expect(store.counts.recognised == 0)
    }

    @Test("a request that never reached the server is sent again, and another writer in between wins")
    func overtaken() throws {
        let fixture = try StoreFixture()
        let other = try fixture.s3(try WeedServer.shared().endpoint)
        let dropped = Atomic(false)
        let (proxy, store) = try proxied(fixture) { request, _ in
            guard request.header("if-none-match") != nil, !dropped.exchange(true, ordering: .relaxed) else {
                return .pass
            }
            // The other writer is done before the first attempt's failure is known.
            return (try? other.putIfAbsent("log/1", Array("other".utf8))) == true ? .drop : .pass
        }
        defer { proxy.end() }
        #expect(try !store.putIfAbsent("log/1", Array("mine".utf8)))
        #expect(try store.get("log/1") == Array("other".utf8))
    }

    @Test("a put-if-absent that is refused because its own first attempt succeeded is recognised as won")
    func refusedByItself() throws {
        let fixture = try StoreFixture()
        let (proxy, store) = try proxied(fixture) { request, number in
            // The answer is lost, and so is the question who wrote it: the second attempt meets the first one's object.
            number == 0 ? .loseAnswer : number == 1 ? .drop : .pass
        }
        defer { proxy.end() }
        #expect(try store.putIfAbsent("log/1", Array("mine".utf8)))
        let methods = proxy.requests.map(\.method)
        #expect(methods.prefix(2) == ["PUT", "HEAD"] && methods.count { $0 == "PUT" } == 2, "\(methods)")
        #expect(store.counts.recognised == 1)
    }

    @Test("where no answer comes at all, neither winning nor losing is claimed")
    func undecided() throws {
        let fixture = try StoreFixture()
        let isCut = Atomic(true)
        let (proxy, store) = try proxied(fixture, change: { $0.attempts = 3 }) { _, _ in
            isCut.load(ordering: .relaxed) ? .loseAnswer : .pass
        }
        defer { proxy.end() }
        let error = #expect(throws: S3Error.self) { try store.putIfAbsent("log/1", Array("mine".utf8)) }
        #expect(error?.kind == .undecided)
        // It is there all the same: whoever goes on reads first.
        isCut.store(false, ordering: .relaxed)
        #expect(try store.get("log/1") == Array("mine".utf8))
    }

    @Test("20 writers whose answers are lost at random: one winner each, who is told, and the loser never")
    func raceAmongLosses() throws {
        let seed = UInt64.random(in: 0 ... .max)
        print("seed \(seed)")
        let fixture = try StoreFixture()
        let chance = Mutex(SeededGenerator(seed: seed))
        let (proxy, store) = try proxied(fixture, change: { $0.attempts = 12 }) { _, _ in
            switch chance.withLock({ UInt64.random(in: 0..<10, using: &$0) }) {
            case 0: .loseAnswer
            case 1: .drop
            case 2: .instead(status: 503)
            default: .pass
            }
        }
        defer { proxy.end() }
        for round in 0..<3 {
            let winners = Monitor([Int]())
            let undecided = Atomic(0)
            together(20) { writer in
                do {
                    if try store.putIfAbsent("log/\(round)", Array("\(writer)".utf8)) {
                        winners.update { $0.append(writer) }
                    }
                } catch {
                    undecided.add(1, ordering: .relaxed)
                }
            }
            let won = winners.withLock { $0 }
            let bytes = try fixture.s3(try WeedServer.shared().endpoint).get("log/\(round)")
            #expect(won.count == 1 || (won.isEmpty && undecided.load(ordering: .relaxed) > 0), "\(won)")
            if let winner = won.first { #expect(bytes == Array("\(winner)".utf8)) }
        }
    }

    @Test("overload and lost connections are passed over, within the attempts allowed")
    func retries() throws {
        let fixture = try StoreFixture()
        let (proxy, store) = try proxied(fixture) { _, number in
            switch number % 4 {
            case 0: .answer(status: 503, body: "<Error><Code>SlowDown</Code></Error>")
            case 1: .drop
            case 2: .instead(status: 500)
            default: .pass
            }
        }
        defer { proxy.end() }
        try store.put("a", Array("1".utf8))
        #expect(try store.get("a") == Array("1".utf8))
        #expect(try store.list("").map(\.key) == ["a"])
        #expect(FileSystem.fileSize(try store.localFile("a")) == 1)
        try store.remove("a")
        #expect(try store.get("a") == nil)
        #expect(store.counts.retries >= 10)
    }

    @Test("an answer that stops in its middle is no answer: neither in memory nor as a file")
    func cutAnswers() throws {
        let fixture = try StoreFixture()
        let cut = Atomic(0)
        let (proxy, store) = try proxied(fixture) { request, _ in
            request.method == "GET" && cut.add(1, ordering: .relaxed).newValue % 2 == 1 ? .cutAnswer : .pass
        }
        defer { proxy.end() }
        let bytes = StoreFixture.bytes(300_000, seed: 3)
        try store.put("a", bytes)
        #expect(try store.get("a") == bytes)
        #expect(try FileSystem.read(try store.localFile("a")) == bytes)
    }

    @Test("a server that says nothing costs the time limit, not for ever, and the error says what to look at")
    func hangs() throws {
        let fixture = try StoreFixture()
        let change: (inout S3Settings) -> Void = {
            $0.requestSeconds = 0.2
            $0.attempts = 2
        }
        let (proxy, store) = try proxied(fixture, change: change) { _, _ in .hang }
        defer { proxy.end() }
        let start = SystemTime().monotonicNanoseconds()
        let bodies: [() throws -> Void] = [
            { try store.put("a", [1]) }, { _ = try store.get("a") }, { _ = try store.list("") },
        ]
        for body in bodies {
            let error = #expect(throws: S3Error.self) { try body() }
            #expect(error?.kind == .timedOut && error?.description.contains("too slow") == true)
        }
        #expect(Waiting.isWithin(5, since: start))
    }

    @Test("nobody there, a wrong key, no bucket: an error each, by name, with no secret in it")
    func clearErrors() throws {
        let fixture = try StoreFixture()
        let weed = try WeedServer.shared()
        let port = try FreePorts.find(1)[0]
        func kind(_ store: S3ObjectStore) -> String {
            do {
                try store.check()
                return "no error"
            } catch {
                #expect(!"\(error)".contains(WeedServer.secretKey))
                return (error as? S3Error)?.kind.rawValue ?? "\(error)"
            }
        }
        #expect(kind(try fixture.s3("http://127.0.0.1:\(port)") { $0.attempts = 2 }) == "unreachable")
        let wrong = S3Credentials(accessKey: WeedServer.accessKey, secretKey: "wrong")
        #expect(kind(try fixture.s3(weed.endpoint) { $0.credentials = { wrong } }) == "forbidden")
        let stranger = S3Credentials(accessKey: "nobody", secretKey: WeedServer.secretKey)
        #expect(kind(try fixture.s3(weed.endpoint) { $0.credentials = { stranger } }) == "forbidden")
        let client = try S3Client(StoreFixture.settings(weed.endpoint))
        let cache = try ObjectCache.open(in: "\(fixture.directory)/c", maxBytes: 1 << 20)
        let nowhere = S3ObjectStore(
            S3Location(bucket: "no-such-bucket"), client: client, cache: cache, cacheName: "lake")
        #expect(kind(nowhere) == "noBucket")
        #expect(kind(try fixture.s3(weed.endpoint)) == "no error")
    }

    @Test("keys that are changed in their files are taken up when the server refuses the old ones")
    func rotation() throws {
        let fixture = try StoreFixture()
        let good = S3Credentials(accessKey: WeedServer.accessKey, secretKey: WeedServer.secretKey)
        let current = Mutex(S3Credentials(accessKey: WeedServer.accessKey, secretKey: "old"))
        let store = try fixture.s3(try WeedServer.shared().endpoint) { $0.credentials = { current.withLock { $0 } } }
        #expect(throws: S3Error.self) { try store.put("a", [1]) }
        current.withLock { $0 = good }
        try store.put("a", [1])
        #expect(try store.get("a") == [1])
    }

    @Test("a server that ignores If-None-Match, or what stands beside an object, is refused before anything is written")
    func unsuitable() throws {
        let fixture = try StoreFixture()
        let ignoring = try S3Proxy { request, _ in
            request.method == "HEAD" ? .answer(status: 404, body: "") : .answer(status: 200, body: "")
        }
        defer { ignoring.end() }
        let error = #expect(throws: S3Error.self) { try fixture.s3(ignoring.endpoint).check() }
        #expect(error?.kind == .unsuitable)
    }

    @Test(
        "a list that turns in a circle or is no list is an error",
        arguments: [
            "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>",
            "<ListBucketResult><IsTruncated>true</IsTruncated>"
                + "<NextContinuationToken>x</NextContinuationToken></ListBucketResult>",
            "<html>captive portal</html>", "", "<ListBucketResult>",
        ])
    func strangeLists(body: String) throws {
        let fixture = try StoreFixture()
        let proxy = try S3Proxy { _, _ in .answer(status: 200, body: body) }
        defer { proxy.end() }
        let error = #expect(throws: S3Error.self) { try fixture.s3(proxy.endpoint).list("") }
        #expect(error?.kind == .badAnswer)
    }

    @Test("an object whose bytes are not those that were written is an error, in memory and as a file")
    func damaged() throws {
        let fixture = try StoreFixture()
        // Other bytes with the first ones' digest beside them: bit rot as a reader sees it.
        let proxy = try S3Proxy { request, _ in
            request.method == "HEAD" ? .answer(status: 200, body: "") : .damaged("wrong", digestOf: "right")
        }
        defer { proxy.end() }
        let reader = try fixture.s3(proxy.endpoint)
        let bodies: [() throws -> Void] = [
            { _ = try reader.get("a") }, { _ = try reader.localFile("a") }, { _ = try reader.freshFile("a") },
        ]
        for body in bodies {
            let error = #expect(throws: S3Error.self) { try body() }
            #expect(error?.kind == .damaged)
        }
    }
}
