// The archiver with a real DuckDB: what ends up in the tables, and that it ends up there once.

import Central
import DuckDB
import FoundationEssentials
import Models
import ObjectStore
import SyncProtocol
import System
import Testing

@Suite struct ArchiverTests {
    @Test("a report becomes one row with every column of the contract, and its name only a pseudonym")
    func columns() throws {
        let fixture = try ArchiveFixture()
        let archiver = try fixture.archiver()
        var maker = BatchMaker()
        let extra = #","colour":"red","location2":[1,{"a":null}]"#
        maker.add(1, BatchMaker.report(seq: 4711, extra: extra))
        let commit = try archiver.archive([maker.batch(at: 1)])
        #expect(commit.reports == 1 && commit.duplicates == 0 && commit.rejected == 0)
        let row = try #require(try fixture.rows(.reports, "select * from t").first)
        for part in [
            #""date":"2026-11-20""#, #""drone_id":"pw-000001","boot":"b1","seq":4711"#,
            #""observed_at":"2026-11-20 05:00:00.123456+00""#, #""received_at":"2026-11-20 05:00:01+00""#,
            #""relay_id":"north-3""#, #""relay_seq":1"#, #""lat":48.8566,"lon":2.3522,"alt_m":80.5,"cell":"u09tvw0""#,
            #""peacescore":12.5,"confidence":0.93}]"#, #""words":["market","raïn"]"#,
            #""readings":{"battery_pct":78.0}"#,
            #""media":[{"uri":"s3://m/a.jpg","sha256":"ab","bytes":5,"type":"image/jpeg"}]"#,
            #"{\"colour\":\"red\",\"location2\":[1,{\"a\":null}]}"#, #""time_suspect":false,"late":false"#,
        ] { #expect(row.contains(part), "\(part) in \(row)") }
        #expect(!row.contains("Ada"))
        let identity = try #require(try fixture.rows(.identities, "select * from t").first)
        #expect(identity.contains("Ada Martin"))
        let person = try #require(identity.split(separator: "\"").dropFirst(3).first)
        #expect(person.count == 32 && row.contains(person))
    }

    @Test("days, suspect clocks, late and missing times are told apart")
    func times() throws {
        let fixture = try ArchiveFixture()
        let archiver = try fixture.archiver()
        var maker = BatchMaker()
        maker.add(1, BatchMaker.report(seq: 1, observedAt: "2026-11-19T23:59:59Z"))
        maker.add(2, BatchMaker.report(seq: 2, observedAt: "1970-01-01T00:00:00Z"))
        maker.add(3, BatchMaker.report(seq: 3, observedAt: "2026-11-20T04:59:00+00:00"))
        maker.add(4, #"{"drone_id":"pw-9","seq":1,"location":{"lat":-90,"lon":180}}"#)
        _ = try archiver.archive([maker.batch(at: 1)])
        let rows = try fixture.rows(
            .reports,
            "select date, drone_id, seq, observed_at, time_suspect, late, citizens, words from t order by 2, 3")
        #expect(rows.count == 4)
        #expect(rows[0].contains(#""date":"2026-11-19""#) && rows[0].contains(#""time_suspect":false,"late":true"#))
        #expect(rows[1].contains(#""date":"2026-11-20""#) && rows[1].contains(#""time_suspect":true"#))
        #expect(rows[1].contains("1970-01-01 00:00:00+00"))
        #expect(rows[2].contains(#""late":false"#))
        #expect(rows[3].contains("2026-11-20 05:00:04+00") && rows[3].contains(#""citizens":[],"words":[]"#))
    }

    @Test("late begins after five minutes, a clock is suspect after a day, to the microsecond")
    func edges() throws {
        let fixture = try ArchiveFixture()
        var maker = BatchMaker()
        let observed = Timestamp(rfc3339: "2026-11-20T05:00:00.000000Z")?.microseconds ?? 0
        let day: Int64 = 86_400_000_000
        let delays = [300_000_000, 300_000_001, day, day + 1, -day, -day - 1]
        for (index, delay) in delays.enumerated() {
            let n = Int64(index) + 1
            maker.add(
                n, BatchMaker.report(seq: n, observedAt: "2026-11-20T05:00:00.000000Z"), receivedAt: observed + delay)
        }
        _ = try fixture.archiver().archive([maker.batch(at: 1)])
        let rows = try fixture.rows(.reports, "select late, time_suspect from t order by seq")
        #expect(
            rows == [
                #"{"late":false,"time_suspect":false}"#, #"{"late":true,"time_suspect":false}"#,
                #"{"late":true,"time_suspect":false}"#, #"{"late":true,"time_suspect":true}"#,
                #"{"late":false,"time_suspect":false}"#, #"{"late":false,"time_suspect":true}"#,
            ])
    }

    @Test("copies go to duplicates, other bytes under a known identity or record number are conflicts, resends vanish")
    func copies() throws {
        let fixture = try ArchiveFixture()
        let archiver = try fixture.archiver()
        var maker = BatchMaker()
        for seq in 1...5 as ClosedRange<Int64> { maker.add(seq, BatchMaker.report(seq: seq)) }
        maker.add(6, BatchMaker.report(seq: 1))
        maker.add(7, BatchMaker.report(seq: 2, name: "Bob Stone"))
        let first = try archiver.archive([maker.batch(at: 1)])
        #expect(first.reports == 5 && first.duplicates == 1 && first.conflicts == 1)
        var clone = BatchMaker()
        clone.add(3, BatchMaker.report(seq: 3))
        clone.add(4, BatchMaker.report(drone: "pw-other", seq: 9))
        let second = try archiver.archive([clone.batch(at: 2), clone.batch(at: 3)])
        #expect(second.reports == 0 && second.duplicates == 0 && second.conflicts == 1)
        #expect(try fixture.count(.reports) == 5)
        #expect(try fixture.count(.duplicates, "reason = 'duplicate'") == 1)
        #expect(try fixture.count(.duplicates, "reason = 'conflict'") == 2)
        #expect(
            archiver.archivedRanges(relayID: ArchiveFixture.relay, epoch: ArchiveFixture.epoch) == IntervalSet(1...7))
        let statistics = archiver.statistics
        #expect(statistics.reports == 5 && statistics.duplicates == 3 && statistics.conflicts == 2)
        #expect(statistics.relays.first?.completeThrough?.microseconds == ArchiveFixture.start + 7_000_000)
    }

