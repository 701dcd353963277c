// Central's certificates at work: TLS on its ports, enrolment, the deny-list that relays fetch.
//
//   listen            relays. With `tls`: TLS with client certificates; renewal and the deny-list are here as well
//   analyst_listen    plain on loopback, else TLS with client certificates of analysts
//   enroll_listen     TLS without client certificates: POST /v1/enroll and nothing else. Without `tls` it is on
//   `listen`

package import Configuration
import Certificates
import HTTPServer
package import Identity
import Log
import Models
import System

extension CentralConfiguration {
    package struct Security: Sendable, Equatable {
        package var tls: TLSConfiguration?
        /// The folder of `columba-central ca init`; nil: nobody is enrolled or renewed here.
        package var authorityDirectory: String?
        package var enrollListen: ListenAddress?

        package init() {}

        /// `tls {cert, key, client_ca, deny_list?, ca_dir?, recheck_s?}` and `enroll_listen`.
        static func read(
            _ reader: inout ConfigurationReader, relativeTo directory: String
        ) throws(ConfigurationError) -> Security {
            var security = Security()
            var section = try reader.object("tls")
            security.authorityDirectory = try section.string("ca_dir").map {
                $0.hasPrefix("/") ? $0 : "\(directory)/\($0)"
            }
            security.tls = try TLSConfiguration.read(&section, relativeTo: directory)
            try section.finish()
            if let authority = security.authorityDirectory, security.tls?.denyListPath == nil {
                security.tls?.denyListPath = "\(authority)/deny-list.txt"
            }
            if let enroll = try reader.string("enroll_listen") {
                security.enrollListen = try ListenAddress(enroll, key: "enroll_listen")
                guard security.tls != nil, security.authorityDirectory != nil else {
                    throw ConfigurationError(
                        key: "enroll_listen",
                        problem: "needs tls {cert, key, client_ca, ca_dir}; without tls, enrolment is on `listen`")
                }
            }
            return security
        }

        /// Plain HTTP only where nobody can listen in (contract §2).
        func check(listen: ListenAddress, analystListen: ListenAddress?) throws(ConfigurationError) {
            guard tls == nil else { return }
            try listen.requireLoopback(key: "listen")
            try analystListen?.requireLoopback(key: "analyst_listen")
        }
    }
}

extension CentralConfiguration {
    /// Reads what `tls` names: are the files there, whole, and do they belong together?
    package func checkCertificates() throws { _ = try security.tls?.check() }
}

final class CentralIdentity: Sendable {
    let keeper: TLSKeeper?
    private let enrolment: EnrolmentService?
    private let thread: WorkerThread?

    init(_ configuration: CentralConfiguration.Security, time: any TimeSource, log: Log) throws {
        let log = log.component("identity")
        enrolment = configuration.authorityDirectory.map {
            EnrolmentService(authority: CertificateAuthority(directory: $0, time: time), log: log)
        }
        let keeper = try configuration.tls.map { try TLSKeeper($0, time: time, log: log) }
        self.keeper = keeper
        let upkeep = keeper.flatMap { keeper in
            configuration.authorityDirectory.map {
                let authority = CertificateAuthority(directory: $0, time: time)
                return CentralCertificateUpkeep(authority, keeper, time: time, log: log)
            }
        }
        thread = keeper.map { keeper in
            WorkerThread(name: "identity") { keeper.run(upkeep.map { upkeep in { upkeep.turn() } }) }
        }
    }

    /// A server for relays or analysts, with TLS where it is configured and the address is not loopback or `always`.
    func serve(
        _ configuration: HTTPServerConfiguration, _ routes: CentralRoutes, always: Bool
    ) throws(HTTPServerError) -> HTTPServer {
        let isLoopback = ListenAddress(host: configuration.host, port: configuration.port).isLoopback
        guard let keeper, always || !isLoopback else {
            let services = [enrolment?.enroll, enrolment?.renew].compactMap { $0 }
            return try HTTPServer(
                configuration,
                handler: IdentityGate(routes, isVerified: false, services: services, refusals: nil) { _, _ in nil })
        }
        let denyList = IdentityService("GET", "/v1/deny-list", bodyLimitBytes: 0) { exchange, _ in
            var response = HTTPResponse(
                status: 200, contentType: "text/plain; charset=utf-8", body: Array(keeper.denyList.text.utf8))
            response.headers.append(("Cache-Control", "no-store"))
            exchange.respond(response)
        }
        var configuration = configuration
        configuration.tls = keeper.serverTLS
        let server = try HTTPServer(
            configuration,
            handler: IdentityGate(
                routes, isVerified: true, services: [denyList] + (enrolment.map { [$0.renew, $0.authorities] } ?? []),
                refusals: keeper.refusals, objection: CentralAccess.objection))
        keeper.keep(server)
        return server
    }

    /// The port for those who have no certificate yet.
    func serveEnrolment(at address: ListenAddress) throws(HTTPServerError) -> HTTPServer? {
        guard let keeper, let enrolment else { return nil }
        // Nobody shows a certificate here, so no place can be kept for those who do.
        var admission = HTTPAdmissionLimits()
        admission.reservedForKnownPercent = 0
        let server = try HTTPServer(
            HTTPServerConfiguration(
                host: address.host, port: address.port, maxConnections: 64, idleTimeoutSeconds: 10,
                admission: admission, tls: keeper.anonymousServerTLS),
            handler: IdentityGate(Nowhere(), isVerified: false, services: [enrolment.enroll], refusals: nil) { _, _ in
                nil
            })
        keeper.keep(server)
        return server
    }

    func look() { keeper?.look() }
    func metrics() -> [UInt8] { keeper?.metrics(prefix: "columba_central") ?? [] }

    func stop() {
        keeper?.stop()
        thread?.join()
    }
}

/// Every address but those of the gate's own services.
private struct Nowhere: HTTPHandler {
    func admit(_ head: HTTPRequestHead) -> HTTPAdmission {
        .refuse(
            HTTPResponse(problem: Problem(status: 404, code: "not_found", detail: "Only POST /v1/enroll is here.")))
    }

    func handle(_ exchange: HTTPExchange) {
        exchange.respond(HTTPResponse(problem: Problem(status: 404, code: "not_found", detail: "Nothing is here.")))
    }
}
