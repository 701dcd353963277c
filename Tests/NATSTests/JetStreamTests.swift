// The NATS module against a real server, with the configuration that is shipped.

import Glibc
import NATS
import Synchronization
import System
import TestSupport
import Testing

@Suite("JetStream", .enabled(if: NATSServers.isAvailable, "nats-server is missing: make deps"))
struct JetStreamTests {
    private func connect(_ servers: NATSServers) throws -> JetStream {
        JetStream(try NATSConnection(NATSConfiguration(urls: servers.urls, name: "test"), events: { _ in }))
    }

    private func settings(maxBytes: Int64 = 1 << 20, maxMessageBytes: Int64 = 1 << 20) -> StreamSettings {
        StreamSettings(
            name: "S", subjects: ["s.a", "s.b"], replicas: 1, maxBytes: maxBytes, maxMessageBytes: maxMessageBytes)
    }

    private func message(_ subject: String, _ text: String, id: String? = nil) -> OutgoingMessage {
        OutgoingMessage(
            subject: subject, headers: id.map { [("Nats-Msg-Id", $0), ("Note", "n-" + text)] } ?? [],
            payload: Array(text.utf8))
    }

    @Test("a stream is made once, an equal one is taken, a lower limit raised, another number of subjects refused")
    func ensure() throws {
        let servers = try NATSServers()
        let jetStream = try connect(servers)
        var wanted = settings()
        wanted.firstSequence = 500
        let made = try jetStream.ensure(wanted)
        #expect(made.isNew && made.info.config.discard == "new" && made.info.config.storage == "file")
        #expect(try jetStream.publish(message("s.a", "x")).sequence == 500)
        let again = try jetStream.ensure(settings())
        #expect(!again.isNew && again.changed.isEmpty && again.info.created == made.info.created)
        let larger = try jetStream.ensure(settings(maxBytes: 2 << 20))
        #expect(larger.changed == ["max_bytes"])
        #expect(try jetStream.info("S").config.maxBytes == 2 << 20)
        var other = settings(maxBytes: 2 << 20)
        other.subjects = ["s.a"]
        let conflict = #expect(throws: NATSError.self) { try jetStream.ensure(other) }
        #expect(conflict?.code == .conflict)
        withExtendedLifetime(servers) {}
    }

    @Test("messages come back by subject and position, each once, with their header; an id repeated is stored once")
    func readBack() throws {
        let servers = try NATSServers()
        let jetStream = try connect(servers)
        _ = try jetStream.ensure(settings())
        for index in 1...9 {
            let subject = index % 3 == 0 ? "s.b" : "s.a"
            let answer = try jetStream.publish(message(subject, "\(index)", id: "id\(index)"))
            #expect(answer.sequence == UInt64(index) && !answer.isDuplicate)
        }
        let repeated = try jetStream.publish(message("s.b", "3", id: "id3"))
        #expect(repeated == PublishAcknowledgement(sequence: 3, isDuplicate: true))
        let all = try jetStream.read("S", subjects: "s.*", from: 1, header: "Note")
        #expect(all.map(\.sequence) == Array(1...9))
        #expect(all.map { String(decoding: $0.payload, as: UTF8.self) } == (1...9).map(String.init))
        #expect(all.map(\.header) == (1...9).map { "n-\($0)" })
        #expect(try jetStream.read("S", subjects: "s.b", from: 4).map(\.sequence) == [6, 9])
        #expect(try jetStream.read("S", subjects: "s.*", from: 4, maxMessages: 2).map(\.sequence) == [4, 5])
        #expect(try jetStream.read("S", subjects: "s.*", from: 4, maxBytes: 1).map(\.sequence) == [4])
        #expect(try jetStream.read("S", subjects: "s.*", from: 10).isEmpty)
        #expect(try jetStream.firstSequence("S", subjects: "s.*", since: "2020-01-01T00:00:00Z") == 1)
        #expect(try jetStream.firstSequence("S", subjects: "s.b", since: "2020-01-01T00:00:00Z") == 3)
        #expect(try jetStream.firstSequence("S", subjects: "s.*", since: "2200-01-01T00:00:00Z") == nil)
        // A purge takes one subject's messages up to and with a position.
        try jetStream.purge("S", subject: "s.a", through: 5)
        #expect(try jetStream.read("S", subjects: "s.*", from: 1).map(\.sequence) == [3, 6, 7, 8, 9])
        let state = try jetStream.info("S", subjects: "s.*").state
        #expect(state.subjects == ["s.a": 2, "s.b": 3] && state.lastSequence == 9 && state.firstSequence == 3)
        withExtendedLifetime(servers) {}
    }

