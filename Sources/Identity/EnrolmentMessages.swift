// What goes over the wire for certificates: `POST /v1/enroll` and `POST /v1/renew`, JSON both ways. Keys never do.

package import Certificates
package import HTTPServer
package import Models
import FoundationEssentials

package struct EnrolmentRequest: Codable, Sendable {
    /// `/v1/enroll` only: a one-time token of `columba-central ca token`.
    package var token: String?
    /// PKCS #10 in PEM.
    package var csr: String
    /// A relay: for the key of its intermediate.
    package var issuing_csr: String?

    package init(token: String?, csr: String, issuing_csr: String? = nil) {
        self.token = token
        self.csr = csr
        self.issuing_csr = issuing_csr
    }

    /// Two requests and a token are far below.
    package static let maxBytes = 32 << 10
    package static let maxAnswerBytes = 256 << 10

    package init(json: [UInt8]) throws(Problem) {
        do {
            self = try JSONDecoder().decode(EnrolmentRequest.self, from: Data(json))
        } catch {
            throw Problem(
                status: 400, code: "invalid_json",
                detail:
                    #"Send {"token": "…", "csr": "-----BEGIN CERTIFICATE REQUEST-----…"}; /v1/renew needs no token."#)
        }
    }

    package func json() throws -> [UInt8] { Array(try JSONEncoder().encode(self)) }

    /// The request's key and identity, checked.
    package func checkedRequest() throws(Problem) -> CertificateRequest { try Self.checked(csr, field: "csr") }

    package func checkedIssuingRequest() throws(Problem) -> CertificateRequest? {
        guard let issuing_csr else { return nil }
        let request = try Self.checked(issuing_csr, field: "issuing_csr")
        guard request.identity.role == .relay else {
            throw Problem(
                status: 422, code: "invalid_field", detail: "Only a relay has an intermediate.", field: "issuing_csr")
        }
        return request
    }

    private static func checked(_ pem: String, field: String) throws(Problem) -> CertificateRequest {
        do {
            return try CertificateRequest(pem: pem)
        } catch {
            throw Problem(status: 422, code: "invalid_request", detail: "\(error.problem).", field: field)
        }
    }
}

package struct EnrolmentAnswer: Codable, Sendable {
    package var identity: String
    /// The certificate, then the intermediate that signed it if one did.
    package var certificate: String
    /// Whom to trust from now on.
    package var authorities: String
    package var issuing_certificate: String?
    /// RFC 3339.
    package var expires_at: String

    package init(
        identity: String, certificate: String, authorities: String, issuing_certificate: String?, expires_at: String
    ) {
        self.identity = identity
        self.certificate = certificate
        self.authorities = authorities
        self.issuing_certificate = issuing_certificate
        self.expires_at = expires_at
    }

    package init?(json: [UInt8]) {
        guard let answer = try? JSONDecoder().decode(EnrolmentAnswer.self, from: Data(json)) else { return nil }
        self = answer
    }

    package func response() -> HTTPResponse {
        let body = (try? JSONEncoder().encode(self)).map { Array($0) } ?? []
        var response = HTTPResponse(status: 200, contentType: "application/json", body: body)
        response.headers.append(("Cache-Control", "no-store"))
        return response
    }
}

/// How long certificates live. Renewal is due at half: a drone may be cut off from every relay for six weeks, a relay
/// from central for half a year, before anything stops (docs/decisions/0011).
package enum CertificateLife {
    package static let day: Int64 = 86_400
    package static let rootDays: Int64 = 7_300
    package static let relayDays: Int64 = 400
    package static let droneDays: Int64 = 90
    package static let personDays: Int64 = 90
    package static let centralDays: Int64 = 800
    /// Certificates begin a little in the past: a device's clock may be behind.
    package static let headStartSeconds: Int64 = 3_600
    package static let renewalShare = 0.5

    package static func seconds(_ role: PeerRole) -> Int64 {
        switch role {
        case .drone: droneDays * day
        case .relay: relayDays * day
        case .operator, .analyst: personDays * day
        case .central: centralDays * day
        }
    }
}
