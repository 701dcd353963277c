// An archive of seeded sample data with the same data beside it as Swift values: what SQL says of the archive is
// compared with what Swift computes from the values.

import Central
import Crypto
import JSON
import Models
import System
import TestSupport

struct SampleReport {
    var drone: String
    var seq: Int64
    var relay: String
    /// Microseconds since 1970.
    var observedAt: Int64
    var receivedAt: Int64
    var archivedAt: Int64
    var latitude: Double
    var longitude: Double
    var citizens: [(name: String, peacescore: Double)]
    var words: [String]
    var battery: Double
    var satellites: Double

    var date: String { Timestamp(microseconds: observedAt).utcDay }
    var cell: String { Geohash.encode(latitude: latitude, longitude: longitude) }
    var hour: Int64 { observedAt / 3_600_000_000 }

    var body: String {
        let people = citizens.map { #"{"name":"\#($0.name)","peacescore":\#($0.peacescore),"confidence":0.9}"# }
        let words = words.map { "\"\($0)\"" }
        return #"{"drone_id":"\#(drone)","boot":"b1","seq":\#(seq),"#
            + #""observed_at":"\#(Timestamp(microseconds: observedAt).rfc3339)","#
            + #""location":{"lat":\#(latitude),"lon":\#(longitude),"alt_m":80},"#
            + #""citizens":[\#(people.joined(separator: ","))],"words":[\#(words.joined(separator: ","))],"#
            + #""readings":{"battery_pct":\#(battery),"gps_satellites":\#(satellites)}}"#
    }
}

struct SampleAlert {
    var alert: Alert
    var change: AlertStateChange?
}

final class SampleArchive {
    let archive: ArchiveFixture
    let service: QueryService
    private(set) var reports: [SampleReport] = []
    private(set) var alerts: [SampleAlert] = []
    /// Reports that came through two relays: (drone, seq, the second relay).
    private(set) var copies: [(SampleReport, relay: String)] = []
    let seed: UInt64
    /// After everything that happened.
    static let now = Timestamp(microseconds: ArchiveFixture.start + 48 * 3_600_000_000)
    static let vocabulary = ["market", "rain", "fire", "music", "train", "=SUM(A1)", "naïve", "don't"]

    /// `count` reports of eight drones through three relays within 30 hours from `ArchiveFixture.start`.
    init(count: Int = 300, seed: UInt64 = UInt64.random(in: 1...999_999)) throws {
        self.seed = seed
        archive = try ArchiveFixture()
        var random = SeededGenerator(seed: seed)
        var seqs: [String: Int64] = [:]
        for _ in 0..<count {
            let drone = "pw-00000\(Int.random(in: 1...8, using: &random))"
            seqs[drone, default: 0] += 1
            let observed = ArchiveFixture.start + Int64.random(in: 0..<(30 * 3_600), using: &random) * 1_000_000
            let people = (0..<Int.random(in: 0...4, using: &random)).map { _ in
                (
                    name: "Person \(Int.random(in: 1...30, using: &random))",
                    peacescore: Double(Int.random(in: 0...1_000, using: &random)) / 10
                )
            }
            let words = (0..<Int.random(in: 0...5, using: &random)).map { _ in
                Self.vocabulary[Int.random(in: 0..<Self.vocabulary.count, using: &random)]
            }
            let received = observed + Int64.random(in: 1...400_000, using: &random) * 1_000
            reports.append(
                SampleReport(
                    drone: drone, seq: seqs[drone, default: 0], relay: "relay-\(Int.random(in: 1...3, using: &random))",
                    observedAt: observed, receivedAt: received,
                    archivedAt: 0, latitude: 48 + Double(Int.random(in: 0...2_000, using: &random)) / 1_000,
                    longitude: 2 + Double(Int.random(in: 0...2_000, using: &random)) / 1_000, citizens: people,
                    words: words, battery: Double(Int.random(in: 5...100, using: &random)),
                    satellites: Double(Int.random(in: 2...14, using: &random))))
        }
        var configuration = QueryConfiguration(
            duckDB: archive.duckDB, scratchDirectory: "\(archive.directory)/queries")
        configuration.timeoutSeconds = 60
        service = try QueryService(configuration: configuration, lake: archive.lake, time: SystemTime())
        makeAlerts(&random)
        try store(&random)
    }

    private func makeAlerts(_ random: inout SeededGenerator) {
        let rules: [(String, AlertSeverity)] = [
            ("low-peacescore", .critical), ("battery", .warning), ("words", .info),
        ]
        for index in 0..<60 {
            let report = reports[Int.random(in: 0..<reports.count, using: &random)]
            let (rule, severity) = rules[Int.random(in: 0..<3, using: &random)]
            let alert = Alert(
                alertID: Alert.identifier(
                    rule: rule, droneID: report.drone, boot: "b1", seq: report.seq, subject: "\(index)",
                    sha256: { SHA256.hash($0).bytes }),
                rule: rule, ruleVersion: 3, severity: severity, droneID: report.drone, boot: "b1", seq: report.seq,
                location: Place(latitude: report.latitude, longitude: report.longitude),
                citizen: rule == "low-peacescore" ? "Person 1" : nil, value: 1, limit: 2,
                observedAt: Timestamp(microseconds: report.observedAt),
                receivedAt: Timestamp(microseconds: report.receivedAt),
                raisedAt: Timestamp(microseconds: report.receivedAt + 1_000), relayID: report.relay)
            let outcomes: [AlertOutcome?] = [nil, .confirmed, .falseAlarm, .unknown]
            let outcome = outcomes[Int.random(in: 0..<4, using: &random)]
            let change = outcome.map {
                AlertStateChange(
                    alertID: alert.alertID, state: .closed, by: "op", note: "looked", outcome: $0,
                    at: Timestamp(microseconds: report.receivedAt + 60_000_000), relayID: report.relay)
            }
            alerts.append(SampleAlert(alert: alert, change: change))
        }
    }

    private func store(_ random: inout SeededGenerator) throws {
        let archiver = try archive.archiver()
        let archivedAt = Self.now.microseconds
        archive.time.setWall(microseconds: archivedAt)
        var batches: [StreamedBatch] = []
        for relay in ["relay-1", "relay-2", "relay-3"] {
            var maker = BatchMaker(relay: relay)
            var n: Int64 = 0
            for index in reports.indices where reports[index].relay == relay {
                n += 1
                reports[index].archivedAt = archivedAt
                maker.add(n, reports[index].body, receivedAt: reports[index].receivedAt)
            }
            for sample in alerts where sample.alert.relayID == relay {
                n += 1
                maker.add(
                    n, String(decoding: AlertText.json(sample.alert), as: UTF8.self), kind: .alert,
                    receivedAt: sample.alert.receivedAt.microseconds)
                guard let change = sample.change else { continue }
                n += 1
                maker.add(
                    n, String(decoding: AlertText.json(change), as: UTF8.self), kind: .alertState,
                    receivedAt: change.at.microseconds)
            }
            batches.append(maker.batch(at: Int64(batches.count + 1)))
        }
        // The same reports again, through another relay.
        var maker = BatchMaker(relay: "relay-4")
        for n in 1...Int64(12) {
            let report = reports[Int.random(in: 0..<reports.count, using: &random)]
            copies.append((report, "relay-4"))
            maker.add(n, report.body, receivedAt: report.receivedAt + 5_000_000)
        }
        batches.append(maker.batch(at: Int64(batches.count + 1)))
        _ = try archiver.archive(batches)
    }

    func rows(_ sql: String) throws -> [OrderedRow] { try OrderedRow.all(service.run(sql: sql, format: .json).body) }
}
