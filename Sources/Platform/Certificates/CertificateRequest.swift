// A certificate signing request (PKCS #10). Two things are read of it: the public key, whose owner signed the request,
// and the identity asked for. Whatever else it asks for is not looked at.

import CCrypto

package struct CertificateRequest: Sendable, Equatable {
    package let pem: String
    package let identity: PeerIdentity

    /// Made where the key is; the key does not leave.
    package static func make(
        identity: PeerIdentity, key: PrivateKey
    ) throws(CertificateError) -> CertificateRequest {
        let request = try OpenSSL.some(X509_REQ_new(), "no memory")
        defer { X509_REQ_free(request) }
        var context = X509V3_CTX()
        X509V3_set_ctx(&context, nil, nil, request, nil, 0)
        let name = try OpenSSL.some(
            X509V3_EXT_conf_nid(nil, &context, NID_subject_alt_name, "URI:\(identity.uri)"), "the identity")
        defer { X509_EXTENSION_free(name) }
        let extensions = try OpenSSL.some(OPENSSL_sk_new_null(), "no memory")
        defer { OPENSSL_sk_free(extensions) }
        guard OPENSSL_sk_push(extensions, UnsafeRawPointer(name)) > 0 else { throw .openSSL("no memory") }
        try OpenSSL.check(X509_REQ_add_extensions(request, extensions), "the identity cannot be added")
        try OpenSSL.withKey(key.pem) { key throws(CertificateError) in
            try OpenSSL.check(X509_REQ_set_pubkey(request, key), "the key cannot be added")
            try OpenSSL.check(X509_REQ_sign(request, key, EVP_sha256()), "the request cannot be signed")
        }
        let pem = try OpenSSL.text("the request cannot be written") { PEM_write_bio_X509_REQ($0, request) }
        return CertificateRequest(pem: pem, identity: identity)
    }

    private init(pem: String, identity: PeerIdentity) {
        self.pem = pem
        self.identity = identity
    }

    /// - Throws: unless it is signed by its own key, the key is EC P-256, and exactly one URI is asked for.
    package init(pem: String) throws(CertificateError) {
        identity = try Self.withRequest(pem) { request, key throws(CertificateError) in
            try OpenSSL.check(X509_REQ_verify(request, key), "the request is not signed by its own key")
            guard Self.isP256(key) else { throw CertificateError("the key must be EC P-256") }
            guard let identity = Self.askedIdentity(request) else {
                throw CertificateError("the request must ask for exactly one URI, columba://<role>/<name>")
            }
            return identity
        }
        self.pem = pem
    }

    static func withRequest<Result>(
        _ pem: String, _ body: (OpaquePointer, OpaquePointer) throws(CertificateError) -> Result
    ) throws(CertificateError) -> Result {
        let request = try OpenSSL.reading(pem) { memory throws(CertificateError) in
            try OpenSSL.some(PEM_read_bio_X509_REQ(memory, nil, nil, nil), "not a certificate request in PEM")
        }
        defer { X509_REQ_free(request) }
        let key = try OpenSSL.some(X509_REQ_get0_pubkey(request), "the request has no readable key")
        return try body(request, key)
    }

    private static func isP256(_ key: OpaquePointer) -> Bool {
        var name = [CChar](repeating: 0, count: 64)
        var length = 0
        guard EVP_PKEY_get_base_id(key) == NID_X9_62_id_ecPublicKey,
            EVP_PKEY_get_group_name(key, &name, name.count, &length) == 1
        else { return false }
        return name.withUnsafeBytes { String(decoding: $0.prefix(length), as: UTF8.self) } == "prime256v1"
    }

    private static func askedIdentity(_ request: OpaquePointer) -> PeerIdentity? {
        guard let extensions = X509_REQ_get_extensions(request) else { return nil }
        defer {
            while let one = OPENSSL_sk_pop(extensions) { X509_EXTENSION_free(OpaquePointer(one)) }
            OPENSSL_sk_free(extensions)
        }
        guard let names = X509V3_get_d2i(extensions, NID_subject_alt_name, nil, nil) else { return nil }
        defer { GENERAL_NAMES_free(OpaquePointer(names)) }
        return OpenSSL.alternativeNames(OpaquePointer(names)).flatMap { Certificate.identity(of: $0.uris) }
    }
}
