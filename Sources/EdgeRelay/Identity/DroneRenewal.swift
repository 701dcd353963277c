// `POST /v1/renew` at a relay: a drone with a valid certificate gets its next one here, signed by the relay's own
// intermediate. Central need not be in reach, for months (docs/decisions/0011).

import Certificates
import HTTPServer
import Identity
import Log
import Models
import Synchronization
import System

final class DroneRenewal: Sendable {
    private static let maxAtOnce = 4

    private let configuration: TLSConfiguration
    private let relayID: String
    private let time: any TimeSource
    private let log: Log
    private let running = Mutex(0)

    init(_ configuration: TLSConfiguration, relayID: String, time: any TimeSource, log: Log) {
        self.configuration = configuration
        self.relayID = relayID
        self.time = time
        self.log = log
    }

    /// Where nobody shows a certificate, none is renewed.
    static var refusal: IdentityService {
        IdentityService("POST", "/v1/renew", bodyLimitBytes: EnrolmentRequest.maxBytes) { exchange, _ in
            do throws(Problem) {
                _ = try EnrolmentRequest(json: Array(exchange.body))
                throw IdentityProblem.unidentified
            } catch {
                exchange.respond(HTTPResponse(problem: error))
            }
        }
    }

    var service: IdentityService {
        IdentityService("POST", "/v1/renew", bodyLimitBytes: EnrolmentRequest.maxBytes) { [self] exchange, peer in
            guard let peer else { return exchange.respond(HTTPResponse(problem: IdentityProblem.unidentified)) }
            guard peer.role == .drone else {
                return exchange.respond(HTTPResponse(problem: IdentityProblem.wrongRole(peer, allowed: [.drone])))
            }
            let isFree = running.withLock { running in
                guard running < Self.maxAtOnce else { return false }
                running += 1
                return true
            }
            guard isFree else { return exchange.respond(HTTPResponse(problem: Self.busy)) }
            let body = Array(exchange.body)
            // Reads a file and signs: not on a server's thread.
            _ = WorkerThread(name: "renewal") { [self] in
                defer { running.withLock { $0 -= 1 } }
                exchange.respond(answer(body, peer))
            }
        }
    }

    private static let busy = Problem(
        status: 503, code: "overloaded", detail: "Others are being renewed; try again.", retryAfterSeconds: 1)

    private func answer(_ body: [UInt8], _ peer: PeerIdentity) -> HTTPResponse {
        do {
            let request = try EnrolmentRequest(json: body).checkedRequest()
            guard request.identity == peer else {
                throw IdentityProblem.mismatch("The identity in the request", field: "csr")
            }
            return try renew(request).response()
        } catch let problem as Problem {
            return HTTPResponse(problem: problem)
        } catch {
            log.error("renewal_failed", ["drone": .string(peer.name), "error": .string("\(error)")])
            return HTTPResponse(
                problem: Problem(
                    status: 503, code: "cannot_renew",
                    detail: "This relay cannot sign certificates now; ask another relay, or central.",
                    retryAfterSeconds: 300))
        }
    }

    private func renew(_ request: CertificateRequest) throws -> EnrolmentAnswer {
        let text = String(decoding: try FileSystem.read(configuration.issuingPath), as: UTF8.self)
        guard let own = try Certificate.parse(text).first else { throw CertificateError("no intermediate") }
        let issuer = try CertificateIssuer(certificate: own, key: try PrivateKey(in: text))
        let now = time.wallMicroseconds() / 1_000_000
        let certificate = try issuer.issue(
            request,
            CertificateProfile(
                .client, identity: request.identity, notBefore: now - CertificateLife.headStartSeconds,
                notAfter: now + CertificateLife.seconds(.drone)))
        let authorities = String(decoding: try FileSystem.read(configuration.clientAuthoritiesPath), as: UTF8.self)
        log.info(
            "drone_renewed",
            ["drone": .string(request.identity.name), "serial": .string(certificate.serial)])
        return EnrolmentAnswer(
            identity: request.identity.uri, certificate: certificate.pem + own.pem, authorities: authorities,
            issuing_certificate: nil,
            expires_at: Timestamp(microseconds: certificate.notAfter * 1_000_000).rfc3339)
    }
}
