// How other threads reach a listener's thread: they put a letter in and ring.

import Synchronization
import System

enum MQTTLetter: Sendable {
    case adopt(any MQTTTransport)
    case answer(connection: UInt64, ticket: Int64, MQTTVerdict)
    case takenOver(connection: UInt64)
    case configure(MQTTServerConfiguration)
    case recheck
    case quiet
    case stop
}

/// Answers are bounded by the publishes under way, new connections by `maxConnections`.
final class MQTTMailbox: Sendable {
    let poll: EventPoll
    private let letters = Mutex<[MQTTLetter]>([])
    private let published = Mutex(MQTTServerCounters())

    init() throws(SystemError) { poll = try EventPoll() }

    func post(_ letter: MQTTLetter) {
        let isFirst = letters.withLock { letters in
            letters.append(letter)
            return letters.count == 1
        }
        // Whoever put in the first letter has rung; the thread takes all of them at once.
        if isFirst { poll.ring() }
    }

    func take() -> [MQTTLetter] {
        letters.withLock { letters in
            var taken: [MQTTLetter] = []
            swap(&taken, &letters)
            return taken
        }
    }

    var counters: MQTTServerCounters { published.withLock { $0 } }

    func publish(_ counters: MQTTServerCounters) { published.withLock { $0 = counters } }
}
