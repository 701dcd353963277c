// TLS 1.3 for this program's servers: what a server shows, whom it trusts, and who decides whether a verified client
// may come in. How clients are verified stands in CTLS's verify.c.
import CTLS

/// PEM texts, exchanged as a whole.
package struct TLSCredentials: Sendable, Equatable {
    /// The server's certificate first, then the intermediates that lead to a trusted authority.
    package var certificates: String
    package var key: String
    /// Who signs clients' certificates. nil: clients are asked for none, and every request is anonymous.
    package var clientAuthorities: String?

    package init(certificates: String, key: String, clientAuthorities: String?) {
        self.certificates = certificates
        self.key = key
        self.clientAuthorities = clientAuthorities
    }

    /// Whether a server would take them: readable, and the key is the certificate's.
    package func check() throws(TLSError) { ctls_credentials_release(try makeNative()) }

    /// The caller owns one reference and gives it back with `release`.
    package func makeNative() throws(TLSError) -> OpaquePointer {
        var problem = [CChar](repeating: 0, count: 256)
        let native = problem.withUnsafeMutableBufferPointer { problem in
            certificates.withCString { certificates in
                key.withCString { key in
                    guard let clientAuthorities else {
                        return ctls_credentials_create(certificates, key, nil, problem.baseAddress, problem.count)
                    }
                    return clientAuthorities.withCString {
                        ctls_credentials_create(certificates, key, $0, problem.baseAddress, problem.count)
                    }
                }
            }
        }
        guard let native else {
            throw TLSError(
                problem: problem.withUnsafeBytes { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) })
        }
        return native
    }

    package static func release(_ native: OpaquePointer) { ctls_credentials_release(native) }
}

package struct TLSError: Error, CustomStringConvertible {
    package let problem: String
    package static let hint =
        "Certificates and key are PEM, the server's own certificate first, and the key belongs to it."

    package var description: String { "cannot use the TLS \(problem). \(Self.hint)" }
}

/// How a server meets its clients.
package struct ServerTLS: Sendable {
    package var credentials: TLSCredentials
    /// A client that has not finished its handshake by then is closed.
    package var handshakeTimeoutSeconds = 5
    /// Whether the holder of a certificate that a trusted authority signed may come in. Asked in the handshake, and
    /// again about open connections when the deny-list changes. Any thread; must not wait.
    package var admit: @Sendable (PeerCertificate) -> Bool
    /// Why a handshake failed (`certificate_expired`, `unknown_authority`, `not_admitted`, `handshake_failed`, …), and
    /// the client's numeric address.
    package var onRefused: @Sendable (_ reason: String, _ address: String) -> Void

    package init(
        credentials: TLSCredentials, admit: @escaping @Sendable (PeerCertificate) -> Bool,
        onRefused: @escaping @Sendable (String, String) -> Void = { _, _ in }
    ) {
        self.credentials = credentials
        self.admit = admit
        self.onRefused = onRefused
    }
}
