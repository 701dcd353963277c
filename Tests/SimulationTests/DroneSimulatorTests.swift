// The simulated drones: repeatable, valid, and of the size and shape that the figures are measured with.
import DroneClient
import JSON
import Models
import Simulation
import Testing

@Suite("simulated drones")
struct DroneSimulatorTests {
    private static let noon = Timestamp(microseconds: 1_795_150_800_123_000)

    private func reports(seed: UInt64, drones: Int, each: Int, boot: String = "b1") -> [[SimulatedReport]] {
        DroneSimulator(.init(drones: drones, seed: seed, boot: boot)).drones.map { drone in
            var drone = drone
            return (0..<each).map { drone.nextReport(observedAt: Self.noon.adding(seconds: Double($0) * 60)) }
        }
    }

    @Test("the same seed gives the same bytes, another seed others")
    func seedDecidesEverything() {
        let first = reports(seed: 7, drones: 4, each: 20).map { $0.map(\.body) }
        #expect(first == reports(seed: 7, drones: 4, each: 20).map { $0.map(\.body) })
        #expect(first != reports(seed: 8, drones: 4, each: 20).map { $0.map(\.body) })
    }

    @Test("a drone's reports do not depend on how many others fly")
    func dronesAreIndependent() {
        let few = reports(seed: 7, drones: 2, each: 10)
        let many = reports(seed: 7, drones: 50, each: 10)
        #expect(few[1].map(\.body) == many[1].map(\.body))
    }

    @Test("numbers count up from 1 within the boot")
    func numbersCountUp() {
        for drone in reports(seed: 1, drones: 3, each: 5, boot: "6f1c") {
            #expect(drone.map(\.identity.seq) == [1, 2, 3, 4, 5])
            #expect(drone.allSatisfy { $0.identity.boot == "6f1c" })
        }
    }

    @Test("every report passes the strict parser and says what the sender believes it says")
    func everyReportIsValid() throws {
        let parser = ReportParser()
        for report in reports(seed: 11, drones: 24, each: 100).joined() {
            try report.body.withUnsafeBytes { bytes in
                let parsed = try parser.parse(bytes)
                #expect(parsed.identity == report.identity)
                #expect(parsed.observedAt != nil)
                let low = (0..<parsed.citizenCount).filter { parsed.citizen(at: $0).peacescore < 20 }.count
                #expect(low == (report.raisesAlert ? 1 : 0))
                let battery = try #require(parsed.reading(named: "battery_pct"))
                #expect((20...100).contains(battery))
                #expect(parsed.reading(named: "gps_fix_type") == 3)
            }
        }
    }

    @Test("reports have about 1.4 KB, 8 citizens, 45 words, and 1 % raise an alert")
    func sizeAndShape() throws {
        let all = Array(reports(seed: 3, drones: 40, each: 500).joined())
        let mean = all.map(\.body.count).reduce(0, +) / all.count
        #expect((1_300...1_500).contains(mean), "mean size \(mean)")
        let alerts = all.filter(\.raisesAlert).count
        #expect((120...280).contains(alerts), "\(alerts) of \(all.count) raise an alert")
        let parser = ReportParser()
        var citizens = 0
        var words = 0
        for report in all {
            try report.body.withUnsafeBytes { bytes in
                let parsed = try parser.parse(bytes)
                citizens += parsed.citizenCount
                words += parsed.wordCount
            }
        }
        #expect((76...84).contains(citizens * 10 / all.count))
        #expect((42...48).contains(words / all.count))
    }

    @Test("drones stay over their city and fly no faster than a drone")
    func dronesStayOverTheirCity() {
        for drone in DroneSimulator(.init(drones: 12, seed: 5, boot: "b")).drones {
            var drone = drone
            for _ in 0..<200 {
                let before = drone.position
                _ = drone.nextReport(observedAt: Self.noon)
                #expect(drone.position.metres(to: drone.city) < 7_000)
                #expect(drone.position.metres(to: before) < 12 * 60 + 10)
            }
        }
    }

    @Test("no run has the boot of another")
    func bootsAreUnique() {
        let boots = Set((0..<1_000).map { _ in DroneSimulator.uniqueBoot() })
        #expect(boots.count == 1_000)
        #expect(boots.allSatisfy(Identifier.isValidBoot))
    }
}
