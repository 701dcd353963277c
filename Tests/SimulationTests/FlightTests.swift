// The reference client against relays that lose, refuse and delay: nothing is given up, nothing changes on the way.
import Models
import DroneClient
import Simulation
import Synchronization
import System
import Testing

/// A relay in memory. What it answers is decided per call, from the call's number.
private final class FakeRelays: Sendable {
    enum Behaviour: Sendable {
        case acknowledge
        /// Takes the report, but the answer never arrives.
        case loseAnswer
        case answer(Int)
    }

    struct State {
        var calls = 0
        var received: [(url: String, body: [UInt8])] = []
        var bodies: [ReportIdentity: Set<[UInt8]>] = [:]
    }

    let state = Mutex(State())
    let behaviour: @Sendable (_ call: Int, _ url: String) -> Behaviour

    init(_ behaviour: @escaping @Sendable (Int, String) -> Behaviour) { self.behaviour = behaviour }

    struct Connection: Transport {
        let relays: FakeRelays

        func exchange(_ request: TransportRequest) throws(TransportFailure) -> TransportResponse {
            let call = relays.state.withLock { state in
                state.calls += 1
                return state.calls
            }
            switch relays.behaviour(call, request.url) {
            case .acknowledge:
                relays.state.withLock { $0.received.append((request.url, request.body)) }
                let answer = #"{"relay_id":"r","results":[{"drone_id":"d","boot":"b","seq":1,"status":"stored"}]}"#
                return TransportResponse(status: 202, body: Array(answer.utf8))
            case .loseAnswer:
                relays.state.withLock { $0.received.append((request.url, request.body)) }
                throw TransportFailure(reason: "closed")
            case .answer(let status):
                return TransportResponse(status: status, headers: ["retry-after": "0"])
            }
        }
    }
}

private final class Recorder: FlightObserver {
    let acknowledgements = Mutex<[ReportIdentity]>([])
    let refusals = Mutex(0)

    func willSend(_ report: SimulatedReport, monotonicNanoseconds: UInt64) {}
    func acknowledged(_ report: SimulatedReport, status: String) {
        acknowledgements.withLock { $0.append(report.identity) }
    }
    func refused(_ report: SimulatedReport, httpStatus: Int, answer: [UInt8]) { refusals.withLock { $0 += 1 } }
}

@Suite("a flight")
struct FlightTests {
    private let near = RelayEndpoint(url: "http://near", position: Region.all[0].station)
    private let far = RelayEndpoint(url: "http://far", position: Region.all[1].station)

    private func fly(
        _ relays: FakeRelays, endpoints: [RelayEndpoint], drones: Int = 6, reports: Int = 300, connections: Int = 3,
        resendShare: Double = 0
    ) throws -> (FlightFigures, Recorder) {
        var plan = FlightPlan(relays: endpoints, fleet: .init(drones: drones, seed: 1, boot: "b"))
        plan.reports = reports
        plan.connections = connections
        plan.resendShare = resendShare
        plan.backoff = Backoff(baseSeconds: 0.0005, longestSeconds: 0.002)
        let recorder = Recorder()
        let flight = Flight(plan, observer: recorder, transport: { FakeRelays.Connection(relays: relays) })
        try #require(flight.wait(timeoutSeconds: 90), "the flight has not landed")
        return (flight.figures, recorder)
    }

    @Test("every report is acknowledged exactly once, in the drone's order")
    func everyReportOnce() throws {
        let relays = FakeRelays { _, _ in .acknowledge }
        let (figures, recorder) = try fly(relays, endpoints: [near])
        #expect(figures.sent == 300 && figures.acknowledged == 300 && figures.resent == 0)
        let identities = recorder.acknowledgements.withLock { $0 }
        #expect(Set(identities).count == 300)
        for (_, own) in Dictionary(grouping: identities, by: \.droneID) {
            #expect(own.map(\.seq) == Array(1...Int64(own.count)))
        }
    }

