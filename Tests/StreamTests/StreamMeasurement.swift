// How fast the cluster's stream is, for decision 0080: `COLUMBA_MEASURE_STREAM=1 swift test --filter StreamMeasurement`
// (`make bench-stream`). Not a promise: client and servers share the machine.

import Central
import Models
import NATS
import Synchronization
import System
import TestSupport
import Testing

@Suite(
    "stream measurement",
    .enabled(if: Environment.variable("COLUMBA_MEASURE_STREAM") != nil && NATSServers.isAvailable))
struct StreamMeasurement {
    private static let seconds = 6.0

    private func milliseconds(_ values: [Double], _ share: Double) -> Double {
        let sorted = values.sorted()
        guard !sorted.isEmpty else { return 0 }
        return sorted[min(sorted.count - 1, Int(Double(sorted.count) * share))] * 1_000
    }

    private static let batchesPerRelay = 12

    /// Reports of about 1.3 kB out of 8,000 words, so that they compress about as real ones do.
    private static func batches(relay: Int) throws -> [NewBatch] {
        var source = BatchSource(seed: UInt64(relay), epochDigit: relay)
        let words = (0..<8_000).map { _ in source.text(7) }
        var n: Int64 = 0
        return try (0..<batchesPerRelay).map { _ in
            let lines = (0..<500).map { _ -> String in
                n += 1
                let list = (0..<120).map { _ in #""\#(words.randomElement(using: &source.generator) ?? "")""# }
                let drone = Int.random(in: 0..<500, using: &source.generator)
                return BatchSource.line(
                    n, "report",
                    #"{"drone_id":"pw-\#(drone)","seq":\#(n),"location":{"lat":1,"lon":2},"#
                        + #""words":[\#(list.joined(separator: ","))]}"#)
            }
            return try BatchSource.batch(lines, relay: "r-\(relay)", epoch: source.epoch)
        }
    }

    @Test("batches of 500 reports: alone, then seven at a time; then read back", arguments: [1, 3])
    func batches(_ servers: Int) throws {
        let servers = try NATSServers(count: servers, maxFile: "6GB")
        let node = try StreamNode(servers, partitions: 8, maxBytes: 4 << 30)
        let time = SystemTime()
        // Made before: only the stream is measured, with its splitting and compressing.
        let prepared = try (0..<8).map { try Self.batches(relay: $0) }
        let split = BatchSplitter(partitions: 8, messageBytes: 1 << 20)
        var start = time.monotonicNanoseconds()
        for batch in prepared[0] { _ = try split.split(batch) }
        let splitSeconds = Double(time.monotonicNanoseconds() - start) / 1e9 / Double(prepared[0].count)
        var alone: [Double] = []
        for batch in prepared[0] {
            let start = time.monotonicNanoseconds()
            try node.append(batch)
            alone.append(Double(time.monotonicNanoseconds() - start) / 1e9)
        }
        let together = Mutex<[Double]>([])
        start = time.monotonicNanoseconds()
        let threads = prepared.indices.dropFirst().map { relay in
            let batches = prepared[relay]
            return WorkerThread(name: "relay-\(relay)", stackBytes: 4 << 20) {
                for batch in batches {
                    let start = SystemTime().monotonicNanoseconds()
                    guard (try? node.append(batch)) != nil else { return }
                    let seconds = Double(SystemTime().monotonicNanoseconds() - start) / 1e9
                    together.withLock { $0.append(seconds) }
                }
            }
        }
        for thread in threads { thread.join() }
        let elapsed = Double(time.monotonicNanoseconds() - start) / 1e9
        let latencies = together.withLock { $0 }
        let inflated = prepared.dropFirst().joined().reduce(0) { $0 + $1.lines.count }
        start = time.monotonicNanoseconds()
        var read = 0
        var cursor = StreamCursor.everything(after: 0)
        while true {
            let entries = try node.stream.read(after: cursor, maxBytes: 32 << 20)
            if entries.isEmpty { break }
            for entry in entries {
                cursor.pass(entry)
                read += entry.payload.count
            }
        }
        let readSeconds = Double(time.monotonicNanoseconds() - start) / 1e9
        start = time.monotonicNanoseconds()
        try node.stream.release(cursor)
        let releaseSeconds = Double(time.monotonicNanoseconds() - start) / 1e9
        print(
            """
            R\(servers.count): split \(splitSeconds * 1_000) ms; alone p50 \(milliseconds(alone, 0.5)) ms, \
            longest \(milliseconds(alone, 1)) ms; seven at a time \
            \(Double(latencies.count) * 500 / elapsed) reports/s, \
            \(Double(inflated) / 1e6 / elapsed) MB/s inflated, p50 \(milliseconds(latencies, 0.5)) ms, \
            longest \(milliseconds(latencies, 1)) ms; read \(Double(read) / 1e6 / readSeconds) MB/s of \
            \(Double(read) / 1e6) MB; release \(releaseSeconds) s
            """)
        #expect(latencies.count == 7 * Self.batchesPerRelay)
        withExtendedLifetime(servers) {}
    }

    @Test("messages of 512 KiB, 64 under way: what the servers take", arguments: [1, 3])
    func messages(_ servers: Int) throws {
        let servers = try NATSServers(count: servers, maxFile: "6GB")
        let jetStream = JetStream(
            try NATSConnection(NATSConfiguration(urls: servers.urls, name: "measure"), events: { _ in }))
        _ = try jetStream.ensure(
            StreamSettings(
                name: "S", subjects: ["s"], replicas: servers.count, maxBytes: 4 << 30, maxMessageBytes: 1 << 20))
        let underWay = Monitor((count: 0, done: 0))
        let box = try ReplyBox(jetStream.connection) { _, message in
            let isStored = (try? JetStream.acknowledgement(message)) != nil
            underWay.update {
                $0.count -= 1
                $0.done += isStored ? 1 : 0
            }
        }
        var generator = SeededGenerator(seed: 1)
        let payload = (0..<(512 << 10)).map { _ in UInt8.random(in: 0...255, using: &generator) }
        let start = SystemTime().monotonicNanoseconds()
        var sent: UInt64 = 0
        while Double(SystemTime().monotonicNanoseconds() - start) / 1e9 < Self.seconds {
            _ = underWay.wait(timeoutSeconds: 20) { $0.count < 64 ? true : nil }
            underWay.withLock { $0.count += 1 }
            sent += 1
            let message = OutgoingMessage(subject: "s", headers: [("Nats-Msg-Id", "\(sent)")], payload: payload)
            try jetStream.connection.publish(message, reply: box.subject(for: sent))
        }
        _ = underWay.wait(timeoutSeconds: 20) { $0.count == 0 ? true : nil }
        let elapsed = Double(SystemTime().monotonicNanoseconds() - start) / 1e9
        let done = underWay.withLock { $0.done }
        print("R\(servers.count): \(Double(done) * 0.524288 / elapsed) MB/s in messages of 512 KiB")
        #expect(done == Int(sent))
        withExtendedLifetime((servers, box)) {}
    }
}