    @Test(
        "after a restart the same reports are duplicates and other bytes conflicts, with and without a snapshot",
        arguments: [1, 100])
    func restart(commitsPerSnapshot: Int) throws {
        let fixture = try ArchiveFixture()
        var maker = BatchMaker()
        for seq in 1...40 as ClosedRange<Int64> { maker.add(seq, BatchMaker.report(drone: "pw-\(seq % 4)", seq: seq)) }
        do {
            let archiver = try fixture.archiver(commitsPerSnapshot: commitsPerSnapshot)
            _ = try archiver.archive([maker.batch(at: 1)])
            var more = BatchMaker()
            more.add(50, BatchMaker.report(drone: "pw-0", boot: "b2", seq: 1))
            _ = try archiver.archive([more.batch(at: 2)])
        }
        let archiver = try fixture.archiver(commitsPerSnapshot: commitsPerSnapshot)
        #expect(archiver.committedPosition == 2)
        var again = BatchMaker(relay: "south-1", epoch: ArchiveFixture.otherEpoch)
        for seq in 1...40 as ClosedRange<Int64> {
            let name = seq == 17 ? "Eve" : "Ada Martin"
            again.add(seq, BatchMaker.report(drone: "pw-\(seq % 4)", seq: seq, name: name))
        }
        // The first batch once more, as a relay that missed the answer would send it.
        let commit = try archiver.archive([maker.batch(at: 3), again.batch(at: 4)])
        #expect(commit.reports == 0 && commit.duplicates == 39 && commit.conflicts == 1)
        #expect(try fixture.count(.reports) == 41)
        #expect(try fixture.count(.duplicates) == 40)
        #expect(try fixture.count(.duplicates, "reason = 'conflict' and seq = 17") == 1)
        #expect(archiver.statistics.relays.count == 2)
        #expect(try fixture.count(.identities) == 2)
    }