    @Test("a full stream refuses what is new and keeps what it has; a message of another stream has no taker")
    func full() throws {
        let servers = try NATSServers()
        let jetStream = try connect(servers)
        _ = try jetStream.ensure(settings(maxBytes: 64 << 10, maxMessageBytes: 32 << 10))
        let block = String(repeating: "x", count: 30 << 10)
        for _ in 0..<2 { _ = try jetStream.publish(message("s.a", block)) }
        let full = #expect(throws: NATSError.self) { try jetStream.publish(message("s.a", block)) }
        #expect(full?.isFull == true)
        let large = #expect(throws: NATSError.self) { try jetStream.publish(message("s.b", block + block)) }
        #expect(large?.jetStream == JetStreamCode.messageTooLarge)
        let nobody = #expect(throws: NATSError.self) { try jetStream.publish(message("s.c", "x")) }
        #expect(nobody?.code == .noResponders)
        let missing = #expect(throws: NATSError.self) { try jetStream.info("T") }
        #expect(missing?.isStreamMissing == true)
        #expect(try jetStream.info("S").state.messages == 2)
        try jetStream.purge("S", subject: "s.a", through: 1)
        #expect(try jetStream.publish(message("s.a", block)).sequence == 3)
        withExtendedLifetime(servers) {}
    }

    @Test("headers are followed as messages come, from any position, without a payload and without a gap")
    func follow() throws {
        let servers = try NATSServers()
        let jetStream = try connect(servers)
        _ = try jetStream.ensure(settings(maxBytes: 8 << 20))
        for index in 1...1_200 {
            try jetStream.connection.publish(message(index % 2 == 0 ? "s.b" : "s.a", "\(index)", id: "id\(index)"))
        }
        try jetStream.connection.flush()
        #expect(eventually { (try? jetStream.info("S").state.lastSequence) == 1_200 })
        func sequences(_ follower: HeaderFollower, _ count: Int) -> [UInt64] {
            var found: [UInt64] = []
            for _ in 0..<(count + 60) where found.count < count {
                if case .message(let message) = follower.next(timeoutSeconds: 0.5) {
                    #expect(message.header == "n-\(message.sequence)")
                    found.append(message.sequence)
                }
            }
            return found
        }
        let time = SystemTime()
        let all = try HeaderFollower(jetStream, stream: "S", subject: nil, from: 101, header: "Note", time: time)
        #expect(all.pendingAtStart == 1_100)
        #expect(sequences(all, 1_100) == Array(101...1_200))
        let even = try HeaderFollower(jetStream, stream: "S", subject: "s.b", from: 1, header: "Note", time: time)
        #expect(sequences(even, 600) == (1...600).map { $0 * 2 })
        _ = try jetStream.publish(message("s.b", "1201", id: "new"))
        #expect(sequences(all, 1) == [1_201] && sequences(even, 1) == [1_201])
        withExtendedLifetime(servers) {}
    }

    @Test("a bucket keeps the newest value of each key, tells two writers apart, and its revisions say who lives")
    func bucket() throws {
        let servers = try NATSServers()
        let jetStream = try connect(servers)
        let bucket = try KeyValueBucket(jetStream, name: "NODES", replicas: 1)
        let other = try KeyValueBucket(try connect(servers), name: "NODES", replicas: 1)
        #expect(try bucket.get("node.a") == nil && bucket.all().isEmpty)
        let first = try bucket.put("node.a", [1])
        let second = try other.put("node.a", [2])
        try bucket.put("node.b", [3], expecting: 0)
        try bucket.put("rules", [4])
        #expect(first < second)
        #expect(try bucket.get("node.a") == KeyValueEntry(key: "node.a", value: [2], revision: second))
        #expect(try other.all("node").map(\.key) == ["node.a", "node.b"])
        #expect(try other.all().map(\.value) == [[2], [3], [4]])
        let race = #expect(throws: NATSError.self) { try other.put("node.a", [5], expecting: first) }
        #expect(race?.jetStream == JetStreamCode.wrongLastSequence)
        #expect(throws: NATSError.self) { try bucket.put("node.b", [5], expecting: 0) }
        try other.remove("node.b")
        #expect(try bucket.all("node").map(\.key) == ["node.a"] && bucket.get("node.b") == nil)
        // Who writes again and again is seen by the revision, whoever reads.
        let seen = try other.get("node.a")?.revision
        try bucket.put("node.a", [2])
        #expect(try other.get("node.a")?.value == [2] && other.get("node.a")?.revision ?? 0 > seen ?? 0)
        withExtendedLifetime(servers) {}
    }

