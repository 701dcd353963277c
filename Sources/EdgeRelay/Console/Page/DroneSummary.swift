// A drone in one line: where it was last, its battery, speed and fix, when it was heard. For the page's strips and map,
// and as CSV.

import JSON
import Models

struct DroneSummary {
    let sighting: DroneSighting
    var altitude: Double?
    /// Of the readings that the strip shows, by their names.
    var readings: [(name: String, value: Double)] = []
    /// False for the 0/0 of a receiver without a fix: listed and flagged, never drawn.
    var isLocated = true

    static let readingNames = ["battery_pct", "ground_speed_mps", "heading_deg", "gps_fix_type", "gps_satellites"]
    /// MAVLink's GPS_FIX_TYPE: 2 is the first one with a position.
    private static let firstFix = 2.0

    init(_ sighting: DroneSighting, _ parser: ReportParser) {
        self.sighting = sighting
        var fix: Double?
        sighting.body.withUnsafeBytes { body in
            guard !body.isEmpty, let report = try? parser.parse(body) else { return }
            altitude = report.altitude
            for name in Self.readingNames {
                guard let value = report.reading(named: name) else { continue }
                readings.append((name, value))
                if name == "gps_fix_type" { fix = value }
            }
        }
        isLocated = sighting.latitude != 0 || sighting.longitude != 0 || (fix ?? 0) >= Self.firstFix
    }

    func append(to writer: inout JSONWriter) {
        writer.object { writer in
            writer.member("drone_id", sighting.identity.droneID)
            writer.member("boot", sighting.identity.boot)
            writer.member("seq", sighting.identity.seq)
            writer.member("last_heard", sighting.receivedAt)
            writer.member("observed_at", sighting.observedAt)
            writer.member("lat", sighting.latitude)
            writer.member("lon", sighting.longitude)
            if let altitude { writer.member("alt_m", altitude) }
            writer.member("located", isLocated)
            writer.member("reports", sighting.reports)
            for (name, value) in readings { writer.member(name, value) }
        }
    }

    static let columns =
        ["drone_id", "boot", "seq", "last_heard", "observed_at", "lat", "lon", "alt_m", "located", "reports"]
        + readingNames

    func append(to csv: inout CSVText) {
        csv.line(
            [
                sighting.identity.droneID, sighting.identity.boot, "\(sighting.identity.seq)",
                sighting.receivedAt.rfc3339,
                sighting.observedAt.rfc3339, "\(sighting.latitude)", "\(sighting.longitude)",
                altitude.map { "\($0)" } ?? "", "\(isLocated)", "\(sighting.reports)",
            ] + Self.readingNames.map { name in readings.first { $0.name == name }.map { "\($0.value)" } ?? "" })
    }
}
