// Who may ask what at central's TLS ports.

import Certificates
import Identity
import Models

enum CentralAccess {
    static func objection(_ path: String, _ peer: PeerIdentity) -> Problem? {
        switch path {
        case "/livez", "/readyz", "/openapi.json", "/v1/renew": return nil
        case "/v1/deny-list", "/v1/authorities": return requires([.relay], peer)
        default: break
        }
        guard path.hasPrefix("/v1/relays/"), !path.hasSuffix("/retire") else { return requires([.analyst], peer) }
        if let problem = requires([.relay], peer) { return problem }
        // A relay can't forward as another (F82). Identifiers need no escapes, so any other spelling is another relay.
        let relayID = path.dropFirst("/v1/relays/".count).prefix { $0 != "/" }
        return relayID == peer.name ? nil : IdentityProblem.mismatch("The relay of this address")
    }

    private static func requires(_ roles: [PeerRole], _ peer: PeerIdentity) -> Problem? {
        roles.contains(peer.role) ? nil : IdentityProblem.wrongRole(peer, allowed: roles)
    }
}
