// `GET /v1/live`, `/v1/live/stream`, `/v1/alerts`, `/v1/alerts/stream` at central.

import HTTPServer
import JSON
import Models
import Synchronization

struct LiveAnswers: Sendable {
    let live: LiveView

    private static let headers = [
        ("Content-Type", "text/event-stream"), ("Cache-Control", "no-store"), ("X-Accel-Buffering", "no"),
    ]

    func summary(_ exchange: HTTPExchange) {
        exchange.respond(JSONTable.live.answer(exchange, CentralRoutes.json(live.json())))
    }

    func followSummary(_ exchange: HTTPExchange) {
        let followers = live.followers
        Self.follow(
            exchange, maxPendingBytes: LiveFollowers.maxPendingBytes, unfollow: followers.unfollow
        ) { followers.follow($0, first: live.json()) }
    }

    func followAlerts(_ exchange: HTTPExchange) {
        let alerts = live.alerts
        let lastEventID = exchange.header("last-event-id").flatMap { Int64($0) }
        Self.follow(exchange, maxPendingBytes: LiveAlerts.maxPendingBytes, unfollow: alerts.unfollow) {
            alerts.follow($0, after: lastEventID)
        }
    }

    private static func follow(
        _ exchange: HTTPExchange, maxPendingBytes: Int, unfollow: @escaping @Sendable (Int) -> Void,
        _ begin: (HTTPResponseStream) -> Int?
    ) {
        let place = FollowerPlace()
        let stream = exchange.stream(
            headers: headers, maxPendingBytes: maxPendingBytes, onClose: { place.closed(unfollow) })
        // A first line at once, so that the client knows the stream is open before anything happens.
        _ = stream.write(Array("retry: 1000\n: following central\n\n".utf8))
        if let id = begin(stream) {
            place.opened(id, unfollow)
        } else {
            _ = stream.write(Array("event: problem\ndata: {\"code\":\"too_many_followers\"}\n\n".utf8))
            stream.finish()
        }
    }

    func alerts(_ exchange: HTTPExchange, now: Timestamp) {
        let items = exchange.queryItems.filter { $0.name != "format" }
        QueryThread.run(exchange) { [live] isCancelled throws(Problem) in
            let found = try live.list(try Self.filter(items, now: now), isCancelled: isCancelled)
            var json = JSONWriter(reservedBytes: 16 << 10)
            json.object { json in
                json.key("alerts")
                json.array { json in for alert in found { json.raw(alert.json()) } }
            }
            exchange.respond(JSONTable.alerts.answer(exchange, CentralRoutes.json(json.bytes)))
        }
    }

    static func filter(
        _ items: [(name: String, value: String)], now: Timestamp
    ) throws(Problem) -> LiveAlertFilter {
        var query = try AnalystQuery(items, now: now)
        var filter = LiveAlertFilter()
        filter.state = try query.choice("state", of: AlertState.allCases)
        filter.severity = try query.choice("severity", of: AlertSeverity.allCases)
        filter.since = try query.time("since")
        if let relay = query.text("relay_id") {
            guard Identifier.isValidRelayID(relay) else {
                throw AnalystQuery.invalid("relay_id is the name of a relay", "relay_id")
            }
            filter.relayID = relay
        }
        filter.limit = try query.integer("limit", in: 1...10_000) ?? filter.limit
        try query.finish()
        return filter
    }
}

/// A follower's number, which the closing of its stream may come before.
private final class FollowerPlace: Sendable {
    private let state = Mutex((id: Int?.none, isClosed: false))

    func opened(_ id: Int, _ unfollow: (Int) -> Void) {
        let isClosed = state.withLock { state in
            state.id = id
            return state.isClosed
        }
        if isClosed { unfollow(id) }
    }

    func closed(_ unfollow: (Int) -> Void) {
        let id = state.withLock { state in
            state.isClosed = true
            return state.id
        }
        if let id { unfollow(id) }
    }
}
