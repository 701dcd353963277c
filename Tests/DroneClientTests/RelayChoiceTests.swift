// Which relay a drone uses, and how long it leaves a failing one alone.
import DroneClient
import Simulation
import Testing

@Suite("the choice of a relay")
struct RelayChoiceTests {
    private let north = RelayEndpoint(url: "http://n/", position: GeoPoint(latitude: 59.3, longitude: 18.1))
    private let south = RelayEndpoint(url: "http://s", position: GeoPoint(latitude: 41.9, longitude: 12.5))
    private let unplaced = RelayEndpoint(url: "http://u", position: nil)

    @Test("the nearest relay comes first, those without a position last, in their given order")
    func nearestFirst() {
        let relays = [unplaced, south, unplaced, north]
        let oslo = GeoPoint(latitude: 59.9, longitude: 10.8)
        let madrid = GeoPoint(latitude: 40.4, longitude: -3.7)
        #expect(RelayEndpoint.nearestFirst(relays, from: oslo) == [3, 1, 0, 2])
        #expect(RelayEndpoint.nearestFirst(relays, from: madrid) == [1, 3, 0, 2])
        #expect(north.url == "http://n")
    }

    @Test("distances are those of the globe")
    func distances() {
        let paris = GeoPoint(latitude: 48.8566, longitude: 2.3522)
        let london = GeoPoint(latitude: 51.5074, longitude: -0.1278)
        #expect(abs(paris.metres(to: london) - 343_500) < 2_000)
        #expect(GeoPoint(latitude: 0, longitude: 179.9).metres(to: GeoPoint(latitude: 0, longitude: -179.9)) < 23_000)
        #expect(abs(paris.moved(metres: 1_000, headingDegrees: 90).metres(to: paris) - 1_000) < 5)
    }

    @Test("a relay that fails is left alone for a while, and the next one is used at once")
    func failsOver() {
        var random = SeededRandom(seed: 1)
        var choice = RelayChoice(relays: 2)
        #expect(choice.decide(order: [1, 0], nowSeconds: 10) == .use(relay: 1))
        choice.failed(relay: 1, askedForSeconds: 30, nowSeconds: 10, random: &random)
        #expect(choice.decide(order: [1, 0], nowSeconds: 10) == .use(relay: 0))
        #expect(choice.decide(order: [1, 0], nowSeconds: 39.9) == .use(relay: 0))
        #expect(choice.decide(order: [1, 0], nowSeconds: 41) == .use(relay: 1))
    }

    @Test("when all fail, the wait ends when the first may be tried again")
    func waitsForTheFirst() {
        var random = SeededRandom(seed: 2)
        var choice = RelayChoice(relays: 2, backoff: Backoff(baseSeconds: 0.001, longestSeconds: 0.001))
        choice.failed(relay: 0, askedForSeconds: 5, nowSeconds: 0, random: &random)
        choice.failed(relay: 1, askedForSeconds: 9, nowSeconds: 0, random: &random)
        guard case .wait(let seconds) = choice.decide(order: [0, 1], nowSeconds: 0) else {
            Issue.record("both relays have failed")
            return
        }
        #expect((5...5.01).contains(seconds))
        choice.answered(relay: 1)
        #expect(choice.decide(order: [0, 1], nowSeconds: 0) == .use(relay: 1))
    }

    @Test("waits grow, stay below their bound, and spread over it")
    func backoffBounds() {
        var random = SeededRandom(seed: 3)
        let backoff = Backoff(baseSeconds: 0.1, longestSeconds: 5)
        #expect(backoff.boundSeconds(failures: 1) == 0.1)
        #expect(backoff.boundSeconds(failures: 3) == 0.4)
        #expect(backoff.boundSeconds(failures: 1_000_000) == 5)
        for failures in [1, 2, 5, 20, Int.max] {
            let waits = (0..<500).map { _ in backoff.waitSeconds(failures: failures, askedFor: nil, random: &random) }
            let bound = backoff.boundSeconds(failures: failures)
            #expect(waits.allSatisfy { (0...bound).contains($0) })
            #expect((waits.min() ?? bound) < bound * 0.1 && (waits.max() ?? 0) > bound * 0.9)
        }
    }

    @Test("what the other side asked for is never cut short")
    func honoursRetryAfter() {
        var random = SeededRandom(seed: 4)
        for _ in 0..<200 {
            let wait = Backoff().waitSeconds(failures: 3, askedFor: 7, random: &random)
            #expect((7...7.1).contains(wait))
        }
    }
}