    @Test("a reader of a bucket's news gets what was written since, each key once, and everything of another bucket")
    func bucketNews() throws {
        let servers = try NATSServers()
        let jetStream = try connect(servers)
        let bucket = try KeyValueBucket(jetStream, name: "FLEET", replicas: 1)
        let empty = try bucket.news(after: nil)
        #expect(empty.isWhole && empty.entries.isEmpty)
        // More keys than one request gives.
        let count = JetStream.messagesPerRead + 100
        for number in 0..<count { try bucket.put("k.\(number)", [1]) }
        let all = try bucket.news(after: empty.position)
        #expect(!all.isWhole && all.entries.map(\.key) == (0..<count).map { "k.\($0)" })
        #expect(try bucket.news(after: all.position).entries.isEmpty)
        try bucket.put("k.7", [2])
        try bucket.put("k.7", [3])
        try bucket.put("k.8", [4])
        try bucket.remove("k.9")
        let news = try bucket.news(after: all.position)
        #expect(news.entries.map(\.key) == ["k.7", "k.8"] && news.entries.map(\.value) == [[3], [4]])
        #expect(try bucket.news(after: nil).entries.count == count - 1)
        // The bucket is lost: it is made anew, and revisions begin again.
        try jetStream.delete("KV_FLEET")
        let lost = try bucket.news(after: news.position)
        #expect(lost.isWhole && lost.entries.isEmpty && lost.position.created != news.position.created)
        for number in 0..<3 { try bucket.put("n.\(number)", [5]) }
        #expect(try bucket.news(after: lost.position).entries.map(\.key) == ["n.0", "n.1", "n.2"])
        // A position of the bucket before says nothing about this one.
        for position in [news.position, KeyValuePosition(created: news.position.created, revision: 2)] {
            let again = try bucket.news(after: position)
            #expect(again.isWhole && again.entries.count == 3)
        }
        withExtendedLifetime(servers) {}
    }

    @Test("the connection survives its server: events say so, and requests fail at once while it is away")
    func reconnect() throws {
        let servers = try NATSServers()
        let events = Mutex<[NATSEvent]>([])
        let configuration = NATSConfiguration(urls: servers.urls, name: "test")
        let connection = try NATSConnection(configuration) { event in events.withLock { $0.append(event) } }
        let jetStream = JetStream(connection)
        _ = try jetStream.ensure(settings())
        _ = try jetStream.publish(message("s.a", "before", id: "1"))
        try servers.kill(0)
        #expect(eventually { !connection.isConnected })
        let started = SystemTime().monotonicNanoseconds()
        #expect(throws: NATSError.self) { try jetStream.publish(message("s.a", "during")) }
        #expect(Waiting.isWithin(1, since: started))
        try servers.start(0)
        #expect(eventually(within: 20) { (try? jetStream.info("S").state.messages) == 1 })
        // Its memory of ids is on the disk as well.
        #expect(try jetStream.publish(message("s.a", "before", id: "1")).isDuplicate)
        let heard = events.withLock { $0 }
        #expect(heard.contains { if case .disconnected = $0 { true } else { false } })
        #expect(heard.contains { if case .reconnected(let url) = $0 { !url.contains("password") } else { false } })
        withExtendedLifetime(servers) {}
    }

    @Test("a real greeting is read; a wrong password and a port where nobody listens are told apart")
    func greetings() throws {
        let servers = try NATSServers()
        let greeting = try ServerGreeting.read(host: "127.0.0.1", port: servers.port(0), timeoutSeconds: 2)
        #expect(greeting.name == "n1" && greeting.hasJetStream && greeting.maxPayload == 1 << 20)
        #expect(try ServerGreeting.checkAll(servers.urls + ["nats://127.0.0.1:1"]).count == 1)
        let nobody = #expect(throws: NATSError.self) { try ServerGreeting.checkAll(["nats://127.0.0.1:1"]) }
        #expect(nobody?.code == .notConnected)
        let wrong = NATSConfiguration(urls: ["nats://central:wrong@127.0.0.1:\(servers.port(0))"], name: "test")
        let refused = #expect(throws: NATSError.self) { try NATSConnection(wrong, events: { _ in }) }
        #expect(refused?.code == .refused && refused?.description.contains("wrong") == false)
        withExtendedLifetime(servers) {}
    }

    @Test("Debian's nats-server 2.9 is refused by name", .enabled(if: access("/usr/sbin/nats-server", X_OK) == 0))
    func debian() throws {
        let port = try FreePorts.find(1)[0]
        let directory = try FileSystem.makeTemporaryDirectory(prefix: "columba-nats")
        defer { try? FileSystem.removeTree(directory) }
        var configuration = ChildProcess.Configuration(
            executable: "/usr/sbin/nats-server",
            arguments: ["-a", "127.0.0.1", "-p", "\(port)", "-js", "-sd", directory])
        configuration.standardError = .null
        let process = try ChildProcess(configuration)
        var refused: NATSError?
        #expect(
            eventually {
                do throws(NATSError) {
                    _ = try ServerGreeting.checkAll(["nats://127.0.0.1:\(port)"])
                    return true
                } catch {
                    refused = error
                    return error.code != .notConnected
                }
            })
        #expect(refused?.code == .unsuitableServer && refused?.description.contains("2.9") == true)
        withExtendedLifetime(process) {}
    }
}
