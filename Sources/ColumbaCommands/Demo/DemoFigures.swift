// The demo's figures at one moment: the drones' own, the relays' and central's `/v1/status`.
import DroneClient
import Models
import Simulation

package struct DemoFigures: Equatable {
    package var sent = 0
    package var acknowledged = 0
    /// Records that relays still hold for central.
    var waiting = 0
    /// Rows of `reports` that this run added.
    package var archived = 0
    /// Rows of `duplicates` that this run added, conflicts among them.
    package var duplicates = 0
    var conflicts = 0
    package var alerts = 0

    package init() {}

    package var line: String {
        [
            "sent \(ProgressBar.grouped(sent))", "acknowledged \(ProgressBar.grouped(acknowledged))",
            "waiting \(ProgressBar.grouped(waiting))", "archived \(ProgressBar.grouped(archived))",
            "alerts \(ProgressBar.grouped(alerts))",
        ].joined(separator: " · ")
    }

    /// Every acknowledged copy is a row of `reports` or of `duplicates`. A copy whose answer was lost may have been
    /// stored as well, though the drone does not know: there can be as many more rows as attempts were repeated.
    package func addUp(resent: Int) -> Bool {
        sent == acknowledged && (acknowledged...(acknowledged + resent)).contains(archived + duplicates)
    }
}

/// Asks central and the relays.
struct DemoObserver {
    struct Archive: Equatable {
        var reports = 0
        var duplicates = 0
        var conflicts = 0
    }

    private static let timeoutSeconds = 5.0

    let setup: DemoSetup
    let transport: any Transport

    func archive() throws(CommandFailure) -> Archive {
        let archive = try anyCentral()["archive"]
        guard let reports = archive?["reports"]?.intValue, let duplicates = archive?["duplicates"]?.intValue else {
            throw CommandFailure("central's /v1/status has no archive.reports and archive.duplicates")
        }
        return Archive(
            reports: reports, duplicates: duplicates, conflicts: archive?["conflicts"]?.intValue ?? 0)
    }

    /// Every node of a cluster knows the same; one of them may be gone.
    private func anyCentral() throws(CommandFailure) -> OrderedJSON {
        var last = CommandFailure("there is no central")
        for url in setup.centralURLs {
            do throws(CommandFailure) {
                return try status(url, name: "central")
            } catch {
                last = error
            }
        }
        throw last
    }

    func waiting() throws(CommandFailure) -> Int {
        var sum = 0
        for relay in setup.relays {
            sum += try status(relay.url, name: relay.id)["buffer"]?["waiting"]?.intValue ?? 0
        }
        return sum
    }

    private func status(_ url: String, name: String) throws(CommandFailure) -> OrderedJSON {
        let response: TransportResponse
        do throws(TransportFailure) {
            response = try transport.exchange(
                TransportRequest("GET", url + "/v1/status", timeoutSeconds: Self.timeoutSeconds))
        } catch {
            throw CommandFailure("\(name): \(error.reason)")
        }
        guard response.status == 200, let status = try? OrderedJSON.parse(response.body) else {
            throw CommandFailure("\(name): \(ProblemText.line(response))")
        }
        return status
    }
}
