// Central's `POST /v1/enroll`, `POST /v1/renew` and `GET /v1/deny-list`. Files are read and keys used on a thread of
// their own, a few at a time: these requests are rare, and a flood of them must not cost the relays anything.

package import Identity
package import Log
import Certificates
import HTTPServer
import Models
import Synchronization
import System

package final class EnrolmentService: Sendable {
    private static let maxAtOnce = 4

    private let authority: CertificateAuthority
    private let log: Log
    private let running = Mutex(0)

    package init(authority: CertificateAuthority, log: Log) {
        self.authority = authority
        self.log = log
    }

    package var enroll: IdentityService {
        IdentityService("POST", "/v1/enroll", bodyLimitBytes: EnrolmentRequest.maxBytes) { [self] exchange, _ in
            answer(exchange) { request in
                do {
                    return try self.authority.enroll(request)
                } catch let failure as CertificateAuthority.TokenFailure {
                    throw self.refused(failure, request)
                }
            }
        }
    }

    package var renew: IdentityService {
        IdentityService("POST", "/v1/renew", bodyLimitBytes: EnrolmentRequest.maxBytes) { [self] exchange, peer in
            guard let peer else {
                return exchange.respond(HTTPResponse(problem: IdentityProblem.unidentified))
            }
            answer(exchange) { request in
                do {
                    return try self.authority.renew(request, for: peer, serial: nil)
                } catch is CertificateAuthority.TokenFailure {
                    throw IdentityProblem.mismatch("The identity in the request", field: "csr")
                }
            }
        }
    }

    /// Whom to trust: relays fetch it, so that a new authority is known before it is needed (F109).
    package var authorities: IdentityService {
        IdentityService("GET", "/v1/authorities", bodyLimitBytes: 0) { [self] exchange, _ in
            _ = WorkerThread(name: "authorities") { [authority] in
                guard let text = try? authority.authorities() else {
                    return exchange.respond(
                        HTTPResponse(
                            problem: Problem(
                                status: 503, code: "unreadable", detail: "The authorities cannot be read now.")))
                }
                exchange.respond(
                    HTTPResponse(status: 200, contentType: "application/x-pem-file", body: Array(text.utf8)))
            }
        }
    }

    private func answer(
        _ exchange: HTTPExchange, _ work: @escaping @Sendable (EnrolmentRequest) throws -> EnrolmentAnswer
    ) {
        let isFree = running.withLock { running in
            guard running < Self.maxAtOnce else { return false }
            running += 1
            return true
        }
        guard isFree else {
            return exchange.respond(
                HTTPResponse(
                    problem: Problem(
                        status: 503, code: "overloaded", detail: "Others are being enrolled; try again.",
                        retryAfterSeconds: 1)))
        }
        let body = Array(exchange.body)
        _ = WorkerThread(name: "enrolment") { [self] in
            defer { running.withLock { $0 -= 1 } }
            do {
                let answer = try work(try EnrolmentRequest(json: body))
                log.info(
                    "certificate_issued", ["identity": .string(answer.identity), "expires": .string(answer.expires_at)])
                exchange.respond(answer.response())
            } catch let problem as Problem {
                exchange.respond(HTTPResponse(problem: problem))
            } catch {
                log.error("enrolment_failed", ["error": .string("\(error)")])
                exchange.respond(
                    HTTPResponse(
                        problem: Problem(
                            status: 500, code: "enrolment_failed",
                            detail: "The certificate could not be made; central's log says why.")))
            }
        }
    }

    /// One answer for every reason: who tries tokens learns nothing. The log knows.
    private func refused(_ failure: CertificateAuthority.TokenFailure, _ request: EnrolmentRequest) -> Problem {
        let identity = (try? request.checkedRequest())?.identity.uri ?? "unknown"
        let event = failure == .reused ? "enrolment_token_reused" : "enrolment_token_refused"
        log.error(
            event,
            [
                "reason": .string("\(failure)"), "asked_for": .string(identity),
                "hint": "a reused token may have been stolen: look at who enrolled with it, and revoke if in doubt",
            ])
        return Problem(
            status: 403, code: "token_refused",
            detail: "The token is not valid for this identity, has expired, or was used. Ask for a new one.",
            field: "token")
    }
}
