// AWS Signature Version 4 for S3: what proves to the server who asks, and that nobody has changed the question.
//
// Computed here and not by libcurl: 7.88's own signs headers that it then leaves out, and an `=` in a path wrongly
// (docs/decisions/0071). Pure: the time is an input, so a test recomputes every signature with another program.
//
// The rules that servers agree on only if they are all kept: every byte of a path and of a query but letters, digits
// and `-._~` is percent-encoded, `=` too; query parameters are sorted and each has its `=`; the body's SHA-256 is a
// header of its own and signed.

import Crypto
package import Models

package struct S3Credentials: Sendable, Equatable {
    package var accessKey: String
    package var secretKey: String

    package init(accessKey: String, secretKey: String) {
        self.accessKey = accessKey
        self.secretKey = secretKey
    }
}

/// A request before it is signed.
package struct S3RequestText: Sendable {
    package var method: String
    /// `host` or `host:port`, as the Host header has it.
    package var host: String
    /// Encoded, beginning with `/`.
    package var path: String
    package var query: [(name: String, value: String)]
    /// Those that are to be signed beside `host` and the date; names in lower case.
    package var headers: [(name: String, value: String)]
    /// Hex SHA-256 of the body.
    package var bodyDigest: String

    package init(
        method: String, host: String, path: String, query: [(name: String, value: String)] = [],
        headers: [(name: String, value: String)] = [], bodyDigest: String
    ) {
        self.method = method
        self.host = host
        self.path = path
        self.query = query
        self.headers = headers
        self.bodyDigest = bodyDigest
    }

    /// Sorted and encoded; also what stands behind the `?` of the address.
    package var canonicalQuery: String {
        query.map { (S3Encoding.encode($0.name), S3Encoding.encode($0.value)) }
            .sorted { ($0.0, $0.1) < ($1.0, $1.1) }
            .map { "\($0.0)=\($0.1)" }.joined(separator: "&")
    }
}

package struct S3Signature: Sendable {
    package let credentials: S3Credentials
    package let region: String
    private static let service = "s3"

    package init(credentials: S3Credentials, region: String) {
        self.credentials = credentials
        self.region = region
    }

    /// All headers to send: those given, the date, the body's digest and the signature.
    package func headers(for request: S3RequestText, at time: Timestamp) -> [(name: String, value: String)] {
        let stamp = Self.stamp(time)
        let date = String(stamp.prefix(8))
        var sent = request.headers
        sent.append(("x-amz-content-sha256", request.bodyDigest))
        sent.append(("x-amz-date", stamp))
        let signed = (sent + [("host", request.host)]).sorted { $0.name < $1.name }
        let names = signed.map(\.name).joined(separator: ";")
        let canonical = [
            request.method, request.path, request.canonicalQuery,
            signed.map { "\($0.name):\(Self.trimmed($0.value))\n" }.joined(), names, request.bodyDigest,
        ].joined(separator: "\n")
        let scope = "\(date)/\(region)/\(Self.service)/aws4_request"
        let text = ["AWS4-HMAC-SHA256", stamp, scope, Self.digest(canonical)].joined(separator: "\n")
        let signature = HMACSHA256(key: signingKey(date: date)).authenticate(text).hex
        sent.append(
            (
                "authorization",
                "AWS4-HMAC-SHA256 Credential=\(credentials.accessKey)/\(scope), SignedHeaders=\(names), "
                    + "Signature=\(signature)"
            ))
        return sent
    }

    private func signingKey(date: String) -> [UInt8] {
        [date, region, Self.service, "aws4_request"].reduce(Array("AWS4\(credentials.secretKey)".utf8)) { key, part in
            HMACSHA256(key: key).authenticate(part).bytes
        }
    }

    /// `20261120T050000Z`
    static func stamp(_ time: Timestamp) -> String {
        let text = time.rfc3339
        return text.prefix(19).filter { $0 != "-" && $0 != ":" } + "Z"
    }

    private static func digest(_ text: String) -> String { SHA256.hash(Array(text.utf8)).hex }

    /// Without blanks around it; runs of blanks inside count as one.
    private static func trimmed(_ value: String) -> String {
        value.split(separator: " ", omittingEmptySubsequences: true).joined(separator: " ")
    }
}

package enum S3Encoding {
    private static let digits = Array("0123456789ABCDEF".utf8)

    /// Everything but unreserved characters (RFC 3986) as `%XX`; a slash stays if it separates the parts of a path.
    package static func encode(_ text: String, keepingSlashes: Bool = false) -> String {
        var encoded: [UInt8] = []
        encoded.reserveCapacity(text.utf8.count + 16)
        for byte in text.utf8 {
            switch byte {
            case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, 0x2d, 0x2e, 0x5f, 0x7e: encoded.append(byte)
            case 0x2f where keepingSlashes: encoded.append(byte)
            default: encoded += [0x25, digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return String(decoding: encoded, as: UTF8.self)
    }
}
