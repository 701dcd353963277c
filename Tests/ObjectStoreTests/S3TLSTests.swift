// The object store over TLS, with a real server and an authority of our own: everything works through it, and whoever
// cannot show the right certificate is told nothing.

import Crypto
import ObjectStore
import Synchronization
import System
import Testing
import TestSupport

@Suite("an S3 store over TLS", .serialized, .enabled(if: WeedServer.isInstalled, "\(WeedServer.missing)"))
struct S3TLSTests {
    private func secure(
        _ fixture: StoreFixture, _ endpoint: String? = nil, authority: String? = nil,
        change: (inout S3Settings) -> Void = { _ in }
    ) throws -> S3ObjectStore {
        let file = try authority ?? WeedGateway.sharedAuthority().file
        let store = try fixture.s3(try endpoint ?? WeedGateway.shared().endpoint) { settings in
            settings.authoritiesFile = file
            change(&settings)
        }
        return store
    }

    @Test("objects are written, read, fetched, listed, removed, and a name has one winner")
    func operations() throws {
        let fixture = try StoreFixture()
        let store = try secure(fixture)
        // The server may still be learning whom it knows.
        #expect(eventually(within: 20) { (try? store.check()) != nil })
        let bytes = StoreFixture.bytes(300_000, seed: 1)
        try store.put("a/x=1/one", bytes)
        #expect(try store.get("a/x=1/one") == bytes && store.get("a/none") == nil)
        #expect(try FileSystem.read(try store.localFile("a/x=1/one")) == bytes)
        // In parts, and back.
        let large = StoreFixture.bytes((12 << 20) + 7, seed: 2)
        try store.putFile("a/large", fromPath: try fixture.file("in", large))
        let fresh = try #require(try store.freshFile("a/large"))
        #expect(SHA256.hash(try FileSystem.read(fresh)).hex == SHA256.hash(large).hex)
        #expect(try store.list("a").map(\.key) == ["a/large", "a/x=1/one"] && store.folders("a") == ["x=1"])
        let winners = Mutex([Int]())
        together(12) { writer in
            guard (try? store.putIfAbsent("log/1", Array("writer \(writer)".utf8))) == true else { return }
            winners.withLock { $0.append(writer) }
        }
        let won = winners.withLock { $0 }
        #expect(won.count == 1)
        #expect(try store.get("log/1") == Array("writer \(won.first ?? -1)".utf8))
        // It is the same store as without TLS.
        #expect(try fixture.s3(try WeedServer.shared().endpoint).get("a/x=1/one") == bytes)
        try store.remove("a/large")
        #expect(try store.list("a").map(\.key) == ["a/x=1/one"])
    }

    /// The error of a first exchange, and how many there were.
    private func refusal(_ store: S3ObjectStore) -> (kind: S3Error.Kind?, text: String, requests: Int) {
        do {
            try store.put("a", Array("a report".utf8))
            return (nil, "it was accepted", store.counts.requests)
        } catch {
            return ((error as? S3Error)?.kind, "\(error)", store.counts.requests)
        }
    }

    @Test("another authority, another name, an expired certificate: refused at once, and the error says where to look")
    func refusals() throws {
        let fixture = try StoreFixture()
        let (gateway, authority) = (try WeedGateway.shared(), try WeedGateway.sharedAuthority())
        let stranger = try TestAuthority()
        let expired = try WeedGateway(
            before: try WeedServer.shared(), try authority.server("late", names: ["localhost"], expired: true))
        let cases: [(name: String, store: S3ObjectStore, words: String)] = [
            ("another authority", try secure(fixture, authority: stranger.file), "certificate"),
            ("only the system's authorities", try secure(fixture) { $0.authoritiesFile = nil }, "certificate"),
            ("another name", try secure(fixture, "https://127.0.0.1:\(gateway.port)"), "127.0.0.1"),
            ("expired", try secure(fixture, expired.endpoint), "expired"),
            ("no such file", try secure(fixture, authority: "\(fixture.directory)/none.crt"), "none.crt"),
        ]
        for (name, store, words) in cases {
            let found = refusal(store)
            #expect(found.kind == .untrusted && found.requests == 1, "\(name): \(found)")
            #expect(found.text.contains("s3.ca") && found.text.contains(words), "\(name): \(found.text)")
            #expect(!found.text.contains(WeedServer.secretKey))
        }
        // None of them left anything there, and the right one still gets through.
        #expect(try secure(fixture).get("a") == nil)
        withExtendedLifetime(expired) {}
    }

    @Test("a port that does not speak TLS, and TLS where plain HTTP is asked for, are errors that nothing gets past")
    func otherProtocol() throws {
        let fixture = try StoreFixture()
        let plain = refusal(
            try secure(fixture, "https://localhost:\(WeedServer.shared().port)") { $0.attempts = 2 })
        #expect(plain.kind == .unreachable && plain.text.contains("handshake"), "\(plain)")
        let encrypted = refusal(try fixture.s3("http://127.0.0.1:\(WeedGateway.shared().port)"))
        #expect(encrypted.kind == .refused, "\(encrypted)")
    }

    @Test("a handshake that is cut off is tried again, like any lost connection")
    func cutHandshake() throws {
        let fixture = try StoreFixture()
        let tunnel = try CutTunnel(to: try WeedGateway.shared().port, cuttingFirst: 2)
        defer { tunnel.end() }
        let store = try secure(fixture, "https://localhost:\(tunnel.port)")
        try store.put("a", [1, 2, 3])
        #expect(try store.get("a") == [1, 2, 3])
        #expect(tunnel.accepted >= 3 && store.counts.retries == 2)
    }

    @Test("a clock an hour wrong is refused by the server, and the error says that it is the clock")
    func wrongClock() throws {
        let fixture = try StoreFixture()
        let time = ManualTime(wallMicroseconds: SystemTime().wallMicroseconds() - 3_600_000_000)
        let store = try fixture.s3(try WeedServer.shared().endpoint, time: time)
        let error = #expect(throws: S3Error.self) { try store.put("a", [1]) }
        #expect(error?.kind == .forbidden && error?.hint.contains("clock") == true, "\(String(describing: error))")
        time.setWall(microseconds: SystemTime().wallMicroseconds())
        try store.put("a", [1])
    }
}
