// A private key as PEM text. Only EC P-256 keys are made: every TLS library knows them, and signing costs microseconds.

import CCrypto

package struct PrivateKey: Sendable, Equatable {
    /// PKCS #8, no passphrase: the file's mode (0600) protects it.
    package let pem: String

    package static func generate() throws(CertificateError) -> PrivateKey {
        let context = try OpenSSL.some(EVP_PKEY_CTX_new_from_name(nil, "EC", nil), "no EC keys")
        defer { EVP_PKEY_CTX_free(context) }
        try OpenSSL.check(EVP_PKEY_keygen_init(context), "no EC keys")
        try OpenSSL.check(EVP_PKEY_CTX_set_group_name(context, "P-256"), "no curve P-256")
        var key: OpaquePointer?
        try OpenSSL.check(EVP_PKEY_generate(context, &key), "no key was made")
        defer { EVP_PKEY_free(key) }
        return PrivateKey(
            pem: try OpenSSL.text("the key cannot be written") {
                PEM_write_bio_PKCS8PrivateKey($0, key, nil, nil, 0, nil, nil)
            })
    }

    /// The first private key of a PEM text, whatever else stands there.
    package init(in pem: String) throws(CertificateError) {
        self = try OpenSSL.withKey(pem) { key throws(CertificateError) in
            PrivateKey(
                pem: try OpenSSL.text("the key cannot be written") {
                    PEM_write_bio_PKCS8PrivateKey($0, key, nil, nil, 0, nil, nil)
                })
        }
    }

    private init(pem: String) { self.pem = pem }
}
