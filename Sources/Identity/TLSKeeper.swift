// Keeps the TLS of a running program current: looks at its files again and again, gives the servers what is new, closes
// connections of the denied, and says when the own certificate grows old. Nothing here needs a certificate authority.

package import HTTPServer
package import Log
package import System
package import TLS
package import Certificates
import Metrics
import Synchronization

/// A server with TLS whose certificate, authorities and open connections the keeper looks after.
package protocol KeptServer: Sendable {
    /// Its clients are anonymous (enrolment).
    var asksNoClientCertificate: Bool { get }
    /// Connections from now on begin with these; open ones keep those they have. On an error nothing changes.
    func replace(_ credentials: TLSCredentials) throws(TLSError)
    /// Asks `ServerTLS.admit` again about every open connection and closes those it refuses.
    func recheckPeers()
}

extension HTTPServer: KeptServer {}

package final class TLSKeeper: Sendable {
    private struct State {
        var loaded: LoadedTLS
        var denyList: DenyList
        var servers: [any KeptServer] = []
        /// Of the own certificate, how many warnings about its age were given.
        var warnings = 0
        var reloads = 0
        var failedReloads = 0
        var lastProblem: String?
        /// When central's deny-list was last fetched; seconds since 1970.
        var fetchedAt: Int64?
    }

    package let configuration: TLSConfiguration
    package let refusals: RefusalLog
    /// A list fetched from elsewhere, kept on disk for the time when elsewhere is out of reach.
    private let fetchedListPath: String?
    private let time: any TimeSource
    private let log: Log
    private let state: Mutex<State>
    private let stopping = Monitor(false)

    /// Shares of the certificate's life at which a warning is logged (F106).
    package static let warningShares = [0.5, 0.75, 0.9]

    /// - Throws: where a file cannot be read or they do not belong together: a program does not start half secured.
    package init(
        _ configuration: TLSConfiguration, fetchedListPath: String? = nil, time: any TimeSource, log: Log
    ) throws {
        self.configuration = configuration
        self.fetchedListPath = fetchedListPath
        self.time = time
        self.log = log
        refusals = RefusalLog(time: time, log: log)
        state = Mutex(
            State(
                loaded: try configuration.load(),
                denyList: try Self.denyList(configuration.denyListPath, fetched: fetchedListPath)))
        warnAboutAge()
    }

    private static func denyList(_ path: String?, fetched: String?) throws -> DenyList {
        var list = DenyList()
        if let path { list = try DenyList(text: String(decoding: try FileSystem.read(path), as: UTF8.self)) }
        if let fetched, FileSystem.exists(fetched) {
            list.formUnion(try DenyList(text: String(decoding: try FileSystem.read(fetched), as: UTF8.self)))
        }
        return list
    }

    // MARK: For the servers

    /// What a server begins with.
    package var serverTLS: ServerTLS {
        ServerTLS(
            credentials: state.withLock { $0.loaded.credentials },
            admit: { [self] certificate in
                let denyList = state.withLock { $0.denyList }
                guard let refusal = PeerPolicy.objection(certificate, denyList) else { return true }
                refusals.note(refusal.rawValue, who: certificate.identity)
                return false
            },
            onRefused: { [self] reason, address in
                // Counted with its own reason above.
                if reason != "not_admitted" { refusals.note(reason, who: address) }
            })
    }

    /// The same for a server that asks nobody for a certificate (enrolment).
    package var anonymousServerTLS: ServerTLS {
        var tls = serverTLS
        tls.credentials.clientAuthorities = nil
        return tls
    }

    /// From now on the server hears of every change.
    package func keep(_ server: any KeptServer) { state.withLock { $0.servers.append(server) } }

    package var certificate: Certificate { state.withLock { $0.loaded.certificate } }
    package var denyList: DenyList { state.withLock { $0.denyList } }
    package var nowSeconds: Int64 { time.wallMicroseconds() / 1_000_000 }

    // MARK: Looking again

    /// Looks every `recheckSeconds` until `stop`.
    /// - Parameter askElsewhere: what the network gives; it may take its time, so files are looked at before as well.
    package func run(_ askElsewhere: (() -> Void)? = nil) {
        while stopping.wait(timeoutSeconds: configuration.recheckSeconds, until: { $0 ? true : nil }) == nil {
            look()
            guard let askElsewhere else { continue }
            askElsewhere()
            look()
        }
    }

    package func stop() { stopping.update { $0 = true } }
    package var isStopping: Bool { stopping.withLock { $0 } }

    /// Reads the files again. What cannot be used leaves what is in force: an error is logged once, not every time.
    package func look() {
        do {
            let loaded = try configuration.load()
            let list = try Self.denyList(configuration.denyListPath, fetched: fetchedListPath)
            let (servers, isNew, isOtherList) = state.withLock { state in
                let isNew = loaded != state.loaded
                let isOtherList = list != state.denyList
                if loaded.certificate != state.loaded.certificate { state.warnings = 0 }
                state.loaded = loaded
                state.denyList = list
                state.lastProblem = nil
                return (state.servers, isNew, isOtherList)
            }
            if isNew { try give(loaded.credentials, to: servers) }
            if isOtherList {
                for server in servers { server.recheckPeers() }
                log.info("deny_list_changed", ["entries": .int(list.count)])
            }
        } catch {
            let problem = "\(error)"
            let isNews = state.withLock { state in
                defer { state.lastProblem = problem }
                if state.lastProblem == problem { return false }
                state.failedReloads += 1
                return true
            }
            if isNews {
                log.error("tls_reload_failed", ["error": .string(problem), "hint": "the former stay in force"])
            }
        }
        warnAboutAge()
    }

    private func give(_ credentials: TLSCredentials, to servers: [any KeptServer]) throws {
        for server in servers {
            var own = credentials
            if server.asksNoClientCertificate { own.clientAuthorities = nil }
            try server.replace(own)
        }
        let certificate = certificate
        state.withLock { $0.reloads += 1 }
        log.info(
            "tls_reloaded", ["serial": .string(certificate.serial), "expires_at": .int(certificate.notAfter)])
    }

    private func warnAboutAge() {
        let certificate = certificate
        let share = certificate.shareOfLife(atSeconds: nowSeconds)
        let due = Self.warningShares.count { share >= $0 } + (share >= 1 ? 1 : 0)
        let isNews = state.withLock { state in
            defer { state.warnings = max(state.warnings, due) }
            return due > state.warnings
        }
        guard isNews else { return }
        let values: KeyValuePairs<String, LogValue> = [
            "identity": .string(certificate.identity?.uri ?? "none"), "serial": .string(certificate.serial),
            "life_used_percent": .int(Int(share * 100)), "expires_at": .int(certificate.notAfter),
        ]
        if share >= 1 { log.error("certificate_expired", values) } else { log.warning("certificate_ages", values) }
    }

    // MARK: A list from elsewhere

    /// Central's deny-list has come: kept on disk, in force at the next look.
    package func fetched(_ text: String) {
        guard let fetchedListPath else { return }
        do {
            let list = try DenyList(text: text)
            let bytes = Array(list.text.utf8)
            if (try? FileSystem.read(fetchedListPath)) != bytes {
                try FileSystem.writeAtomically(fetchedListPath, bytes)
            }
            let now = nowSeconds
            state.withLock { $0.fetchedAt = now }
        } catch {
            log.error("deny_list_unusable", ["error": .string("\(error)")])
        }
    }

    // MARK: Metrics

    /// Prometheus text, to be put behind the program's other metrics.
    /// - Parameter prefix: `columba_relay` or `columba_central`.
    package func metrics(prefix: String) -> [UInt8] {
        let registry = MetricsRegistry()
        let (loaded, list, reloads, failures, fetchedAt) = state.withLock {
            ($0.loaded, $0.denyList.count, $0.reloads, $0.failedReloads, $0.fetchedAt)
        }
        func gauge(_ name: String, _ help: String, _ value: Double) {
            registry.gaugeCallback("\(prefix)_\(name)", help: help) { value }
        }
        gauge(
            "certificate_expires_timestamp_seconds", "When the own certificate ends.",
            Double(loaded.certificate.notAfter))
        gauge(
            "certificate_life_used_ratio", "The part of the own certificate's life that is over; renew before 1.",
            loaded.certificate.shareOfLife(atSeconds: nowSeconds))
        gauge("deny_list_entries", "Identities and serial numbers that are let in no more.", Double(list))
        if let fetchedAt {
            gauge("deny_list_fetched_timestamp_seconds", "When central last gave its deny-list.", Double(fetchedAt))
        }
        registry.counterCallback("\(prefix)_tls_reloads_total", help: "Changes of certificate or authorities taken.") {
            Double(reloads)
        }
        registry.counterCallback("\(prefix)_tls_failed_reloads_total", help: "Changes that could not be used.") {
            Double(failures)
        }
        for (reason, total) in refusals.totals.sorted(by: { $0.key < $1.key }) {
            registry.counterCallback(
                "\(prefix)_refused_peers_total", help: "Clients refused, by reason.", labels: [("reason", reason)]
            ) { Double(total) }
        }
        return registry.render()
    }
}
