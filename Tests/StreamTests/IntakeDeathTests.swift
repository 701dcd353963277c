// A node ends between two parts of a batch, or between the last one and the relay's answer (F14, F15): the relay sends
// the batch to another node, and each line is settled once.

import Central
import NATS
import SyncProtocol
import System
import TestSupport
import Testing

@Suite("a node dies while it publishes", .enabled(if: NATSServers.isAvailable, "nats-server is missing: make deps"))
struct IntakeDeathTests {
    @Test("after any number of parts the batch is whole when it comes again, also when the servers forgot the first")
    func partsPublished() throws {
        let servers = try NATSServers()
        let node = try StreamNode(servers)
        let jetStream = JetStream(
            try NATSConnection(NATSConfiguration(urls: servers.urls, name: "dead"), events: { _ in }))
        var source = BatchSource(seed: 61)
        var sent = IntervalSet()
        var whole = 0
        for count in 0...4 {
            for isForgotten in [false, true] {
                let batch = try source.batch(records: 30)
                let parts = try #require(try node.stream.splitting(batch).first)
                // The ledger's part goes last.
                for part in (parts.dropFirst() + parts.prefix(1)).prefix(count) {
                    var message = part.message()
                    if isForgotten { message.headers.removeAll { $0.name == JetStream.messageIDHeader } }
                    _ = try jetStream.publish(message)
                }
                // What relays are told rests on the ledger: nothing of a batch that is not whole.
                whole += count == 4 ? 1 : 0
                #expect(try ledger(node, holds: batch.header.numbers) == (count == 4))
                try node.append(batch)
                #expect(try ledger(node, holds: batch.header.numbers))
                sent.formUnion(batch.header.numbers)
            }
        }
        let settled = try node.settle(partitions: 4)
        #expect(settled.archived == sent && whole == 2)
        #expect(settled.lines.values.allSatisfy { $0 == 1 } && Int64(settled.lines.count) == Int64(sent.count))
        withExtendedLifetime(servers) {}
    }

    /// Whether a node that starts now would tell relays that it has them.
    private func ledger(_ node: StreamNode, holds numbers: IntervalSet) throws -> Bool {
        let entries = try node.stream.read(after: .partitions([0: 0]), maxBytes: 64 << 20)
        return entries.contains { numbers.subtracting($0.header.numbers).isEmpty }
    }
}

extension NATSStream {
    fileprivate func splitting(_ batch: NewBatch) throws -> [[BatchPart]] {
        try BatchSplitter(partitions: configuration.partitions, messageBytes: configuration.messageBytes).split(batch)
    }
}
