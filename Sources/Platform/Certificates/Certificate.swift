// A certificate as a value: its PEM text and what Columba reads in it.

import CCrypto
import Glibc

package struct Certificate: Sendable, Equatable {
    package let pem: String
    /// The only URI among the alternative names, exactly one of `PeerIdentity`'s; nil otherwise.
    package let identity: PeerIdentity?
    /// Lowercase hexadecimal.
    package let serial: String
    /// Seconds since 1970.
    package let notBefore: Int64
    package let notAfter: Int64
    package let isAuthority: Bool

    /// All certificates of a PEM text, in order; other blocks are passed over. Throws where there is none.
    package static func parse(_ pem: String) throws(CertificateError) -> [Certificate] {
        let found = try OpenSSL.reading(pem) { memory throws(CertificateError) in
            var found: [Certificate] = []
            while let native = PEM_read_bio_X509(memory, nil, nil, nil) {
                defer { X509_free(native) }
                found.append(try Certificate(native))
            }
            // The last attempt found no further block: that is how the end looks.
            ERR_clear_error()
            return found
        }
        guard !found.isEmpty else { throw CertificateError("no certificate in PEM") }
        return found
    }

    init(_ native: OpaquePointer) throws(CertificateError) {
        pem = try OpenSSL.text("the certificate cannot be written") { PEM_write_bio_X509($0, native) }
        serial = try Self.hex(X509_get0_serialNumber(native))
        notBefore = try Self.seconds(X509_get0_notBefore(native))
        notAfter = try Self.seconds(X509_get0_notAfter(native))
        isAuthority = X509_check_ca(native) == 1
        guard let names = X509_get_ext_d2i(native, NID_subject_alt_name, nil, nil) else {
            identity = nil
            return
        }
        defer { GENERAL_NAMES_free(OpaquePointer(names)) }
        identity = OpenSSL.alternativeNames(OpaquePointer(names)).flatMap { Self.identity(of: $0.uris) }
    }

    static func identity(of uris: [[UInt8]]) -> PeerIdentity? {
        guard uris.count == 1, let uri = uris.first, uri.allSatisfy({ (0x21...0x7e).contains($0) }) else { return nil }
        return PeerIdentity(uri: String(decoding: uri, as: UTF8.self))
    }

    /// Whether this is the certificate of that key.
    package func belongs(to key: PrivateKey) throws(CertificateError) -> Bool {
        try OpenSSL.withCertificate(pem) { certificate throws(CertificateError) in
            try OpenSSL.withKey(key.pem) { key throws(CertificateError) in
                defer { ERR_clear_error() }
                return X509_check_private_key(certificate, key) == 1
            }
        }
    }

    /// Whether that authority's key signed it.
    package func isSigned(by authority: Certificate) -> Bool {
        let signed = try? OpenSSL.withCertificate(pem) { own throws(CertificateError) in
            try OpenSSL.withCertificate(authority.pem) { authority throws(CertificateError) in
                X509_verify(own, X509_get0_pubkey(authority)) == 1
            }
        }
        ERR_clear_error()
        return signed ?? false
    }

    /// The part of its life that is over at a time: 0 when it begins, 1 when it ends.
    package func shareOfLife(atSeconds now: Int64) -> Double {
        Double(now - notBefore) / Double(max(1, notAfter - notBefore))
    }

    private static func hex(_ serial: UnsafePointer<ASN1_INTEGER>?) throws(CertificateError) -> String {
        let number = try OpenSSL.some(ASN1_INTEGER_to_BN(serial, nil), "no serial number")
        defer { BN_free(number) }
        let text = try OpenSSL.some(BN_bn2hex(number), "no serial number")
        defer { CRYPTO_free(text, nil, 0) }
        return String(cString: text).lowercased()
    }

    private static func seconds(_ time: UnsafePointer<ASN1_TIME>?) throws(CertificateError) -> Int64 {
        var parts = tm()
        try OpenSSL.check(ASN1_TIME_to_tm(time, &parts), "no date")
        return Int64(timegm(&parts))
    }
}
