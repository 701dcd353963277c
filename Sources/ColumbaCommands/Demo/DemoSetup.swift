// What the demo runs: the data folder, the configuration files of central and two relays, and their addresses.
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
    let intakePort: UInt16
    let analystPort: UInt16

    var centralURL: String { "http://127.0.0.1:\(analystPort)" }
    var centralConfiguration: String { folder + "/central.json5" }
    func configuration(of relay: Relay) -> String { "\(folder)/\(relay.id).json5" }
    func logFile(_ name: String) -> String { "\(folder)/logs/\(name).log" }

    /// Makes the folder and writes the configuration files into it.
    init(folder: String?) throws {
        if let folder {
            self.folder = try Self.absolute(folder)
            isTemporary = false
        } else {
            self.folder = try FileSystem.makeTemporaryDirectory(prefix: "columba-demo")
            isTemporary = true
        }
        let ports = try FreePorts.find(2 + Region.all.count)
        intakePort = ports[0]
        analystPort = ports[1]
        relays = zip(Region.all, ports[2...]).map { region, port in
            Relay(id: "\(region.name)-1", position: region.station, port: port)
        }
        try FileSystem.makeDirectories(self.folder + "/logs")
        try FileSystem.writeAtomically(self.folder + "/rules.json5", Array(Self.rules.utf8))
        try FileSystem.writeAtomically(centralConfiguration, Array(centralText.utf8))
        for relay in relays {
            try FileSystem.writeAtomically(configuration(of: relay), Array(text(of: relay).utf8))
        }
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

    private var centralText: String {
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

    private func text(of relay: Relay) -> String {
        """
        {
          relay_id: "\(relay.id)",
          position: {lat: \(relay.position.latitude), lon: \(relay.position.longitude)},
          listen: "127.0.0.1:\(relay.port)",
          data_dir: "\(relay.id)",
          rules: "rules.json5",
          central: ["http://127.0.0.1:\(intakePort)"],
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