    @Test("lost answers and «later» lead to the same bytes again, until acknowledged")
    func resendsTheSameBytes() throws {
        let relays = FakeRelays { call, _ in
            switch call % 4 {
            case 1: .loseAnswer
            case 2: .answer(503)
            case 3: .answer(429)
            default: .acknowledge
            }
        }
        let (figures, recorder) = try fly(relays, endpoints: [near], reports: 100)
        #expect(figures.acknowledged == 100 && figures.sent == 100)
        #expect(figures.resent >= 100)
        #expect(Set(recorder.acknowledgements.withLock { $0 }).count == 100)
        let bodies = Set(relays.state.withLock { $0.received.map(\.body) })
        #expect(bodies.count == 100, "a resent report has the bytes of the first attempt")
    }

    @Test("drones use the nearest relay, and the other one while it is out of reach")
    func failsOver() throws {
        let healthy = FakeRelays { _, _ in .acknowledge }
        _ = try fly(healthy, endpoints: [far, near], drones: 2, reports: 20, connections: 1)
        let urls = Set(healthy.state.withLock { $0.received.map(\.url) })
        #expect(urls == ["http://near/v1/reports", "http://far/v1/reports"])

        let broken = FakeRelays { _, url in url.hasPrefix("http://near") ? .answer(503) : .acknowledge }
        let (figures, _) = try fly(broken, endpoints: [near, far], reports: 60)
        #expect(figures.acknowledged == 60)
        #expect(Set(broken.state.withLock { $0.received.map(\.url) }) == ["http://far/v1/reports"])
    }

    @Test("a refused report is counted and not sent again")
    func countsRefusals() throws {
        let relays = FakeRelays { call, _ in call == 5 ? .answer(422) : .acknowledge }
        let (figures, recorder) = try fly(relays, endpoints: [near], reports: 20)
        #expect(figures.refused == 1 && figures.acknowledged == 19 && figures.sent == 20)
        #expect(recorder.refusals.withLock { $0 } == 1)
        #expect(relays.state.withLock { $0.calls } == 20)
    }

    @Test("deliberate second copies are counted as sent and acknowledged")
    func resendShare() throws {
        let relays = FakeRelays { _, _ in .acknowledge }
        let (figures, recorder) = try fly(relays, endpoints: [near], reports: 50, resendShare: 1)
        #expect(figures.sent == 100 && figures.acknowledged == 100 && figures.resent == 0)
        #expect(Set(recorder.acknowledgements.withLock { $0 }).count == 50)
    }

    @Test("stopping ends a flight whose relays never answer")
    func stops() {
        let relays = FakeRelays { _, _ in .answer(503) }
        let plan = FlightPlan(relays: [near], fleet: .init(drones: 2, seed: 1, boot: "b"))
        let flight = Flight(plan, transport: { FakeRelays.Connection(relays: relays) })
        flight.stop()
        #expect(flight.wait(timeoutSeconds: 60))
        #expect(flight.figures.acknowledged == 0)
    }

    @Test("answers mean what the contract says")
    func verdicts() {
        func verdict(_ status: Int, _ body: String = "", _ headers: [String: String] = [:]) -> Verdict {
            Verdict.of(TransportResponse(status: status, headers: headers, body: Array(body.utf8)))
        }
        #expect(verdict(202, #"{"results":[{"status" : "conflict"}]}"#) == .acknowledged(status: "conflict"))
        #expect(verdict(207, #"{"results":[{"status":"rejected"}]}"#) == .refused(status: 207))
        #expect(verdict(202, "nothing we know") == .again(afterSeconds: nil))
        #expect(verdict(202) == .again(afterSeconds: nil))
        #expect(verdict(429, "", ["retry-after": "3"]) == .again(afterSeconds: 3))
        #expect(verdict(503, "", ["retry-after": "soon"]) == .again(afterSeconds: nil))
        for status in [400, 401, 403, 413, 415, 422] { #expect(verdict(status) == .refused(status: status)) }
    }
}
