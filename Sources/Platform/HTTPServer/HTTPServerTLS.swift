// TLS 1.3 for the HTTP server: what it shows, whom it trusts, and who decides whether a verified client may come in.
// How clients are verified stands in CHTTPServer's tls.c.
import CHTTPServer

/// PEM texts, exchanged as a whole (`HTTPServer.reload`).
package struct HTTPServerCredentials: Sendable, Equatable {
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
    package func check() throws(HTTPServerError) { chs_tls_release(try makeNative()) }

    func makeNative() throws(HTTPServerError) -> OpaquePointer {
        var problem = [CChar](repeating: 0, count: 256)
        let native = problem.withUnsafeMutableBufferPointer { problem in
            certificates.withCString { certificates in
                key.withCString { key in
                    guard let clientAuthorities else {
                        return chs_tls_create(certificates, key, nil, problem.baseAddress, problem.count)
                    }
                    return clientAuthorities.withCString {
                        chs_tls_create(certificates, key, $0, problem.baseAddress, problem.count)
                    }
                }
            }
        }
        guard let native else {
            let text = problem.withUnsafeBytes { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
            throw HTTPServerError(
                operation: "use the TLS", address: text, errno: 22,
                hint: "Certificates and key are PEM, the server's own certificate first, and the key belongs to it.")
        }
        return native
    }
}

package struct HTTPServerTLS: Sendable {
    package var credentials: HTTPServerCredentials
    /// A client that has not finished its handshake by then is closed.
    package var handshakeTimeoutSeconds = 5
    /// Whether the holder of a certificate that a trusted authority signed may come in. Asked in the handshake, and
    /// again about open connections by `recheckPeers`. Any thread; must not wait.
    package var admit: @Sendable (PeerCertificate) -> Bool
    /// Why a handshake failed (`certificate_expired`, `unknown_authority`, `not_admitted`, `handshake_failed`, …), and
    /// the client's numeric address.
    package var onRefused: @Sendable (_ reason: String, _ address: String) -> Void

    package init(
        credentials: HTTPServerCredentials, admit: @escaping @Sendable (PeerCertificate) -> Bool,
        onRefused: @escaping @Sendable (String, String) -> Void = { _, _ in }
    ) {
        self.credentials = credentials
        self.admit = admit
        self.onRefused = onRefused
    }

    /// On a connection whose certificate expired or was denied after its handshake.
    static var refusal: HTTPResponse {
        .problem(
            status: 403, title: "Forbidden", code: "certificate_refused",
            detail: "The certificate of this connection has expired or was revoked. Connect again with a valid one.")
    }
}

/// What stands in a client's certificate, after its chain was verified.
package struct PeerCertificate: Sendable, Equatable {
    /// The only URI among its alternative names.
    package var identity: String
    /// Lowercase hexadecimal without leading zeros.
    package var serial: String
    /// Of the intermediate that signed it; nil where a trusted authority did so itself.
    package var issuerIdentity: String?
    package var issuerSerial: String?

    package init(identity: String, serial: String, issuerIdentity: String? = nil, issuerSerial: String? = nil) {
        self.identity = identity
        self.serial = serial
        self.issuerIdentity = issuerIdentity
        self.issuerSerial = issuerSerial
    }

    init(_ native: UnsafePointer<chs_peer_certificate>) {
        self.init(
            identity: Self.identity(of: native), serial: withUnsafeBytes(of: native.pointee.serial, Self.text) ?? "",
            issuerIdentity: withUnsafeBytes(of: native.pointee.issuer_identity, Self.text),
            issuerSerial: withUnsafeBytes(of: native.pointee.issuer_serial, Self.text))
    }

    static func identity(of native: UnsafePointer<chs_peer_certificate>) -> String {
        // The text is the structure's first member: read in place, because it is asked for with every request.
        String(cString: UnsafeRawPointer(native).assumingMemoryBound(to: CChar.self))
    }

    private static func text(_ bytes: UnsafeRawBufferPointer) -> String? {
        bytes[0] == 0 ? nil : String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }
}

// Called by C, in a handshake or from `recheckPeers`.

func admitPeer(_ context: UnsafeMutableRawPointer?, _ certificate: UnsafePointer<chs_peer_certificate>?) -> Bool {
    guard let certificate, let tls = core(context).tls else { return false }
    return tls.admit(PeerCertificate(certificate))
}

func handshakeRefused(
    _ context: UnsafeMutableRawPointer?, _ reason: UnsafePointer<CChar>?, _ address: UnsafePointer<CChar>?
) {
    guard let reason, let address else { return }
    core(context).tls?.onRefused(String(cString: reason), String(cString: address))
}
