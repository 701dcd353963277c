// Which relay to send to: the nearest one that is not known to be out of reach. Pure.

package struct RelayEndpoint: Sendable, Equatable {
    /// Without a slash at the end.
    package let url: String
    /// Where the station says it stands; nil if it does not say.
    package let position: GeoPoint?

    package init(url: String, position: GeoPoint?) {
        self.url = url.hasSuffix("/") ? String(url.dropLast()) : url
        self.position = position
    }

    /// Indices of `relays`, nearest first; those without a position keep their given order behind the others.
    package static func nearestFirst(_ relays: [RelayEndpoint], from place: GeoPoint) -> [Int] {
        let distances = relays.map { $0.position.map { $0.metres(to: place) } ?? .infinity }
        return relays.indices.sorted { (distances[$0], $0) < (distances[$1], $1) }
    }
}

/// What one sender knows about the relays' health.
package struct RelayChoice: Sendable {
    package enum Decision: Equatable, Sendable {
        case use(relay: Int)
        /// Every relay is out of reach; the first one may be tried again after this time.
        case wait(seconds: Double)
    }

    private struct Health: Sendable {
        var failures = 0
        /// Monotonic seconds; before it the relay is left alone.
        var retryAt = 0.0
    }

    private var health: [Health]
    private let backoff: Backoff

    package init(relays: Int, backoff: Backoff = Backoff()) {
        precondition(relays > 0, "there is at least one relay to send to")
        health = Array(repeating: Health(), count: relays)
        self.backoff = backoff
    }

    /// - Parameter order: relays in the sender's order of preference.
    package func decide(order: [Int], nowSeconds: Double) -> Decision {
        if let ready = order.first(where: { health[$0].retryAt <= nowSeconds }) { return .use(relay: ready) }
        let soonest = order.map { health[$0].retryAt }.min() ?? nowSeconds
        return .wait(seconds: soonest - nowSeconds)
    }

    package mutating func answered(relay: Int) { health[relay] = Health() }

    /// No answer, or one that says «later».
    package mutating func failed(
        relay: Int, askedForSeconds: Double?, nowSeconds: Double, random: inout some RandomNumberGenerator
    ) {
        health[relay].failures += 1
        let wait = backoff.waitSeconds(
            failures: health[relay].failures, askedFor: askedForSeconds, random: &random)
        health[relay].retryAt = nowSeconds + wait
    }
}
