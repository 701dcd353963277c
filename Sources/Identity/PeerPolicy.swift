// Whether a certificate whose chain holds may come in. Pure. Which role may ask what is decided later, per request
// (`IdentityGate`): a relay at the drones' port is told so with a 403 instead of a failed handshake.

import Certificates
package import TLS

package enum PeerPolicy {
    package enum Refusal: String, Sendable {
        /// Not exactly `columba://<role>/<name>`.
        case noIdentity = "no_identity"
        /// An intermediate is a relay's and signs drones, nothing else: a relay that was taken over can make drones,
        /// never another relay, an operator or an analyst.
        case wrongIssuer = "wrong_issuer"
        case denied
    }

    /// nil: welcome.
    package static func objection(_ certificate: PeerCertificate, _ denyList: DenyList) -> Refusal? {
        guard let identity = PeerIdentity(uri: certificate.identity) else { return .noIdentity }
        if certificate.issuerSerial != nil {
            guard let issuer = certificate.issuerIdentity.flatMap(PeerIdentity.init(uri:)), issuer.role == .relay,
                identity.role == .drone
            else { return .wrongIssuer }
        }
        return denyList.denies(certificate) ? .denied : nil
    }
}
