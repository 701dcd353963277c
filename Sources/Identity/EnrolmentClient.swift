// Asks for a certificate: makes the key here, sends only the request, and puts key and certificate into place.

package import Certificates
package import HTTPClient
import FoundationEssentials

package struct EnrolmentFailure: Error, CustomStringConvertible, Sendable {
    /// The HTTP status; nil where no answer came.
    package let status: Int?
    package let description: String
}

package enum EnrolmentClient {
    /// For a one-time token.
    package static func enroll(
        at url: String, token: String, identity: PeerIdentity, authoritiesFile: String?, into files: IdentityFiles
    ) throws -> EnrolmentAnswer {
        try exchange(
            url + "/v1/enroll", token: token, identity: identity,
            tls: HTTPClientTLS(authoritiesFile: authoritiesFile), into: files)
    }

    /// With the certificate that is still valid. A relay's intermediate is renewed along with it.
    package static func renew(
        at url: String, identity: PeerIdentity, tls: HTTPClientTLS, into files: IdentityFiles
    ) throws -> EnrolmentAnswer {
        try exchange(url + "/v1/renew", token: nil, identity: identity, tls: tls, into: files)
    }

    private static func exchange(
        _ url: String, token: String?, identity: PeerIdentity, tls: HTTPClientTLS, into files: IdentityFiles
    ) throws -> EnrolmentAnswer {
        let key = try PrivateKey.generate()
        let issuingKey = identity.role == .relay ? try PrivateKey.generate() : nil
        let request = EnrolmentRequest(
            token: token, csr: try CertificateRequest.make(identity: identity, key: key).pem,
            issuing_csr: try issuingKey.map { try CertificateRequest.make(identity: identity, key: $0).pem })
        let response: HTTPClientResponse
        do {
            // A connection of its own: the certificate shown must be the one in the file now.
            response = try HTTPClient().perform(
                HTTPClientRequest(
                    method: "POST", url: url, headers: [("Content-Type", "application/json")],
                    body: try request.json(), maxResponseBytes: EnrolmentRequest.maxAnswerBytes, tls: tls))
        } catch let error as HTTPClientError {
            throw EnrolmentFailure(status: nil, description: error.description)
        }
        guard response.status == 200, let answer = EnrolmentAnswer(json: response.body) else {
            throw EnrolmentFailure(status: response.status, description: problemText(response))
        }
        guard answer.identity == identity.uri else {
            throw EnrolmentFailure(status: 200, description: "the answer is for another identity")
        }
        try files.write(answer, key: key, issuingKey: issuingKey)
        return answer
    }

    private struct ProblemBody: Decodable {
        var code: String?
        var detail: String?
    }

    private static func problemText(_ response: HTTPClientResponse) -> String {
        let problem = try? JSONDecoder().decode(ProblemBody.self, from: Data(response.body))
        let parts = [problem?.code, problem?.detail].compactMap { $0 }
        return "status \(response.status)" + (parts.isEmpty ? "" : ": " + parts.joined(separator: ": "))
    }
}
