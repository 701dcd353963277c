// The one stream that a console follows, `GET /v1/console/stream`: alerts as the book pushes them, and once a second
// the relay's figures and the drones heard since. The seconds are also the page's proof that the stream is alive: a
// browser never sees a comment line, so the heartbeat has to be an event.
//
//   event    data                                                              when
//   hello    relay_id, epoch, version, now, position?, expected_drones,        first, on each connection
//            silent_s, operator? (of the client's certificate)
//   alert, late_alert, alert_state   as on /v1/alerts/stream, with its ids     at once
//   status   as GET /v1/status                                                 once a second
//   drones   as GET /v1/drones/summary, those heard since the last one         once a second, if any

import HTTPServer
import JSON
import Models
import System

final class PageFeed: Sendable {
    static let everySeconds = 1.0

    private struct State {
        var pages: [Int: HTTPResponseStream] = [:]
        var next = 0
        var isStopped = false
    }

    private let state = Monitor(State())
    private let time: any TimeSource
    private let board: DroneBoard
    private let book: AlertBook
    /// For the operator of that certificate; nil over plain HTTP.
    private let hello: @Sendable (String?) -> [UInt8]
    private let status: @Sendable () -> [UInt8]

    init(
        time: any TimeSource, board: DroneBoard, book: AlertBook, hello: @escaping @Sendable (String?) -> [UInt8],
        status: @escaping @Sendable () -> [UInt8]
    ) {
        self.time = time
        self.board = board
        self.book = book
        self.hello = hello
        self.status = status
    }

    static func event(_ name: String, _ json: [UInt8]) -> [UInt8] {
        Array("event: \(name)\ndata: ".utf8) + json + Array("\n\n".utf8)
    }

    /// Resumes after `Last-Event-ID` or, from a page that opened a connection of its own anew, after `after`.
    func follow(_ exchange: HTTPExchange) {
        let after = (exchange.header("last-event-id") ?? exchange.queryItem("after")).flatMap { Int64($0) }
        let greeting = hello(exchange.peerIdentity)
        let follower = FollowerID()
        let place = FollowerID()
        let stream = exchange.stream(
            headers: [
                ("Content-Type", "text/event-stream"), ("Cache-Control", "no-store"), ("X-Accel-Buffering", "no"),
            ],
            maxPendingBytes: AlertBook.maxPendingBytes,
            onClose: { [book, weak self] in
                follower.close { book.unfollow($0) }
                place.close { self?.remove($0) }
            })
        _ = stream.write(Array("retry: 1000\n\n".utf8) + Self.event("hello", greeting))
        guard let id = book.follow(stream, after: after) else {
            _ = stream.write(Self.event("problem", Array(#"{"code":"too_many_followers"}"#.utf8)))
            return stream.finish()
        }
        follower.open(id, orClosed: book.unfollow)
        place.open(add(stream), orClosed: remove)
    }

    private func add(_ stream: HTTPResponseStream) -> Int {
        state.update { state in
            state.next += 1
            state.pages[state.next] = stream
            return state.next
        }
    }

    private func remove(_ id: Int) { state.withLock { $0.pages[id] = nil } }

    func stop() {
        let pages = state.update { state in
            state.isStopped = true
            defer { state.pages = [:] }
            return state.pages.values.map { $0 }
        }
        for page in pages { page.finish() }
    }

    /// The thread's body. Waits without a clock while nobody follows.
    func run() {
        let parser = ReportParser()
        var heardThrough = time.monotonicNanoseconds()
        while true {
            let isStopped = state.wait { $0.isStopped ? true : $0.pages.isEmpty ? nil : false } ?? true
            if isStopped { return }
            let now = time.monotonicNanoseconds()
            push(Self.event("status", status()))
            // A page that has just come fetches the whole board by itself.
            let heard = board.list(at: now, since: heardThrough)
            heardThrough = now
            if !heard.isEmpty { push(Self.event("drones", Self.drones(heard.map(\.sighting), parser))) }
            _ = state.wait(timeoutSeconds: Self.everySeconds) { $0.isStopped ? true : nil }
        }
    }

    private func push(_ bytes: [UInt8]) {
        let pages = state.withLock { $0.pages }
        for (id, page) in pages where !page.write(bytes) { remove(id) }
    }

    static func drones(_ sightings: [DroneSighting], _ parser: ReportParser) -> [UInt8] {
        var writer = JSONWriter(reservedBytes: 256 * sightings.count + 64)
        writer.object { writer in
            writer.key("drones")
            writer.array { list in
                for sighting in sightings { DroneSummary(sighting, parser).append(to: &list) }
            }
        }
        return writer.bytes
    }
}
