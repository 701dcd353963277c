// The reference client as an integrator uses it, against relays in memory that lose, refuse and delay.
import DroneClient
import Simulation
import Synchronization
import System
import TestSupport
import Testing

private final class Relays: Sendable {
    struct Call: Sendable { let url: String, body: [UInt8], status: Int }

    let calls = Mutex<[Call]>([])
    /// The status for the nth call, from 1; nil: the answer is lost.
    let answer: @Sendable (Int) -> Int?

    init(_ answer: @escaping @Sendable (Int) -> Int?) { self.answer = answer }

    struct Connection: Transport {
        let relays: Relays

        func exchange(_ request: TransportRequest) throws(TransportFailure) -> TransportResponse {
            let (number, status) = relays.calls.withLock { calls in
                let status = relays.answer(calls.count + 1)
                calls.append(Call(url: request.url, body: request.body, status: status ?? 0))
                return (calls.count, status)
            }
            guard let status else { throw TransportFailure(reason: "call \(number) lost") }
            let body = status == 202 ? #"{"relay_id":"r","results":[{"status":"stored"}]}"# : "{}"
            return TransportResponse(status: status, headers: ["retry-after": "0"], body: Array(body.utf8))
        }
    }
}

@Suite("the drone client")
struct DroneClientTests {
    private func configuration(_ relays: Int = 2, reports: Int = 1_440) -> DroneClientConfiguration {
        var configuration = DroneClientConfiguration(
            droneID: "d",
            relays: (0..<relays).map {
                RelayEndpoint(url: "http://r\($0)", position: GeoPoint(latitude: Double($0) * 10, longitude: 0))
            })
        configuration.backoff = Backoff(baseSeconds: 0.001, longestSeconds: 0.002)
        configuration.limits.reports = reports
        return configuration
    }

    private final class Outcomes: Sendable {
        let all = Mutex<[UInt64: [ReportOutcome]]>([:])
        func add(_ id: UInt64, _ outcome: ReportOutcome) { all.withLock { $0[id, default: []].append(outcome) } }
    }

    @Test("every report is acknowledged in the end, once each, though two answers of three are lost or refused")
    func delivers() {
        let relays = Relays { $0 % 3 == 0 ? 202 : ($0 % 3 == 1 ? nil : 503) }
        let outcomes = Outcomes()
        let client = DroneClient(configuration(), transport: { Relays.Connection(relays: relays) }) {
            outcomes.add($0, $1)
        }
        let ids = (0..<50).map { client.send([UInt8($0)]) }
        #expect(client.waitUntilEmpty(timeoutSeconds: 60))
        #expect(client.stop() == 0)
        let all = outcomes.all.withLock { $0 }
        #expect(all.count == 50 && ids.allSatisfy { all[$0] == [.acknowledged(status: "stored")] })
        let taken = relays.calls.withLock { $0.filter { $0.status == 202 }.map(\.body) }
        #expect(Set(taken) == Set((0..<50).map { [UInt8($0)] }) && taken.count == 50)
    }

    @Test("a drone that moved reports to the relay that is nearest now")
    func follows() {
        let relays = Relays { _ in 202 }
        let client = DroneClient(configuration(), transport: { Relays.Connection(relays: relays) })
        client.moved(to: GeoPoint(latitude: 9, longitude: 0))
        client.send([1])
        #expect(client.waitUntilEmpty(timeoutSeconds: 60))
        client.moved(to: GeoPoint(latitude: 1, longitude: 0))
        client.send([2])
        #expect(client.waitUntilEmpty(timeoutSeconds: 60))
        client.stop()
        #expect(
            relays.calls.withLock { $0.map(\.url) } == ["http://r1/v1/reports", "http://r0/v1/reports"])
    }

    @Test("refused and dropped reports are told apart, and the newest survive an outage")
    func outcomesOfFailure() {
        let isUp = Mutex(false)
        let relays = Relays { _ in isUp.withLock { $0 } ? 202 : nil }
        let outcomes = Outcomes()
        let client = DroneClient(configuration(1, reports: 3), transport: { Relays.Connection(relays: relays) }) {
            outcomes.add($0, $1)
        }
        let ids = (0..<5).map { client.send([UInt8($0)]) }
        #expect(eventually { outcomes.all.withLock { $0.count } == 2 })
        isUp.withLock { $0 = true }
        #expect(client.waitUntilEmpty(timeoutSeconds: 60))
        client.stop()
        let all = outcomes.all.withLock { $0 }
        #expect(ids.prefix(2).allSatisfy { all[$0] == [.dropped] })
        #expect(ids.suffix(3).allSatisfy { all[$0] == [.acknowledged(status: "stored")] })

        let hostile = Relays { _ in 422 }
        let refusals = Outcomes()
        let other = DroneClient(configuration(1), transport: { Relays.Connection(relays: hostile) }) {
            refusals.add($0, $1)
        }
        let id = other.send([9])
        #expect(other.waitUntilEmpty(timeoutSeconds: 60) && other.stop() == 0)
        #expect(refusals.all.withLock { $0 } == [id: [.refused(status: 422)]])
    }

    @Test("stopping says how many reports no relay has")
    func stops() {
        let relays = Relays { _ in nil }
        let client = DroneClient(configuration(1), transport: { Relays.Connection(relays: relays) })
        for number in 0..<4 { client.send([UInt8(number)]) }
        #expect(eventually { relays.calls.withLock { $0.count } > 2 })
        #expect(client.stop() == 4)
    }
}