    @Test("records that cannot be read are rejected with their codes, kept in the vault, and block nothing")
    func rejections() throws {
        let fixture = try ArchiveFixture()
        let archiver = try fixture.archiver()
        var maker = BatchMaker()
        maker.add(1, BatchMaker.report(seq: 1))
        maker.add(2, #"{"drone_id":"pw-2"}"#)
        maker.add(3, "nonsense")
        maker.add(4, BatchMaker.report(seq: 4))
        maker.add(5, "[1]", kind: .alert)
        maker.add(6, BatchMaker.report(seq: 6))
        var batch = maker.batch(at: 1, skip: IntervalSet(6...6))
        batch.skipCodes = [6: "too_deep"]
        let commit = try archiver.archive([batch])
        #expect(commit.reports == 2)
        let rejected = try #require(commit.relays.first?.rejected)
        #expect(rejected.map(\.n) == [6, 2, 3, 5])
        #expect(rejected.prefix(2).map(\.code) == ["too_deep", "missing_field"])
        #expect(
            archiver.archivedRanges(relayID: ArchiveFixture.relay, epoch: ArchiveFixture.epoch) == IntervalSet(1...6))
        let quarantined = try fixture.vault.list("_columba/quarantine")
        #expect(quarantined.count == 1)
        let restarted = try fixture.archiver()
        #expect(restarted.relayState(relayID: ArchiveFixture.relay, epoch: ArchiveFixture.epoch)?.rejected == rejected)
    }

    @Test("alerts and their state changes are rows with a pseudonym, once")
    func alerts() throws {
        let fixture = try ArchiveFixture()
        let archiver = try fixture.archiver()
        let at = Timestamp(microseconds: ArchiveFixture.start)
        let id = String(repeating: "ab", count: 16)
        let alert = Alert(
            alertID: id, rule: "low-peacescore", ruleVersion: 3, severity: .critical, droneID: "pw-1", boot: "b1",
            seq: 1,
            location: Place(latitude: 48.8566, longitude: 2.3522), citizen: "Ada Martin", value: 12.5, limit: 20,
            observedAt: at, receivedAt: at, raisedAt: at, relayID: ArchiveFixture.relay)
        let change = AlertStateChange(
            alertID: id, state: .closed, by: "operator \"7\"", note: "seen", outcome: .falseAlarm, at: at,
            relayID: ArchiveFixture.relay)
        var maker = BatchMaker()
        maker.add(1, String(decoding: AlertText.json(alert), as: UTF8.self), kind: .alert)
        maker.add(2, String(decoding: AlertText.json(change), as: UTF8.self), kind: .alertState)
        let commit = try archiver.archive([maker.batch(at: 1), maker.batch(at: 2)])
        #expect(commit.alerts == 2 && commit.reports == 0)
        let rows = try fixture.rows(.alerts, "select * from t order by kind")
        #expect(rows.count == 2)
        #expect(rows[0].contains(#""rule":"low-peacescore""#) && rows[0].contains(#""value":12.5,"limit":20.0"#))
        #expect(
            !rows[0].contains("Ada") && rows[0].contains(#""person_id":""#) && !rows[0].contains(#""person_id":null"#))
        #expect(rows[1].contains(#""state":"closed""#) && rows[1].contains(#""outcome":"false_alarm""#))
        #expect(try fixture.count(.identities) == 1)
    }

    @Test("a call without new reports still moves the transaction on")
    func emptyCommit() throws {
        let fixture = try ArchiveFixture()
        let archiver = try fixture.archiver(partitions: 3)
        let empty = BatchMaker().batch(at: 7)
        _ = try archiver.archive([empty])
        let table = try DeltaTable(.reports, in: fixture.lake, createdAt: nil)
        #expect(table.snapshot.transactions == ["archiver-p00": 7, "archiver-p01": 7, "archiver-p02": 7])
        #expect(archiver.committedPosition == 7)
        #expect(throws: ArchiveError.self) { try archiver.archive([empty]) }
    }

    @Test("a second archiver that commits makes the first stop, and after a recovery it goes on")
    func twoArchivers() throws {
        let fixture = try ArchiveFixture()
        let first = try fixture.archiver()
        var maker = BatchMaker()
        maker.add(1, BatchMaker.report(seq: 1))
        let second = try fixture.archiver()
        _ = try second.archive([maker.batch(at: 1)])
        #expect(throws: ArchiveError.self) { try first.archive([maker.batch(at: 1)]) }
        var more = BatchMaker()
        more.add(2, BatchMaker.report(seq: 2))
        let commit = try first.archive([more.batch(at: 2)])
        #expect(commit.reports == 1)
        #expect(try fixture.count(.reports) == 2)
    }
}
