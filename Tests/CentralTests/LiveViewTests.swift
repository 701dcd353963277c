// The live view on a real stream: counts what is durable, once, begins again after a restart, and takes the alerts'
// past from the archive.

import Central
import Compression
import Foundation
import Log
import Models
import SyncProtocol
import System
import TestSupport
import Testing

/// A stream with its writer, and a live view that reads it. The clock is the real one: the view waits on the stream.
private final class LiveFixture {
    let archive: ArchiveFixture
    let stream: EmbeddedStream
    let live: LiveView
    let handOver = LiveHandOver()
    private let writer: WorkerThread
    private let reader: WorkerThread

    init(on archive: ArchiveFixture, archivedThrough: Int64 = 0, beforeRun: (EmbeddedStream) -> Void = { _ in }) throws
    {
        self.archive = archive
        let stream = try EmbeddedStream(
            directory: "\(archive.directory)/stream", archivedThrough: archivedThrough,
            log: Log(component: "test", sink: .none))
        writer = WorkerThread(name: "writer") { stream.run() }
        self.stream = stream
        var configuration = QueryConfiguration(
            duckDB: archive.duckDB, scratchDirectory: "\(archive.directory)/queries")
        configuration.timeoutSeconds = 60
        let queries = try QueryService(configuration: configuration, lake: archive.lake, time: SystemTime())
        let live = LiveView(
            stream: stream, queries: queries, pseudonymKey: Array("a key for tests, 32 bytes long..".utf8),
            time: SystemTime(), log: Log(component: "test", sink: .none), handOver: handOver)
        self.live = live
        beforeRun(stream)
        reader = WorkerThread(name: "live") { live.run() }
    }

    func end() {
        live.stop()
        stream.close()
        writer.join()
        reader.join()
        stream.closeLog()
    }

    static func append(_ maker: BatchMaker, _ numbers: ClosedRange<Int64>, to stream: EmbeddedStream) {
        let header = StreamHeader(
            relay: maker.relay, epoch: maker.epoch, numbers: IntervalSet(numbers), rejected: [], records: numbers.count)
        let payload = (try? Zstd.compress(maker.batch(at: 0).ndjson, level: 1)) ?? []
        let now = Timestamp(microseconds: SystemTime().wallMicroseconds())
        #expect(stream.append(header, payload: payload, receivedAt: now) { _ in })
    }

    func summary() -> [String: Any] {
        (try? JSONSerialization.jsonObject(with: Data(live.json())) as? [String: Any]) ?? [:]
    }

    func reports() -> Int { (summary()["reports"] as? [String: Any])?["last_hour"] as? Int ?? -1 }
    func alerts(_ filter: LiveAlertFilter = LiveAlertFilter()) -> [LiveAlert] { (try? live.list(filter)) ?? [] }
}

@Suite("the live view") struct LiveViewTests {
    private static func batch(
        relay: String = "north-3", _ numbers: ClosedRange<Int64>, drone: String = "pw-1", at observed: Int64
    ) -> BatchMaker {
        var maker = BatchMaker(relay: relay)
        for n in numbers {
            maker.add(
                n,
                BatchMaker.report(drone: drone, seq: n, observedAt: Timestamp(microseconds: observed).rfc3339),
                receivedAt: observed + 1_000)
        }
        return maker
    }

    private static func alert(_ seq: Int64, raisedAt: Int64) -> Alert {
        Alert(
            alertID: String(repeating: "a", count: 30) + String(10 + seq), rule: "low-peacescore", ruleVersion: 1,
            severity: .critical, droneID: "pw-1", boot: "b", seq: seq, citizen: "Ada Martin", value: 1, limit: 20,
            observedAt: Timestamp(microseconds: raisedAt), receivedAt: Timestamp(microseconds: raisedAt),
            raisedAt: Timestamp(microseconds: raisedAt), relayID: "north-3")
    }

    @Test("what is durable is counted once, also when a relay sends it again; alerts come with their states")
    func counting() throws {
        let archive = try ArchiveFixture()
        let fixture = try LiveFixture(on: archive)
        defer { fixture.end() }
        let now = SystemTime().wallMicroseconds()
        LiveFixture.append(Self.batch(1...40, at: now - 2_000_000), 1...40, to: fixture.stream)
        LiveFixture.append(Self.batch(30...50, at: now - 2_000_000), 30...50, to: fixture.stream)
        LiveFixture.append(
            Self.batch(relay: "south-1", 1...7, drone: "pw-2", at: now - 700_000_000), 1...7, to: fixture.stream)
        var maker = BatchMaker()
        maker.add(
            51, String(decoding: AlertText.json(Self.alert(1, raisedAt: now)), as: UTF8.self), kind: .alert,
            receivedAt: now)
        let change = AlertStateChange(
            alertID: Self.alert(1, raisedAt: now).alertID, state: .acknowledged, by: "op", note: "",
            at: Timestamp(microseconds: now + 1), relayID: "north-3")
        maker.add(52, String(decoding: AlertText.json(change), as: UTF8.self), kind: .alertState, receivedAt: now)
        LiveFixture.append(maker, 51...52, to: fixture.stream)
        #expect(eventually { fixture.alerts().first?.alert.state == .acknowledged })
        #expect(fixture.reports() == 57)
        let summary = fixture.summary()
        #expect((summary["drones"] as? [String: Any])?["last_hour"] as? Int == 2)
        let minutes = summary["minutes"] as? [[String: Any]] ?? []
        #expect(minutes.reduce(0) { $0 + (($1["late"] as? Int) ?? 0) } == 7)
        #expect(summary["missed_batches"] as? Int == 0 && summary["behind_batches"] as? Int == 0)
        let alert = try #require(fixture.alerts().first)
        let inArchive = try fixture.archive.rows(TableSchema.reports, "select 1")
        #expect(inArchive.isEmpty && alert.personID?.utf8.count == 32)
        #expect(!String(decoding: fixture.live.json() + alert.json(), as: UTF8.self).contains("Ada"))
        #expect((summary["alerts"] as? [String: Any])?["last_hour"] as? Int == 1)
    }

