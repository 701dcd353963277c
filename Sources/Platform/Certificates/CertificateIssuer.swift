// What signs certificates: Columba's own small authority, and a relay's intermediate.
//
//   root (CA, may have one CA below it)
//    ├── central, relays, operators, analysts, drones
//    └── a relay's intermediate (CA, none below it, clients only) ── drones that the relay renewed
//
// An intermediate carries the URI of its relay and may be used for TLS clients only: OpenSSL and GnuTLS refuse a server
// certificate below it. That it signs nothing but drones is Columba's own rule (`PeerPolicy`).

import CCrypto

/// What a certificate is to say. Nothing of it comes from the request.
package struct CertificateProfile: Sendable, Equatable {
    package enum Kind: Sendable, Equatable {
        case client
        /// Also shown by servers, under these DNS names and addresses.
        case server(names: [String])
        /// A relay's intermediate.
        case intermediate
        /// Self-signed.
        case root
        /// A new authority's name and key, vouched for by the former one.
        case successor
    }

    package var kind: Kind
    /// nil: none (the root).
    package var identity: PeerIdentity?
    package var commonName: String
    /// Seconds since 1970.
    package var notBefore: Int64
    package var notAfter: Int64

    package init(
        _ kind: Kind, identity: PeerIdentity?, commonName: String? = nil, notBefore: Int64, notAfter: Int64
    ) {
        self.kind = kind
        self.identity = identity
        // X.520 allows 64 characters; the name is for people only.
        self.commonName = String((commonName ?? identity?.name ?? "Columba").prefix(64))
        self.notBefore = notBefore
        self.notAfter = notAfter
    }
}

