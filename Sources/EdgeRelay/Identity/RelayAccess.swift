// Who may ask what at a relay's TLS ports.

import Certificates
import Identity
import Models

enum RelayAccess {
    static func objection(_ path: String, _ peer: PeerIdentity) -> Problem? {
        let allowed: [PeerRole]
        switch path {
        // Where the relay is, whether it is well, what it understands: everyone with a certificate may know.
        case "/livez", "/readyz", "/openapi.json", "/v1/status", "/v1/renew": return nil
        case "/v1/reports": allowed = [.drone]
        default: allowed = [.operator]
        }
        return allowed.contains(peer.role) ? nil : IdentityProblem.wrongRole(peer, allowed: allowed)
    }
}
