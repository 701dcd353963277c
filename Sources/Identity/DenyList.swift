// Who is let in no more: identities and serial numbers, one a line, `#` begins a comment. A denied relay takes with it
// every certificate that its intermediate signed.

package import Certificates
package import TLS

package struct DenyList: Sendable, Equatable {
    package private(set) var identities: Set<String> = []
    package private(set) var serials: Set<String> = []

    package init() {}

    /// - Throws: names the line that is neither an identity nor a serial number: a list is taken whole or not at all.
    package init(text: String) throws(CertificateError) {
        var number = 0
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
            number += 1
            let entry = line.prefix { $0 != "#" }.filter { !$0.isWhitespace }
            guard !entry.isEmpty else { continue }
            guard insert(String(entry)) else {
                throw CertificateError("line \(number) is neither columba://<role>/<name> nor a serial number")
            }
        }
    }

    /// False unless it is an identity or a serial number.
    package mutating func insert(_ entry: String) -> Bool {
        if let identity = PeerIdentity(uri: entry) {
            identities.insert(identity.uri)
            return true
        }
        guard let serial = Self.serial(entry) else { return false }
        serials.insert(serial)
        return true
    }

    /// As certificates show it: lowercase, an even number of digits. `:` between bytes is fine.
    package static func serial(_ text: String) -> String? {
        let digits = text.lowercased().filter { $0 != ":" }
        guard !digits.isEmpty, digits.utf8.count <= 40, digits.utf8.allSatisfy(isHexadecimal) else { return nil }
        let significant = digits.drop { $0 == "0" }
        return significant.count.isMultiple(of: 2) ? String(significant) : "0" + significant
    }

    private static func isHexadecimal(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x61...0x66).contains(byte)
    }

    package var count: Int { identities.count + serials.count }
    package var entries: [String] { identities.sorted() + serials.sorted() }
    package var text: String { entries.map { $0 + "\n" }.joined() }

    package mutating func formUnion(_ other: DenyList) {
        identities.formUnion(other.identities)
        serials.formUnion(other.serials)
    }

    package func denies(_ certificate: PeerCertificate) -> Bool {
        if identities.contains(certificate.identity) || serials.contains(certificate.serial) { return true }
        if let issuer = certificate.issuerIdentity, identities.contains(issuer) { return true }
        if let issuer = certificate.issuerSerial, serials.contains(issuer) { return true }
        return false
    }
}