package struct CertificateIssuer: Sendable, Equatable {
    package let certificate: Certificate
    package let key: PrivateKey

    package init(certificate: Certificate, key: PrivateKey) throws(CertificateError) {
        guard certificate.isAuthority else { throw CertificateError("the certificate is no authority's") }
        guard try certificate.belongs(to: key) else { throw CertificateError("the key is another certificate's") }
        self.certificate = certificate
        self.key = key
    }

    /// A new authority.
    package static func makeRoot(
        commonName: String, notBefore: Int64, notAfter: Int64
    ) throws(CertificateError) -> CertificateIssuer {
        let key = try PrivateKey.generate()
        let profile = CertificateProfile(
            .root, identity: nil, commonName: commonName, notBefore: notBefore, notAfter: notAfter)
        let certificate = try OpenSSL.withKey(key.pem) { native throws(CertificateError) in
            try sign(profile, publicKey: native, with: native, issuer: nil)
        }
        return try CertificateIssuer(certificate: certificate, key: key)
    }

    /// A certificate for the request's key, as the profile says; it ends no later than the issuer's own.
    package func issue(
        _ request: CertificateRequest, _ profile: CertificateProfile
    ) throws(CertificateError) -> Certificate {
        var profile = profile
        profile.notAfter = min(profile.notAfter, certificate.notAfter)
        guard profile.notAfter > profile.notBefore else { throw CertificateError("the authority itself has expired") }
        return try CertificateRequest.withRequest(request.pem) { _, publicKey throws(CertificateError) in
            try OpenSSL.withCertificate(certificate.pem) { issuer throws(CertificateError) in
                try OpenSSL.withKey(key.pem) { key throws(CertificateError) in
                    try Self.sign(profile, publicKey: publicKey, with: key, issuer: issuer)
                }
            }
        }
    }

    /// A certificate by which whoever trusts only this authority also trusts the servers of its successor: they send it
    /// along with their own. It vouches for no intermediate, and ends no later than this authority.
    package func vouch(
        for successor: CertificateIssuer, commonName: String, notBefore: Int64
    ) throws(CertificateError) -> Certificate {
        let profile = CertificateProfile(
            .successor, identity: nil, commonName: commonName, notBefore: notBefore, notAfter: certificate.notAfter)
        return try OpenSSL.withKey(successor.key.pem) { publicKey throws(CertificateError) in
            try OpenSSL.withCertificate(certificate.pem) { issuer throws(CertificateError) in
                try OpenSSL.withKey(key.pem) { key throws(CertificateError) in
                    try Self.sign(profile, publicKey: publicKey, with: key, issuer: issuer)
                }
            }
        }
    }

    // MARK: Signing

    private static func sign(
        _ profile: CertificateProfile, publicKey: OpaquePointer, with key: OpaquePointer, issuer: OpaquePointer?
    ) throws(CertificateError) -> Certificate {
        let certificate = try OpenSSL.some(X509_new(), "no memory")
        defer { X509_free(certificate) }
        let issuer = issuer ?? certificate
        try OpenSSL.check(X509_set_version(certificate, 2), "the version")
        try setSerial(certificate)
        let name = Array(profile.commonName.utf8)
        try OpenSSL.check(
            X509_NAME_add_entry_by_txt(
                X509_get_subject_name(certificate), "CN", MBSTRING_UTF8, name, Int32(name.count), -1, 0),
            "the common name")
        try OpenSSL.check(X509_set_issuer_name(certificate, X509_get_subject_name(issuer)), "the issuer's name")
        _ = try OpenSSL.some(ASN1_TIME_set(X509_getm_notBefore(certificate), Int(profile.notBefore)), "the date")
        _ = try OpenSSL.some(ASN1_TIME_set(X509_getm_notAfter(certificate), Int(profile.notAfter)), "the date")
        try OpenSSL.check(X509_set_pubkey(certificate, publicKey), "the key")
        for (number, value) in try extensions(profile) {
            var context = X509V3_CTX()
            X509V3_set_ctx(&context, issuer, certificate, nil, nil, 0)
            let part = try OpenSSL.some(X509V3_EXT_conf_nid(nil, &context, number, value), "the extension \(value)")
            defer { X509_EXTENSION_free(part) }
            try OpenSSL.check(X509_add_ext(certificate, part, -1), "the extension \(value)")
        }
        try OpenSSL.check(X509_sign(certificate, key, EVP_sha256()), "the certificate cannot be signed")
        return try Certificate(certificate)
    }

    /// 126 random bits: positive, never reused (RFC 5280 §4.1.2.2).
    private static func setSerial(_ certificate: OpaquePointer) throws(CertificateError) {
        var bytes = [UInt8](repeating: 0, count: 16)
        try OpenSSL.check(RAND_bytes(&bytes, Int32(bytes.count)), "no random numbers")
        bytes[0] = bytes[0] & 0x3f | 0x40
        let number = try OpenSSL.some(BN_bin2bn(bytes, Int32(bytes.count), nil), "no memory")
        defer { BN_free(number) }
        _ = try OpenSSL.some(BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)), "the serial number")
    }

    /// In an order that lets the authority's key identifier be found when it is asked for.
    private static func extensions(_ profile: CertificateProfile) throws(CertificateError) -> [(Int32, String)] {
        var list: [(Int32, String)] = [(NID_subject_key_identifier, "hash")]
        if profile.kind != .root { list.append((NID_authority_key_identifier, "keyid:always")) }
        switch profile.kind {
        case .root:
            list += [
                (NID_basic_constraints, "critical,CA:TRUE,pathlen:1"), (NID_key_usage, "critical,keyCertSign,cRLSign"),
            ]
        case .successor:
            list += [
                (NID_basic_constraints, "critical,CA:TRUE,pathlen:0"), (NID_key_usage, "critical,keyCertSign,cRLSign"),
            ]
        case .intermediate:
            list += [
                (NID_basic_constraints, "critical,CA:TRUE,pathlen:0"), (NID_key_usage, "critical,keyCertSign,cRLSign"),
                (NID_ext_key_usage, "clientAuth"),
            ]
        case .client:
            list += [
                (NID_basic_constraints, "critical,CA:FALSE"), (NID_key_usage, "critical,digitalSignature"),
                (NID_ext_key_usage, "clientAuth"),
            ]
        case .server:
            list += [
                (NID_basic_constraints, "critical,CA:FALSE"), (NID_key_usage, "critical,digitalSignature"),
                (NID_ext_key_usage, "serverAuth,clientAuth"),
            ]
        }
        if let identity = profile.identity {
            var names = ["URI:\(identity.uri)"]
            if case .server(let serverNames) = profile.kind {
                names += try serverNames.map { name throws(CertificateError) in try alternativeName(name) }
            }
            list.append((NID_subject_alt_name, names.joined(separator: ",")))
        }
        return list
    }

    /// A host's name or numeric address as OpenSSL wants it. Only its alphabet may reach OpenSSL's own little language.
    package static func alternativeName(_ name: String) throws(CertificateError) -> String {
        let isHexadecimal = name.utf8.allSatisfy {
            (0x30...0x3a).contains($0) || (0x41...0x46).contains($0) || (0x61...0x66).contains($0)
        }
        if name.contains(":"), isHexadecimal { return "IP:\(name)" }
        let parts = name.split(separator: ".", omittingEmptySubsequences: false)
        if parts.count == 4, parts.allSatisfy({ UInt8($0) != nil }) { return "IP:\(name)" }
        let isHost =
            !name.isEmpty && name.utf8.count <= 253
            && parts.allSatisfy { part in
                !part.isEmpty
                    && part.utf8.allSatisfy {
                        (0x30...0x39).contains($0) || (0x41...0x5a).contains($0) || (0x61...0x7a).contains($0)
                            || $0 == 0x2d
                    }
            }
        guard isHost else { throw CertificateError("\(name) is neither a host's name nor an address") }
        return "DNS:\(name)"
    }
}
