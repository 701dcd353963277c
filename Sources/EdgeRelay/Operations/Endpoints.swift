// The relay's HTTP servers, for those who come before them in the order of start: figures, reload, supervision.

package import HTTPServer
import Configuration
import Synchronization
import System

package final class Endpoints: Sendable {
    private let opened = Mutex<(servers: [HTTPServer], hosts: [String], maxConnections: Int)>(([], [], 0))

    package init() {}

    package func open(_ servers: [HTTPServer], _ configuration: RelayConfiguration) {
        let hosts = [configuration.listen, configuration.consoleListen].compactMap { $0?.host }
        precondition(servers.count == hosts.count, "each server has its host")
        opened.withLock { $0 = (servers, hosts, configuration.limits.maxConnections) }
    }

    package var counts: HTTPConnectionCounts {
        opened.withLock { $0.servers }.reduce(HTTPConnectionCounts()) { $0 + $1.counts }
    }

    package func update(_ limits: RelayConfiguration.Limits) {
        let servers = opened.withLock { opened in
            opened.maxConnections = limits.maxConnections
            return opened.servers
        }
        for server in servers { server.update(maxConnections: limits.maxConnections, admission: limits.admission) }
    }

    /// Whether each plain server answers on its port (a TLS port would count us among those without a certificate). One
    /// whose places are all taken is not asked: it would have to wait, and
    /// its limits see to it that places become free.
    package func answer(withinSeconds seconds: Double) -> Bool {
        let (servers, hosts, maxConnections) = opened.withLock { $0 }
        return zip(servers, hosts).allSatisfy { server, host in
            !server.isPlain || server.connections >= maxConnections
                || ListeningSocket.answers(host: host, port: server.port, timeoutSeconds: seconds)
        }
    }
}
