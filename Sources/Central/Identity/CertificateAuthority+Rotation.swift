// Exchanging the authority itself (F109). First both are trusted and the new one signs; relays fetch the new list of
// authorities within seconds, and everyone gets certificates of the new one as they renew. Then the former goes.
//
// A drone that has not renewed yet knows only the former. So that it can reach a relay or central that has, and renew
// there, servers send along a certificate in which the former authority vouches for the new one.

package import Certificates
import Identity
import System

extension CertificateAuthority {
    /// A new authority signs from now on; the former stays trusted.
    package func rotate(commonName: String) throws {
        let now = nowSeconds
        let former = try authorities()
        let root = try CertificateIssuer.makeRoot(
            commonName: commonName, notBefore: now - CertificateLife.headStartSeconds,
            notAfter: now + CertificateLife.rootDays * CertificateLife.day)
        let bridge = try issuer().vouch(
            for: root, commonName: commonName, notBefore: now - CertificateLife.headStartSeconds)
        try FileSystem.writeAtomically(bridgePath, Array(bridge.pem.utf8))
        // In this order: an authority that is trusted and never signs is harmless, the opposite is not.
        try FileSystem.writeAtomically(authoritiesPath, Array((root.certificate.pem + former).utf8))
        try FileSystem.writeAtomically(keyPath, Array((root.key.pem + root.certificate.pem).utf8), mode: 0o600)
    }

    /// Certificates that only a former authority vouches for: the newest of their identity, valid, not revoked.
    package func dependentOnFormer() throws -> [Certificate] {
        let present = try issuer().certificate
        let denied = try denyList()
        var newest: [String: Certificate] = [:]
        var renewed: Set<String> = []
        for certificate in try issued() {
            guard let identity = certificate.identity else { continue }
            let kind = "\(identity.uri) \(certificate.isAuthority)"
            // By signature, not by time: the new authority may sign in the second in which the former still did.
            if certificate.isSigned(by: present) { renewed.insert(kind) }
            if (newest[kind]?.notBefore ?? .min) <= certificate.notBefore { newest[kind] = certificate }
        }
        return newest.filter { !renewed.contains($0.key) }.values.filter { certificate in
            certificate.notAfter > nowSeconds
                && !denied.serials.contains(certificate.serial)
                && !denied.identities.contains(certificate.identity?.uri ?? "")
        }
        .sorted { $0.serial < $1.serial }
    }

    /// Only the present authority is trusted from now on.
    package func retireFormer() throws {
        try FileSystem.writeAtomically(authoritiesPath, Array(try issuer().certificate.pem.utf8))
        if FileSystem.exists(bridgePath) { try FileSystem.remove(bridgePath) }
    }

    private var bridgePath: String { "\(directory)/ca-bridge.pem" }

    /// What a server sends along with its certificate while a former authority is trusted; empty otherwise.
    func bridge() throws -> String {
        guard FileSystem.exists(bridgePath) else { return "" }
        return String(decoding: try FileSystem.read(bridgePath), as: UTF8.self)
    }
}
