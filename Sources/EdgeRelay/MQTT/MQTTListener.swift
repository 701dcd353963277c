// The relay's MQTT listener, where the configuration names an address for it: what the service starts and stops.

import Log
import MQTTServer
import System

struct MQTTListener: Sendable {
    private let server: MQTTServer
    private let sessions: MQTTSessionFile
    private let sessionThread: WorkerThread

    /// Nil where `mqtt_listen` is not set.
    init?(
        _ settings: RelayConfiguration.MQTT, dataDirectory: String, ingest: ReportIngest, time: any TimeSource, log: Log
    ) throws(SystemError) {
        guard let listen = settings.listen else { return nil }
        let log = log.component("mqtt")
        sessions = MQTTSessionFile(path: "\(dataDirectory)/mqtt-sessions.json", time: time, log: log)
        server = try MQTTServer(
            MQTTServerConfiguration(settings, listen: listen),
            handler: MQTTReports(ingest: ingest, time: time, log: log),
            time: time, sessions: sessions.book)
        sessionThread = sessions.start()
        log.info("mqtt_ready", ["port": .int(server.port)])
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
