// A stream belongs to one lake: nodes of another lake are turned away before they touch it.

import Central
import FoundationEssentials
import NATS
import System
import TestSupport
import Testing

@Suite("whose stream it is", .enabled(if: NATSServers.isAvailable, "nats-server is missing: make deps"))
struct StreamOwnerTests {
    private func settings(_ owner: String?) -> StreamSettings {
        var settings = StreamSettings(
            name: "S", subjects: ["s"], replicas: 1, maxBytes: 1 << 20, maxMessageBytes: 1 << 20)
        settings.owner = owner
        return settings
    }

    @Test("one's own mark agrees, none is added, another one is a conflict that says what to set; who asks nothing may")
    func marks() {
        #expect(StreamAgreement.compare(wanted: settings("a"), found: settings("a")) == .agrees)
        #expect(StreamAgreement.compare(wanted: settings(nil), found: settings("a")) == .agrees)
        let added = StreamAgreement.compare(wanted: settings("a"), found: settings(nil))
        #expect(added == .update(settings("a"), changed: ["owner"]))
        guard case .conflict(let reasons) = StreamAgreement.compare(wanted: settings("a"), found: settings("b")) else {
            Issue.record("another lake's stream is taken")
            return
        }
        #expect(reasons.count == 1 && reasons[0].contains("lake b") && reasons[0].contains("`lake`"))
    }

    private func jetStream(_ servers: NATSServers) throws -> JetStream {
        JetStream(try NATSConnection(NATSConfiguration(urls: servers.urls, name: "operator"), events: { _ in }))
    }

    @Test("a node of another lake is refused before anything of the stream has changed, one of the same lake is not")
    func another() throws {
        let servers = try NATSServers()
        let first = try StreamNode(servers, lake: "a")
        var source = BatchSource(seed: 51)
        let last = try first.append(try source.batch(records: 3))
        let stream = try jetStream(servers)
        let before = try stream.info("COLUMBA")
        #expect(before.config.owner == "a")
        // Its lake is further than the stream: it would fill the stream up, and read on behind what is there.
        let error = #expect(throws: NATSError.self) {
            try StreamNode(servers, maxBytes: 512 << 20, archivedThrough: last + 700, lake: "b")
        }
        #expect(error?.code == .conflict && error?.detail.contains("`lake`") == true, "\(String(describing: error))")
        let after = try stream.info("COLUMBA")
        #expect(after.config == before.config && after.state.lastSequence == before.state.lastSequence)
        let second = try StreamNode(servers, name: "second", lake: "a")
        #expect(try second.append(try source.batch(records: 3)) > last)
        withExtendedLifetime((servers, first)) {}
    }

    @Test("a stream from before marks is the lake's whose node comes first; limits can still be raised afterwards")
    func older() throws {
        let servers = try NATSServers()
        do {
            let unmarked = try StreamNode(servers)
            #expect(try jetStream(servers).info("COLUMBA").config.owner == nil)
            withExtendedLifetime(unmarked) {}
        }
        let first = try StreamNode(servers, lake: "a")
        #expect(throws: NATSError.self) { try StreamNode(servers, lake: "b") }
        let larger = try StreamNode(servers, maxBytes: 512 << 20, lake: "a")
        let config = try jetStream(servers).info("COLUMBA").config
        #expect(config.owner == "a" && config.maxBytes == 512 << 20)
        withExtendedLifetime((servers, first, larger)) {}
    }

    @Test("a stream that another lake has marked under a running node ends the node")
    func marked() throws {
        let servers = try NATSServers()
        let reason = Monitor<String?>(nil)
        let node = try StreamNode(servers, lake: "a", onFatal: { text in reason.update { $0 = text } })
        let stream = try jetStream(servers)
        var config = try stream.info("COLUMBA").config
        config.owner = "b"
        let request = OutgoingMessage(
            subject: "$JS.API.STREAM.UPDATE.COLUMBA", payload: Array(try JSONEncoder().encode(config)))
        _ = try stream.connection.request(request)
        #expect(try stream.info("COLUMBA").config.owner == "b")
        #expect(reason.wait(timeoutSeconds: 60) { $0 }?.contains("another lake's") == true)
        withExtendedLifetime((servers, node)) {}
    }
}
