// The reference client: a fleet of drones that report to relays and resend until acknowledged.
//
// Each connection is a real thread with a share of the drones. A thread has one report under way at a time, so a
// drone's reports arrive in order and a drone never has two in flight. A report's bytes are made once and resent as
// they are: that is what makes resending harmless (contract §1, I5).
package import DroneClient
import Models
import Synchronization
package import System

package struct FlightPlan: Sendable {
    package var relays: [RelayEndpoint]
    package var fleet: DroneSimulator.Configuration
    /// Unique reports in all; nil: until `stop`.
    package var reports: Int?
    /// Reports per second in all; nil: as fast as the answers come.
    package var reportsPerSecond: Double?
    /// The share of acknowledged reports that is sent once more, as a drone does that lost an answer.
    package var resendShare = 0.0
    package var connections: Int
    package var backoff = Backoff()

    package init(relays: [RelayEndpoint], fleet: DroneSimulator.Configuration) {
        self.relays = relays
        self.fleet = fleet
        connections = min(fleet.drones, 16)
    }
}

/// Hears what happens to each report, on the sending thread: before it returns, nothing else of that drone is sent.
package protocol FlightObserver: Sendable {
    /// The report's bytes are about to be written to the connection.
    func willSend(_ report: SimulatedReport, monotonicNanoseconds: UInt64)
    func acknowledged(_ report: SimulatedReport, status: String)
    func refused(_ report: SimulatedReport, httpStatus: Int, answer: [UInt8])
}

package struct FlightFigures: Sendable {
    /// Copies handed to a relay for the first time: unique reports and deliberate second copies.
    package var sent = 0
    /// Copies that a relay answered 202 to.
    package var acknowledged = 0
    package var stored = 0
    package var duplicates = 0
    package var conflicts = 0
    package var refused = 0
    /// Attempts beyond each copy's first: its answer was lost, or it said «later».
    package var resent = 0
    /// Reports with a citizen below the alert limit, among those sent.
    package var withAlert = 0
    /// From handing the bytes over to the answer, of the attempt that was acknowledged.
    package var acknowledgement = LatencyHistogram()
    package var lastFailure: String?

    package init() {}

    package mutating func merge(_ other: FlightFigures) {
        sent += other.sent
        acknowledged += other.acknowledged
        stored += other.stored
        duplicates += other.duplicates
        conflicts += other.conflicts
        refused += other.refused
        resent += other.resent
        withAlert += other.withAlert
        acknowledgement.merge(other.acknowledgement)
        lastFailure = other.lastFailure ?? lastFailure
    }
}

package final class Flight: Sendable {
    package let plan: FlightPlan
    private let stopping = Monitor(false)
    private let figuresOfThreads: [Monitor<FlightFigures>]
    /// The number of unique reports begun so far: each thread takes the next ticket.
    private let tickets = Atomic<Int>(0)
    private let running: Monitor<Int>
    private let time: any TimeSource

    /// Takes off at once.
    package init(
        _ plan: FlightPlan, time: any TimeSource = SystemTime(), observer: (any FlightObserver)? = nil,
        transport: @escaping @Sendable () -> any Transport
    ) {
        precondition(plan.connections > 0, "a fleet needs a connection")
        self.plan = plan
        self.time = time
        let connections = min(plan.connections, plan.fleet.drones)
        figuresOfThreads = (0..<connections).map { _ in Monitor(FlightFigures()) }
        running = Monitor(connections)
        let drones = DroneSimulator(plan.fleet).drones
        let start = time.monotonicNanoseconds()
        for connection in 0..<connections {
            let own = stride(from: connection, to: drones.count, by: connections).map { drones[$0] }
            _ = WorkerThread(name: "drones-\(connection)") { [self] in
                var sender = Sender(
                    flight: self, connection: connection, drones: own, startNanoseconds: start, observer: observer,
                    transport: transport())
                sender.run()
                running.update { $0 -= 1 }
            }
        }
    }

    /// Reports under way are given up; `wait` then returns soon.
    package func stop() { stopping.update { $0 = true } }

    package var isStopping: Bool { stopping.withLock { $0 } }

    /// Whether the flight ended within the time.
    package func wait(timeoutSeconds: Double) -> Bool {
        running.wait(timeoutSeconds: timeoutSeconds) { $0 == 0 ? true : nil } ?? false
    }

    package var figures: FlightFigures {
        var sum = FlightFigures()
        for figures in figuresOfThreads { sum.merge(figures.withLock { $0 }) }
        return sum
    }

    /// The next report's number, from 0; nil when all are begun or the flight is stopping.
    func takeTicket() -> Int? {
        if isStopping { return nil }
        let ticket = tickets.wrappingAdd(1, ordering: .relaxed).oldValue
        if let reports = plan.reports, ticket >= reports { return nil }
        return ticket
    }

    /// False if the flight is stopping.
    func pause(seconds: Double) -> Bool {
        stopping.wait(timeoutSeconds: seconds) { $0 ? true : nil } == nil
    }

    func count(_ connection: Int, _ change: (inout FlightFigures) -> Void) {
        figuresOfThreads[connection].withLock { change(&$0) }
    }

    var nowNanoseconds: UInt64 { time.monotonicNanoseconds() }
    var wallClock: Timestamp { Timestamp(microseconds: time.wallMicroseconds()) }
}
