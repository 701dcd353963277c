// What of the NATS module needs no server: versions, addresses, the agreement of settings.

import NATS
import Testing

@Suite("NATS without a server")
struct NATSPureTests {
    private func greeting(_ version: String, jetStream: Bool = true) throws -> ServerGreeting {
        try ServerGreeting(
            line: Array(
                #"INFO {"server_id":"A","server_name":"n1","version":"\#(version)","jetstream":\#(jetStream),"#.utf8)
                + Array(#""max_payload":1048576,"headers":true}"#.utf8))
    }

    @Test(
        "a server that cannot promise its disk, or cannot read in batches, is refused with what to do",
        arguments: ["2.9.10", "2.9.25", "2.10.29", "1.4.1", "0.0.0"])
    func old(_ version: String) throws {
        let error = #expect(throws: NATSError.self) { try greeting(version).check(at: "127.0.0.1:4222") }
        #expect(error?.code == .unsuitableServer)
        let words = error?.description ?? ""
        #expect(words.contains(version) && words.contains("sync_interval") && words.contains("make deps"))
        #expect(words.contains("127.0.0.1:4222"))
    }

    @Test("a newer server is taken", arguments: ["2.11.0", "2.15.1", "v2.15.0", "2.12.0-RC.3", "3.0.0"])
    func suitable(_ version: String) throws {
        try greeting(version).check(at: "a:1")
        #expect(ServerVersion(version) ?? .init(major: 0, minor: 0, patch: 0) >= .minimum)
    }

    @Test("a server without JetStream, and what is no NATS server at all, are refused")
    func others() throws {
        #expect(throws: NATSError.self) { try greeting("2.15.1", jetStream: false).check(at: "a:1") }
        #expect(throws: NATSError.self) { try greeting("two").check(at: "a:1") }
        for line in ["SSH-2.0-OpenSSH", "INFO", "INFO {", "INFO []", ""] {
            #expect(throws: NATSError.self) { try ServerGreeting(line: Array(line.utf8)) }
        }
    }

    @Test("versions are compared by number, not by letter")
    func order() throws {
        let texts = ["2.9.10", "2.10.2", "2.10.10", "2.11.0", "3.0.0"]
        let versions = try texts.map { try #require(ServerVersion($0)) }
        #expect(versions == versions.sorted() && versions.map(\.description) == texts)
        for text in ["2.11", "2.11.0.1", "", "2.x.1", "-1.2.3", "2..1"] { #expect(ServerVersion(text) == nil) }
    }

    @Test("an address is read with and without scheme, password and port")
    func addresses() {
        func read(_ url: String) -> String {
            ServerGreeting.address(of: url).map { "\($0.host) \($0.port)" } ?? "none"
        }
        #expect(read("nats://a:1") == "a 1" && read("tls://a.example") == "a.example 4222")
        #expect(read("nats://user:p@ss@10.0.0.1:14222") == "10.0.0.1 14222")
        #expect(read("nats://[::1]:5") == "::1 5" && read("[::1]") == "::1 4222")
        for url in ["", "nats://", "nats://a:0", "nats://a:x", "nats://a/b", "http://a:1"] {
            #expect(read(url) == "none")
        }
        #expect(NATSConnection.withoutSecrets("nats://user:p@ss@10.0.0.1:1") == "nats://10.0.0.1:1")
        #expect(NATSConnection.withoutSecrets("nats://a:1") == "nats://a:1")
    }

    private let wanted = StreamSettings(
        name: "S", subjects: ["s.a", "s.b"], replicas: 3, maxBytes: 1_000, maxMessageBytes: 1 << 20)

    @Test("a stream as configured is left alone")
    func agrees() {
        var found = wanted
        found.subjects = ["s.b", "s.a"]
        found.duplicateWindow *= 2
        #expect(StreamAgreement.compare(wanted: wanted, found: found) == .agrees)
    }

    @Test("limits that were lower are raised, and a stream that would lose data no longer does")
    func raised() {
        var found = wanted
        found.replicas = 1
        found.maxBytes = 500
        found.discard = "old"
        found.maxAge = 1_000
        found.maxMessages = 10
        found.allowsDirectReads = false
        guard case .update(let next, let changed) = StreamAgreement.compare(wanted: wanted, found: found) else {
            Issue.record("no update")
            return
        }
        #expect(next == wanted)
        #expect(
            Set(changed) == ["num_replicas", "max_bytes", "discard", "max_age", "max_msgs", "allow_direct"])
    }

    @Test("what would lose or mix data is a conflict that names the setting")
    func conflicts() {
        func words(_ change: (inout StreamSettings) -> Void) -> String {
            var found = wanted
            change(&found)
            guard case .conflict(let reasons) = StreamAgreement.compare(wanted: wanted, found: found) else { return "" }
            return reasons.joined(separator: "; ")
        }
        #expect(words { $0.storage = "memory" }.contains("memory"))
        #expect(words { $0.subjects.append("s.c") }.contains("archive.partitions"))
        #expect(words { $0.subjects = ["s.a"] }.contains("archive.partitions"))
        #expect(words { $0.replicas = 5 }.contains("stream.replicas"))
        #expect(words { $0.maxBytes = 2_000 }.contains("stream.max_bytes"))
        #expect(words { $0.retention = "workqueue" }.contains("workqueue"))
        #expect(words { _ in }.isEmpty)
    }

    @Test("a delivered message's place is read from both forms of its reply subject")
    func places() {
        let old = DeliveryPlace(reply: "$JS.ACK.S.c.1.1003.2.1795179619446208842.7")
        #expect(old?.sequence == 1_003 && old?.delivered == 2 && old?.pending == 7)
        #expect(DeliveryPlace(reply: "$JS.ACK.dom.ACC.S.c.1.1003.2.1795179619446208842.7.tok") == old)
        for reply in ["", "$JS.ACK.S.c.1.x.2.3.7", "_INBOX.a", "$JS.ACK.S.c.1.2.3"] {
            #expect(DeliveryPlace(reply: reply) == nil)
        }
    }

    @Test("a key is made of letters, digits and a few signs")
    func keys() {
        for key in ["node.n-1", "a/b=c_d", "A"] { #expect(KeyValueBucket.isValid(key)) }
        for key in ["", ".a", "a.", "a..b", "a b", "a*", "a>", "ä"] { #expect(!KeyValueBucket.isValid(key)) }
    }

    @Test("an answer's bytes are counted with its headers")
    func bytes() {
        var message = OutgoingMessage(subject: "s", payload: [1, 2, 3])
        #expect(message.bytes == 3)
        message.headers = [("A", "bc")]
        // NATS/1.0 CRLF, "A: bc" CRLF, CRLF.
        #expect(message.bytes == 3 + 10 + 7 + 2)
    }
}