    @Test("after a restart the last hour is counted again from the stream, and alerts come back from the archive")
    func restart() throws {
        let archive = try ArchiveFixture()
        let now = SystemTime().wallMicroseconds()
        // Archived in an earlier life and long gone from the stream: one alert open, one closed.
        var old = BatchMaker(relay: "relay-9")
        for seq in 1...2 as ClosedRange<Int64> {
            let alert = Self.alert(seq, raisedAt: now - 86_400_000_000 + seq)
            old.add(seq, String(decoding: AlertText.json(alert), as: UTF8.self), kind: .alert, receivedAt: now)
        }
        let closed = AlertStateChange(
            alertID: Self.alert(2, raisedAt: now).alertID, state: .closed, by: "op", note: "a cat",
            outcome: .falseAlarm, at: Timestamp(microseconds: now - 3_600_000_000), relayID: "relay-9")
        old.add(3, String(decoding: AlertText.json(closed), as: UTF8.self), kind: .alertState, receivedAt: now)
        _ = try archive.archiver().archive([old.batch(at: 1)])
        let first = try LiveFixture(on: archive, archivedThrough: 1)
        LiveFixture.append(Self.batch(1...25, at: now), 1...25, to: first.stream)
        #expect(eventually { first.reports() == 25 })
        first.end()
        let second = try LiveFixture(on: archive, archivedThrough: 1)
        defer { second.end() }
        #expect(eventually { second.reports() == 25 && second.alerts().count == 2 })
        let alerts = second.alerts()
        #expect(alerts.map { $0.alert.state } == [.closed, .raised])
        #expect(alerts.first?.lastChange?.outcome == .falseAlarm && alerts.first?.lastChange?.note == "a cat")
        #expect(alerts.allSatisfy { $0.personID?.utf8.count == 32 && $0.alert.citizen == nil })
        // The relay sends the closed one again: it stays closed and is not raised anew.
        var again = BatchMaker(relay: "relay-9")
        again.add(
            1, String(decoding: AlertText.json(Self.alert(2, raisedAt: now)), as: UTF8.self), kind: .alert,
            receivedAt: now)
        LiveFixture.append(again, 1...1, to: second.stream)
        LiveFixture.append(Self.batch(26...26, at: now), 26...26, to: second.stream)
        #expect(eventually { second.reports() == 26 })
        #expect(second.alerts().map { $0.alert.state } == [.closed, .raised])
        #expect((second.summary()["alerts"] as? [String: Any])?["last_hour"] as? Int == 0)
    }

    @Test("what lies beyond memory is asked of the archive, and the live state wins where both know an alert")
    func beyondMemory() throws {
        let sample = try SampleArchive(count: 60)
        let stream = try EmbeddedStream(
            directory: "\(sample.archive.directory)/stream", archivedThrough: 0,
            log: Log(component: "test", sink: .none))
        let alerts = LiveAlerts()
        let live = LiveView(
            stream: stream, queries: sample.service, pseudonymKey: Array("a key for tests, 32 bytes long..".utf8),
            time: SystemTime(), log: Log(component: "test", sink: .none), alerts: alerts)
        // Nothing was loaded: memory knows of one alert only, and that it does not know the others.
        alerts.restore([], isAll: false)
        let known = try #require(sample.alerts.first { $0.change != nil })
        alerts.raise(LiveAlert(alert: known.alert), at: SampleArchive.now)
        var filter = LiveAlertFilter()
        filter.limit = 1_000
        let expected = sample.alerts.map {
            $0.alert.alertID == known.alert.alertID ? "raised" : $0.change?.state.rawValue ?? "raised"
        }
        let all = try live.list(filter)
        #expect(all.map(\.alert.raisedAt) == all.map(\.alert.raisedAt).sorted(by: >))
        #expect(all.map { $0.alert.state.rawValue }.sorted() == expected.sorted(), "seed \(sample.seed)")
        filter.state = .closed
        #expect(try live.list(filter).count == expected.count { $0 == "closed" }, "seed \(sample.seed)")
        filter.state = nil
        filter.severity = .critical
        filter.relayID = "relay-2"
        #expect(
            try live.list(filter).count
                == sample.alerts.count { $0.alert.severity == .critical && $0.alert.relayID == "relay-2" })
        filter.limit = 1
        filter.severity = nil
        filter.relayID = nil
        #expect(try live.list(filter).first?.alert.raisedAt == sample.alerts.map(\.alert.raisedAt).max())
        stream.close()
        stream.closeLog()
    }
}
