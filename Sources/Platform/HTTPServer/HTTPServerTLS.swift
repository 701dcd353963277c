// The server's TLS: libmicrohttpd's connections asked about through CTLS.

import CHTTPServer
import Models
import TLS

extension HTTPServerError {
    static func native(_ tls: ServerTLS) throws(HTTPServerError) -> OpaquePointer {
        do {
            return try tls.credentials.makeNative()
        } catch {
            throw HTTPServerError(operation: "use the TLS", address: error.problem, errno: 22, hint: TLSError.hint)
        }
    }
}

extension HTTPResponse {
    /// On a connection whose certificate expired or was denied after its handshake.
    static var certificateRefused: HTTPResponse {
        .problem(
            status: 403, title: "Forbidden", code: "certificate_refused",
            detail: "The certificate of this connection has expired or was revoked. Connect again with a valid one.")
    }
}

// Called by C, in a handshake or from `recheckPeers`.

func admitPeer(_ context: UnsafeMutableRawPointer?, _ certificate: UnsafePointer<ctls_peer_certificate>?) -> Bool {
    guard let certificate, let tls = core(context).tls else { return false }
    return tls.admit(PeerCertificate(certificate))
}

func handshakeRefused(
    _ context: UnsafeMutableRawPointer?, _ reason: UnsafePointer<CChar>?, _ address: UnsafePointer<CChar>?
) {
    guard let reason, let address else { return }
    core(context).tls?.onRefused(String(cString: reason), String(cString: address))
}
