// The relay's MQTT listener, where the configuration names an address for it: what the service starts and stops.

import Configuration
import Identity
import Log
import MQTTServer
import System

struct MQTTListener: Sendable {
    private let server: MQTTServer
    private let listen: ListenAddress
    private let door: MQTTDoor?
    private let sessions: MQTTSessionFile
    private let sessionThread: WorkerThread

    /// Nil where `mqtt_listen` is not set.
    init?(
        _ relay: RelayConfiguration, ingest: ReportIngest, identity: RelayIdentity, time: any TimeSource, log: Log
    ) throws {
        let settings = relay.mqtt
        guard let listen = settings.listen else { return nil }
        self.listen = listen
        let log = log.component("mqtt")
        sessions = MQTTSessionFile(path: "\(relay.dataDirectory)/mqtt-sessions.json", time: time, log: log)
        var configuration = MQTTServerConfiguration(relay, listen: listen)
        let door = try MQTTDoor(relay, identity, time: time)
        self.door = door
        if let door { configuration.transport = { door.stream(over: $0) } }
        server = try MQTTServer(
            configuration,
            handler: MQTTReports(ingest: ingest, refusals: door?.keeper.refusals, time: time, log: log),
            time: time, sessions: sessions.book)
        door?.open(server)
        sessionThread = sessions.start()
        log.info("mqtt_ready", ["port": .int(server.port), "tls": .bool(door != nil)])
    }

    /// Everything but address, TLS and threads (`MQTT.needsRestart`).
    func update(_ relay: RelayConfiguration) {
        server.update(MQTTServerConfiguration(relay, listen: listen))
        door?.update(relay.limits)
    }

    var counters: MQTTServerCounters { server.counters }

    /// No new connections, no more packets; publishes under way are still answered.
    func stopAccepting() { server.stopAccepting() }

    func stop() {
        server.stop()
        sessions.stop()
        sessionThread.join()
    }
}
