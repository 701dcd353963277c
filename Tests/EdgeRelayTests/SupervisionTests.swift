// What keeps a relay alive: who is found to hang, what a reload changes and keeps.

import Configuration
import EdgeRelay
import Log
import Models
import Synchronization
import System
import Testing

@Suite("supervision and reload")
struct SupervisionTests {
    private let time = ManualTime()

    private func supervision(
        _ writer: WriterProgress, _ maintenance: Pulse, portsAnswer: Bool = true
    ) -> Supervision {
        Supervision(
            notifier: ServiceNotifier(environment: [:]),
            probes: .init(
                writer: writer, maintenance: maintenance, refuseQueued: { 0 }, portsAnswer: { _ in portsAnswer }),
            time: time, log: Log(component: "test", sink: .none))
    }

    @Test("a transaction is stuck after 5 s with the disk, and not while there is none")
    func stuckWriter() {
        let (writer, maintenance) = (WriterProgress(time: time), Pulse(time: time))
        let supervision = supervision(writer, maintenance)
        time.advance(seconds: 20)
        #expect(writer.stalledSeconds == 0 && supervision.whatHangs() == nil)
        writer.began()
        time.advance(seconds: 4.9)
        #expect(!writer.isStuck && supervision.whatHangs() == nil)
        time.advance(seconds: 0.2)
        #expect(writer.isStuck && supervision.whatHangs() == "writer")
        writer.ended()
        #expect(!writer.isStuck && supervision.whatHangs() == nil)
    }

    @Test("maintenance that did not go round for 30 s hangs, and so does a port that does not answer")
    func otherParts() {
        let (writer, maintenance) = (WriterProgress(time: time), Pulse(time: time))
        #expect(supervision(writer, maintenance, portsAnswer: false).whatHangs() == "http")
        time.advance(seconds: 31)
        #expect(supervision(writer, maintenance).whatHangs() == "maintenance")
        maintenance.beat()
        #expect(supervision(writer, maintenance).whatHangs() == nil)
    }

    private static func configuration(_ members: String = "") throws -> RelayConfiguration {
        let text = #"{relay_id: "north-3", listen: "127.0.0.1:0", data_dir: "/tmp", \#(members)}"#
        return try RelayConfiguration.parse(
            ConfigurationNode.parse(json5: Array(text.utf8)), environment: [:], relativeTo: "/tmp")
    }

    @Test("a reload changes everything or nothing")
    func allOrNothing() throws {
        struct Refused: Error {}
        let applied = Mutex<[String]>([])
        let isRefused = Mutex(true)
        let steps = [
            ReloadStep { _ in { applied.withLock { $0.append("first") } } },
            ReloadStep { _ in
                if isRefused.withLock({ $0 }) { throw Refused() }
                return { applied.withLock { $0.append("second") } }
            },
        ]
        let reload = Reload(
            try Self.configuration(), time: time, log: Log(component: "test", sink: .none), steps: steps,
            load: {
                try Self.configuration(
                    "limits: {max_connections: 100, threads: 3}, central: ['http://c'], mqtt: {threads: 1, tls: false}")
            })
        let loadedAt = reload.figures.loadedAt
        time.advance(seconds: 1)
        #expect(!reload.run())
        #expect(applied.withLock { $0 } == [])
        #expect(reload.figures.lastError != nil && reload.figures.refused == 1 && reload.figures.loadedAt == loadedAt)
        isRefused.withLock { $0 = false }
        #expect(reload.run())
        #expect(applied.withLock { $0 } == ["first", "second"])
        #expect(reload.figures.lastError == nil && reload.figures.succeeded == 1)
        #expect(reload.figures.needsRestart == ["central", "mqtt.threads", "limits.threads"])
    }

    @Test(
        "limits out of range, or against each other, are refused by name",
        arguments: [
            ("max_connections: 1", "limits.max_connections"), ("header_s: 0", "limits.header_s"),
            ("max_uri_bytes: 8192", "limits.max_uri_bytes"),
            (
                "new_connection_per_address: 1",
                "limits.new_connection_per_address"
            ),
        ])
    func limits(_ members: String, _ key: String) {
        let error = #expect(throws: ConfigurationError.self) { try Self.configuration("limits: {\(members)}") }
        #expect(error?.key == key)
    }
}
