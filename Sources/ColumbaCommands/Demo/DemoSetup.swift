// What the demo runs: the data folder, the configuration files of central (or of a whole cluster) and two relays, and
// their addresses.
import DroneClient
import Models
import Simulation
import System

struct DemoSetup {
    struct Relay {
        let id: String
        let position: GeoPoint
        let port: UInt16

        var url: String { "http://127.0.0.1:\(port)" }
    }

    let folder: String
    /// Whether the folder is the demo's own and is removed at the end.
    let isTemporary: Bool
    let relays: [Relay]
    /// nil: one central with its stream inside.
    let cluster: ClusterPlan?
    /// Where relays send to, in turn.
    let intakeURLs: [String]
    /// Where analysts ask.
    let centralURLs: [String]
    /// What must be ready before the next stage begins.
    let stages: [[ServerPlan]]

    var centralURL: String { centralURLs[0] }

    /// Makes the folder and writes the configuration files into it.
    init(folder: String?, isCluster: Bool = false) throws {
        if let folder {
            self.folder = try Self.absolute(folder)
            isTemporary = false
        } else {
            self.folder = try FileSystem.makeTemporaryDirectory(prefix: "columba-demo")
            isTemporary = true
        }
        try FileSystem.makeDirectories(self.folder + "/logs")
        try FileSystem.writeAtomically(self.folder + "/rules.json5", Array(Self.rules.utf8))
        var stages: [[ServerPlan]]
        let needed = isCluster ? ClusterPlan.portsNeeded() : 2
        // All at once, so that no two are the same.
        let ports = try FreePorts.find(needed + Region.all.count)
        if isCluster {
            let plan = try ClusterPlan(folder: self.folder, ports: Array(ports.prefix(needed)))
            cluster = plan
            intakeURLs = plan.centrals.map(\.intakeURL)
            centralURLs = plan.centrals.map(\.analystURL)
            stages = plan.stages
        } else {
            cluster = nil
            intakeURLs = ["http://127.0.0.1:\(ports[0])"]
            centralURLs = ["http://127.0.0.1:\(ports[1])"]
            try FileSystem.writeAtomically(
                self.folder + "/central.json5",
                Array(Self.centralText(intakePort: ports[0], analystPort: ports[1]).utf8))
            stages = [[Self.server("columba-central", "central", self.folder, readyURL: centralURLs[0] + "/readyz")]]
        }
        relays = zip(Region.all, ports.suffix(Region.all.count)).map { region, port in
            Relay(id: "\(region.name)-1", position: region.station, port: port)
        }
        let place = self.folder
        stages.append(relays.map { Self.server("columba-relay", $0.id, place, readyURL: $0.url + "/readyz") })
        self.stages = stages
        for (index, relay) in relays.enumerated() {
            // Each begins with another central.
            let turn = index % intakeURLs.count
            let text = Self.text(of: relay, central: Array(intakeURLs[turn...] + intakeURLs[..<turn]))
            try FileSystem.writeAtomically("\(place)/\(relay.id).json5", Array(text.utf8))
        }
    }

    private static func server(_ program: String, _ name: String, _ folder: String, readyURL: String) -> ServerPlan {
        ServerPlan(
            name: name, program: .sister(program), arguments: ["run", "--config", "\(folder)/\(name).json5"],
            workingDirectory: folder, readyURL: readyURL, logFile: "\(folder)/logs/\(name).log")
    }

    private static func absolute(_ path: String) throws -> String {
        try FileSystem.makeDirectories(path)
        guard let resolved = RealPath.of(path) else { throw CommandFailure("\(path): not a folder") }
        return resolved
    }

    private static let rules = """
        {version: 1, rules: [
          {name: "low-peacescore", severity: "critical", when: {citizen: {peacescore: {below: 20}}}, cooldown_s: 0},
          {name: "battery", severity: "warning", when: {reading: {battery_pct: {below: 15}}}, for_reports: 2},
        ]}

        """

    private static func centralText(intakePort: UInt16, analystPort: UInt16) -> String {
        """
        {
          listen: "127.0.0.1:\(intakePort)",           // relays
          analyst_listen: "127.0.0.1:\(analystPort)",  // analysts
          data_dir: "central",
          lake: "lake",
          vault: "vault",
          archive: {max_wait_s: 1},  // a demo shows each report in the archive soon; a real central gathers more
        }

        """
    }

    private static func text(of relay: Relay, central: [String]) -> String {
        """
        {
          relay_id: "\(relay.id)",
          position: {lat: \(relay.position.latitude), lon: \(relay.position.longitude)},
          listen: "127.0.0.1:\(relay.port)",
          data_dir: "\(relay.id)",
          rules: "rules.json5",
          central: [\(central.map { "\"\($0)\"" }.joined(separator: ", "))],
        }

        """
    }

    /// Removes a temporary folder; says where a kept one is when something went wrong.
    func cleanUp(afterFailure: Bool, _ console: Console) {
        guard isTemporary else { return }
        if afterFailure {
            console.message("the demo's data and logs are kept in \(folder)")
        } else {
            try? FileSystem.removeTree(folder)
        }
    }
}
