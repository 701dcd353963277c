// Stands before a server's routes and asks who asks: each path belongs to roles, and a certificate of another role gets
// a 403 before a byte of its body is read. Over plain HTTP, which is for loopback only, everyone passes.

package import Certificates
package import HTTPServer
package import Models

/// A request about certificates themselves, answered by the gate's owner.
package struct IdentityService: Sendable {
    package var method: String
    package var path: String
    package var bodyLimitBytes: Int
    /// On a server thread, body complete: must not wait there. The peer is nil over plain HTTP.
    package var answer: @Sendable (HTTPExchange, PeerIdentity?) -> Void

    package init(
        _ method: String, _ path: String, bodyLimitBytes: Int,
        answer: @escaping @Sendable (HTTPExchange, PeerIdentity?) -> Void
    ) {
        self.method = method
        self.path = path
        self.bodyLimitBytes = bodyLimitBytes
        self.answer = answer
    }
}

package struct IdentityGate<Inner: HTTPHandler>: HTTPHandler {
    private let inner: Inner
    /// Every client of this server has shown a verified certificate.
    private let isVerified: Bool
    private let services: [IdentityService]
    private let objection: @Sendable (_ path: String, _ peer: PeerIdentity) -> Problem?
    private let refusals: RefusalLog?

    /// - Parameter objection: why this peer may not ask for that path; nil: it may.
    package init(
        _ inner: Inner, isVerified: Bool, services: [IdentityService] = [], refusals: RefusalLog?,
        objection: @escaping @Sendable (_ path: String, _ peer: PeerIdentity) -> Problem?
    ) {
        self.inner = inner
        self.isVerified = isVerified
        self.services = services
        self.refusals = refusals
        self.objection = objection
    }

    package func admit(_ head: HTTPRequestHead) -> HTTPAdmission {
        let path = head.path
        if isVerified {
            guard let peer = head.peerIdentity.flatMap(PeerIdentity.init(uri:)) else {
                return .refuse(HTTPResponse(problem: IdentityProblem.unidentified))
            }
            if let problem = objection(path, peer) {
                refusals?.note(problem.code, who: peer.uri)
                return .refuse(HTTPResponse(problem: problem))
            }
        }
        guard let service = services.first(where: { $0.path == path }) else { return inner.admit(head) }
        guard service.method == head.method else {
            var response = HTTPResponse(
                problem: Problem(
                    status: 405, code: "method_not_allowed", detail: "This address answers \(service.method) only."))
            response.headers.append(("Allow", service.method))
            return .refuse(response)
        }
        return .body(limitBytes: service.bodyLimitBytes)
    }

    package func handle(_ exchange: HTTPExchange) {
        guard let service = services.first(where: { $0.path == exchange.path }) else { return inner.handle(exchange) }
        service.answer(exchange, exchange.peerIdentity.flatMap(PeerIdentity.init(uri:)))
    }

    package func bodyTooLarge(_ head: HTTPRequestHead) -> HTTPResponse { inner.bodyTooLarge(head) }
    package func outOfRoom(_ head: HTTPRequestHead) -> HTTPResponse { inner.outOfRoom(head) }
    package func ambiguousFraming(_ head: HTTPRequestHead) -> HTTPResponse { inner.ambiguousFraming(head) }
}

package enum IdentityProblem {
    package static let unidentified = Problem(
        status: 401, code: "certificate_required",
        detail: "Connect over TLS with a certificate; see columba enroll.")

    package static func wrongRole(_ peer: PeerIdentity, allowed: [PeerRole]) -> Problem {
        Problem(
            status: 403, code: "wrong_role",
            detail: "This address is for \(allowed.map(\.rawValue).joined(separator: ", ")); "
                + "the certificate is a \(peer.role.rawValue)'s.")
    }

    package static func mismatch(_ what: String, field: String? = nil) -> Problem {
        Problem(
            status: 403, code: "identity_mismatch",
            detail: "\(what) is not the one of the certificate: nobody may speak for another.", field: field)
    }
}
