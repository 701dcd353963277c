// Everyone who follows the live figures by Server-Sent Events. An event is the whole summary: who connects late or
// loses one has missed nothing.

package import HTTPServer
import Synchronization

package final class LiveFollowers: Sendable {
    package static let maxFollowers = 256
    package static let maxPendingBytes = 1 << 20

    private struct State {
        var streams: [Int: HTTPResponseStream] = [:]
        var next = 0
    }

    private let state = Mutex(State())

    package init() {}

    /// Nil: too many follow.
    package func follow(_ stream: HTTPResponseStream, first: [UInt8]) -> Int? {
        state.withLock { state in
            guard state.streams.count < Self.maxFollowers else { return nil }
            _ = stream.write(Self.event(first))
            state.next += 1
            state.streams[state.next] = stream
            return state.next
        }
    }

    package func unfollow(_ id: Int) { _ = state.withLock { $0.streams.removeValue(forKey: id) } }

    package func push(_ summary: () -> [UInt8]) {
        guard state.withLock({ !$0.streams.isEmpty }) else { return }
        let event = Self.event(summary())
        state.withLock { state in
            for (id, stream) in state.streams where !stream.write(event) { state.streams[id] = nil }
        }
    }

    package func finishAll() {
        let streams = state.withLock { state in
            defer { state.streams = [:] }
            return Array(state.streams.values)
        }
        for stream in streams { stream.finish() }
    }

    private static func event(_ summary: [UInt8]) -> [UInt8] {
        Array("event: live\ndata: ".utf8) + summary + Array("\n\n".utf8)
    }
}
