// Any bytes, cut anywhere, answered in any order: never a crash, never an answer that was not given, never more memory
// than the limits allow (I7, I8). A failure prints its seed.

import MQTTServer
import Testing
import TestSupport

@Suite("fuzzing")
struct FuzzTests {
    /// Small limits, so that random bytes reach them.
    static let limits = MQTTLimits(maxPacketBytes: 1024, maxSkippedBytes: 4096, receiveMaximum: 4, maxOutputBytes: 64)
    static let iterations = 50_000

    @Test("random and mutated conversations, 50,000 a seed", arguments: 0..<4)
    func conversations(_ worker: Int) {
        let seed = UInt64.random(in: 0 ... .max) &+ UInt64(worker)
        var random = SeededGenerator(seed: seed)
        let samples = MQTTVersion.allCases.map(FragmentationTests.conversation)
        var reached = Reached()
        for _ in 0..<Self.iterations {
            var bytes = Self.bytes(samples, &random)
            if bytes.isEmpty { bytes = [0] }
            if let complaint = Self.run(bytes, &random, &reached) {
                Issue.record("\(complaint); seed \(seed), bytes \(bytes)")
                return
            }
        }
        // Bytes that are all refused at the door would prove nothing.
        #expect(reached.publishes > Self.iterations && reached.acknowledgements > Self.iterations / 4)
        #expect(reached.reasons.count >= 6, "\(reached.reasons)")
    }

    private struct Reached {
        var publishes = 0
        var acknowledgements = 0
        var reasons: Set<MQTTReason> = []
    }

    private static func bytes(_ samples: [[UInt8]], _ random: inout SeededGenerator) -> [UInt8] {
        let kind = random.next() % 8
        var bytes = samples[Int(random.next() % 2)]
        if kind == 0 {
            return (0..<Int(random.next() % 80)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
        }
        // The CONNECT mostly stays whole, so that what follows it is reached.
        let firstByte = kind == 1 ? 0 : min(18, bytes.count)
        for _ in 0..<(random.next() % 6) {
            let place = firstByte + Int(random.next() % UInt64(bytes.count - firstByte))
            switch random.next() % 5 {
            case 0: bytes[place] = UInt8(truncatingIfNeeded: random.next())
            case 1: bytes[place] ^= 1 << UInt8(random.next() % 8)
            case 2: bytes.remove(at: place)
            case 3: bytes.insert(UInt8(truncatingIfNeeded: random.next()), at: place)
            default:
                let length = min(Int(random.next() % 40), bytes.count - place)
                bytes.insert(contentsOf: bytes[place..<(place + length)], at: place)
            }
            if bytes.count <= firstByte + 1 { break }
        }
        return bytes
    }

    /// Nil, or what went wrong.
    private static func run(
        _ bytes: [UInt8], _ random: inout SeededGenerator, _ reached: inout Reached
    ) -> String? {
        var client = Client(limits: limits)
        var position = 0
        var seen = 0
        var waiting: [Int64] = []
        var lastTicket: Int64 = 0
        var acknowledged = 0
        var qos1 = 0
        while position < bytes.count {
            let count = min(1 + Int(random.next() % 64), bytes.count - position)
            client.send(Array(bytes[position..<(position + count)]))
            position += count
            repeat {
                for order in client.orders[seen...] {
                    guard case .publish(let publish) = order else { continue }
                    if publish.ticket <= lastTicket { return "tickets count up" }
                    lastTicket = publish.ticket
                    waiting.append(publish.ticket)
                    qos1 += Int(publish.qos)
                }
                seen = client.orders.count
                if waiting.count > limits.receiveMaximum { return "more publishes at once than the window" }
                if !waiting.isEmpty, random.next() % 4 != 0 {
                    let ticket = waiting.remove(at: Int(random.next() % UInt64(waiting.count)))
                    client.answer(ticket, verdict(&random))
                }
                if random.next() % 4 == 0 { acknowledged += pubacks(client.read()) }
                if random.next() % 16 == 0 { client.wait(Double(random.next() % 20)) }
                if client.session.heldBytes > limits.maxPacketBytes + 4096 { return "held too much" }
            } while seen < client.orders.count || (!waiting.isEmpty && random.next() % 4 != 0)
        }
        acknowledged += pubacks(client.read())
        reached.publishes += client.publishes.count
        reached.acknowledgements += acknowledged
        if let reason = client.closedFor { reached.reasons.insert(reason) }
        let closes = client.orders.count { if case .close = $0 { true } else { false } }
        if closes > 1 { return "closed \(closes) times" }
        if client.session.isClosed != (closes == 1) { return "closed without an order" }
        if client.session.isClosed, client.session.wantsInput { return "a closed connection wants nothing" }
        return acknowledged > qos1 + client.session.takeCountsForTest().rejected ? "a PUBACK for nothing" : nil
    }

    private static func verdict(_ random: inout SeededGenerator) -> MQTTVerdict {
        switch random.next() % 4 {
        case 0: .rejected(.payloadFormatInvalid, text: "no")
        case 1: .notNow(.quotaExceeded, text: "later", afterSeconds: Double(random.next() % 20))
        default: .stored
        }
    }

    /// PUBACKs among whole packets that the relay sent; every byte of them must make sense.
    private static func pubacks(_ bytes: [UInt8]) -> Int {
        var position = 0
        var count = 0
        while position + 1 < bytes.count {
            let type = bytes[position] >> 4
            #expect([2, 4, 9, 11, 13, 14].contains(type) && bytes[position] & 15 == 0 && bytes[position + 1] < 128)
            if type == 4 { count += 1 }
            position += 2 + Int(bytes[position + 1])
        }
        #expect(position == bytes.count)
        return count
    }
}
