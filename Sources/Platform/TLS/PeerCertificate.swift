// Who a client is, as its certificate says.

package import CTLS

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

    package init(_ native: UnsafePointer<ctls_peer_certificate>) {
        self.init(
            identity: Self.identity(of: native), serial: withUnsafeBytes(of: native.pointee.serial, Self.text) ?? "",
            issuerIdentity: withUnsafeBytes(of: native.pointee.issuer_identity, Self.text),
            issuerSerial: withUnsafeBytes(of: native.pointee.issuer_serial, Self.text))
    }

    package static func identity(of native: UnsafePointer<ctls_peer_certificate>) -> String {
        // The text is the structure's first member: read in place, because it is asked for with every request.
        String(cString: UnsafeRawPointer(native).assumingMemoryBound(to: CChar.self))
    }

    private static func text(_ bytes: UnsafeRawBufferPointer) -> String? {
        bytes[0] == 0 ? nil : String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }
}
