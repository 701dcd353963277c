// One simulated drone: it flies between random points of its city and reports what it sees, hears and measures.
// Pure: the same seed, drone and times give the same bytes.
package import DroneClient
package import Models

/// A report as a drone sends it, and what the sender knows about it.
package struct SimulatedReport: Sendable {
    package let identity: ReportIdentity
    /// Whether one citizen's score is below 20, so that the rule `low-peacescore` raises exactly one alert.
    package let raisesAlert: Bool
    /// The JSON text, to be sent (and resent) as it is.
    package let body: [UInt8]
}

package struct SimulatedDrone: Sendable {
    package let droneID: String
    package let boot: String
    package let city: GeoPoint
    /// The number of the last report; the next one has one more (1 at first).
    package private(set) var lastSeq: Int64 = 0
    package private(set) var position: GeoPoint

    /// One report a minute, as in the field; simulated flight advances by this much whatever the sending rate is.
    private static let secondsBetweenReports = 60.0
    private static let cityRadiusMetres = 6_000.0

    private var random: SeededRandom
    private let alertShare: Double
    private var waypoint: GeoPoint
    private var speedMetresPerSecond = 0.0
    private var headingDegrees = 0.0
    private var altitudeMetres: Double
    private var batteryPercent: Double

    init(index: Int, seed: UInt64, boot: String, alertShare: Double) {
        random = SeededRandom(seed: seed, stream: UInt64(index))
        droneID = "pw-" + String(repeating: "0", count: max(0, 6 - String(index).count)) + String(index)
        self.boot = boot
        self.alertShare = alertShare
        let region = Region.all[index % Region.all.count]
        city = region.cities[(index / Region.all.count) % region.cities.count]
        position = city
        waypoint = city
        altitudeMetres = random.between(40, 120)
        batteryPercent = random.between(40, 100)
        position = randomPoint()
        waypoint = randomPoint()
    }

    /// Flies a minute further and reports.
    package mutating func nextReport(observedAt: Timestamp) -> SimulatedReport {
        advance()
        lastSeq += 1
        let raisesAlert = random.unit() < alertShare
        var text = ReportText(capacity: 2_048)
        text.raw("{\"drone_id\":\"")
        text.text(droneID)
        text.raw("\",\"boot\":\"")
        text.text(boot)
        text.raw("\",\"seq\":")
        text.integer(lastSeq)
        text.raw(",\"observed_at\":\"")
        text.text(observedAt.rfc3339)
        text.raw("\",\"location\":{\"lat\":")
        text.fixed(position.latitude, decimals: 6)
        text.raw(",\"lon\":")
        text.fixed(position.longitude, decimals: 6)
        text.raw(",\"alt_m\":")
        text.fixed(altitudeMetres, decimals: 1)
        text.raw("},")
        appendCitizens(&text, raisesAlert: raisesAlert)
        appendWords(&text)
        appendReadings(&text)
        appendMedia(&text)
        text.raw("}")
        return SimulatedReport(
            identity: ReportIdentity(droneID: droneID, boot: boot, seq: lastSeq), raisesAlert: raisesAlert,
            body: text.bytes)
    }

    private mutating func advance() {
        if position.metres(to: waypoint) < 400 { waypoint = randomPoint() }
        speedMetresPerSecond = random.between(2, 12)
        headingDegrees = position.headingDegrees(to: waypoint)
        let flown = min(speedMetresPerSecond * Self.secondsBetweenReports, position.metres(to: waypoint))
        position = position.moved(metres: flown, headingDegrees: headingDegrees)
        altitudeMetres = min(max(altitudeMetres + random.between(-8, 8), 30), 120)
        // A drone is exchanged for a charged one before its battery is a matter for an alert.
        batteryPercent -= random.between(0.5, 2)
        if batteryPercent < 20 { batteryPercent = 100 }
    }

    private mutating func randomPoint() -> GeoPoint {
        // The square root spreads points evenly over the disc instead of crowding its middle.
        let metres = Self.cityRadiusMetres * random.unit().squareRoot()
        return city.moved(metres: metres, headingDegrees: random.between(0, 360))
    }

    private mutating func appendCitizens(_ text: inout ReportText, raisesAlert: Bool) {
        let count = 5 + random.index(below: 7)  // 8 on average
        let lowOne = raisesAlert ? random.index(below: count) : -1
        text.raw("\"citizens\":[")
        for index in 0..<count {
            text.raw(index == 0 ? "{\"name\":\"" : ",{\"name\":\"")
            let names = Vocabulary.names[random.skewedIndex(below: Vocabulary.names.count)]
            text.text(names.first[random.index(below: names.first.count)])
            text.raw(" ")
            text.text(names.family[random.index(below: names.family.count)])
            text.raw("\",\"peacescore\":")
            text.fixed(index == lowOne ? random.between(0, 19.9) : random.between(25, 100), decimals: 2)
            text.raw(",\"confidence\":")
            text.fixed(random.between(0.5, 1), decimals: 2)
            text.raw("}")
        }
        text.raw("],")
    }

    private mutating func appendWords(_ text: inout ReportText) {
        let count = 25 + random.index(below: 41)  // 45 on average
        text.raw("\"words\":[")
        for index in 0..<count {
            text.raw(index == 0 ? "\"" : ",\"")
            text.text(Vocabulary.words[random.skewedIndex(below: Vocabulary.words.count)])
            text.raw("\"")
        }
        text.raw("],")
    }

    /// Names and units as in MAVLink's HIGH_LATENCY2 and GPS_RAW_INT.
    private mutating func appendReadings(_ text: inout ReportText) {
        text.raw("\"readings\":{\"battery_pct\":")
        text.fixed(batteryPercent, decimals: 0)
        text.raw(",\"battery_voltage_v\":")
        text.fixed(19.8 + 5.4 * batteryPercent / 100 + random.between(-0.1, 0.1), decimals: 2)
        text.raw(",\"ground_speed_mps\":")
        text.fixed(speedMetresPerSecond, decimals: 2)
        text.raw(",\"heading_deg\":")
        text.fixed(headingDegrees, decimals: 1)
        text.raw(",\"gps_satellites\":")
        text.integer(Int64(7 + random.index(below: 12)))
        text.raw(",\"gps_fix_type\":3,\"temperature_air_c\":")
        text.fixed(random.between(-5, 31), decimals: 1)
        text.raw(",\"wind_speed_mps\":")
        text.fixed(random.between(0, 14), decimals: 1)
        text.raw("}")
    }

    /// One report in four has pictures: their links and hashes, never the pictures.
    private mutating func appendMedia(_ text: inout ReportText) {
        guard random.unit() < 0.25 else { return }
        let hash = (0..<4).map { _ in Self.hex(random.next()) }.joined()
        text.raw(",\"media\":[{\"uri\":\"s3://media/")
        text.text(droneID)
        text.raw("/")
        text.text(String(hash.prefix(12)))
        text.raw(".jpg\",\"sha256\":\"")
        text.text(hash)
        text.raw("\",\"bytes\":")
        text.integer(Int64(20_000 + random.index(below: 90_000)))
        text.raw(",\"type\":\"image/jpeg\"}]")
    }

    static func hex(_ value: UInt64) -> String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}
