// One connection's work in a flight: the thread's loop, and a report's way until it is acknowledged.
import DroneClient
import Models

struct Sender {
    private let flight: Flight
    private let connection: Int
    private var drones: [SimulatedDrone]
    /// For each drone, the relays in its order of preference.
    private let orders: [[Int]]
    /// What `DroneClient` stands on too: the report in hand, until a relay has it.
    private var outbox: ReportOutbox
    private var nextID: UInt64 = 1
    private var random: SeededRandom
    private let startNanoseconds: UInt64
    private let observer: (any FlightObserver)?
    private let transport: any Transport

    private static let headers = [("Content-Type", "application/json")]

    init(
        flight: Flight, connection: Int, drones: [SimulatedDrone], startNanoseconds: UInt64,
        observer: (any FlightObserver)?, transport: any Transport
    ) {
        let plan = flight.plan
        self.flight = flight
        self.connection = connection
        self.drones = drones
        self.startNanoseconds = startNanoseconds
        self.observer = observer
        self.transport = transport
        orders = drones.map { RelayEndpoint.nearestFirst(plan.relays, from: $0.city) }
        outbox = ReportOutbox(relays: plan.relays.count, backoff: plan.backoff)
        // Apart from the drones' generators: waiting must not change what the drones report.
        random = SeededRandom(seed: ~plan.fleet.seed, stream: UInt64(connection))
    }

    /// Until the flight's reports are all begun, or it stops.
    mutating func run() {
        var turn = 0
        while let ticket = flight.takeTicket() {
            guard waitForTurn(ticket) else { return }
            let index = turn % drones.count
            turn += 1
            let report = drones[index].nextReport(observedAt: flight.wallClock)
            flight.count(connection) { $0.withAlert += report.raisesAlert ? 1 : 0 }
            guard deliver(report, order: orders[index]) else { return }
            if flight.plan.resendShare > 0, random.unit() < flight.plan.resendShare {
                guard deliver(report, order: orders[index]) else { return }
            }
        }
    }

    /// Report number n is due n/rate seconds after take-off. False if the flight is stopping.
    private func waitForTurn(_ ticket: Int) -> Bool {
        guard let rate = flight.plan.reportsPerSecond else { return true }
        let due = Double(ticket) / rate - Double(flight.nowNanoseconds - startNanoseconds) / 1e9
        return due <= 0 || flight.pause(seconds: due)
    }

    /// Sends the report until it is acknowledged or refused. False if the flight stopped before.
    private mutating func deliver(_ report: SimulatedReport, order: [Int]) -> Bool {
        flight.count(connection) { $0.sent += 1 }
        let id = nextID
        nextID += 1
        _ = outbox.add(OutgoingReport(id: id, droneID: report.identity.droneID, body: report.body))
        while !flight.isStopping {
            switch outbox.next(order: order, nowSeconds: nowSeconds) {
            case .nothing: return true
            case .wait(let seconds):
                guard flight.pause(seconds: seconds) else { return false }
            case .send(let outgoing, let relay):
                if outbox.attempts(id) > 0 { flight.count(connection) { $0.resent += 1 } }
                attempt(report, outgoing, relay: relay)
            }
        }
        return false
    }

    /// One attempt at one relay.
    private mutating func attempt(_ report: SimulatedReport, _ outgoing: OutgoingReport, relay: Int) {
        var request = TransportRequest(
            "POST", flight.plan.relays[relay].url + "/v1/reports", headers: Self.headers, body: outgoing.body)
        request.droneID = outgoing.droneID
        let begun = flight.nowNanoseconds
        observer?.willSend(report, monotonicNanoseconds: begun)
        let response: TransportResponse
        do {
            response = try transport.exchange(request)
        } catch {
            settle(outgoing, relay, nil)
            return flight.count(connection) { $0.lastFailure = error.reason }
        }
        let verdict = Verdict.of(response)
        settle(outgoing, relay, verdict)
        switch verdict {
        case .acknowledged(let status):
            let seconds = Double(flight.nowNanoseconds - begun) / 1e9
            // The observer first: a figure that says «acknowledged» means that the ledger has it.
            observer?.acknowledged(report, status: status)
            flight.count(connection) {
                $0.acknowledged += 1
                $0.acknowledgement.record(seconds: seconds)
                switch status {
                case "duplicate": $0.duplicates += 1
                case "conflict": $0.conflicts += 1
                default: $0.stored += 1
                }
            }
        case .refused(let status):
            observer?.refused(report, httpStatus: status, answer: response.body)
            flight.count(connection) {
                $0.refused += 1
                $0.lastFailure = "the relay answered \(status)"
            }
        case .again:
            flight.count(connection) { $0.lastFailure = "the relay answered \(response.status)" }
        }
    }

    private mutating func settle(_ outgoing: OutgoingReport, _ relay: Int, _ verdict: Verdict?) {
        _ = outbox.answered(outgoing.id, relay: relay, verdict, nowSeconds: nowSeconds, random: &random)
    }

    private var nowSeconds: Double { Double(flight.nowNanoseconds) / 1e9 }
}
