// OpenSSL's handles for the time of one call. Everything this module gives out is a plain value made of PEM text, so
// nothing of OpenSSL outlives a function or crosses a thread.

import CCrypto

package struct CertificateError: Error, Equatable, CustomStringConvertible {
    package let problem: String

    package init(_ problem: String) { self.problem = problem }

    package var description: String { problem }

    /// With the first reason on OpenSSL's queue of errors, which is emptied.
    static func openSSL(_ problem: String) -> CertificateError {
        let code = ERR_get_error()
        ERR_clear_error()
        guard code != 0, let reason = ERR_reason_error_string(code) else { return CertificateError(problem) }
        return CertificateError("\(problem): \(String(cString: reason))")
    }
}

enum OpenSSL {
    static func check(_ result: Int32, _ problem: String) throws(CertificateError) {
        guard result > 0 else { throw .openSSL(problem) }
    }

    static func some<Pointer>(_ pointer: Pointer?, _ problem: String) throws(CertificateError) -> Pointer {
        guard let pointer else { throw .openSSL(problem) }
        return pointer
    }

    /// What `write` puts out, as text.
    static func text(
        _ problem: String, _ write: (OpaquePointer) -> Int32
    ) throws(CertificateError) -> String {
        let memory = try some(BIO_new(BIO_s_mem()), "no memory")
        defer { BIO_free(memory) }
        try check(write(memory), problem)
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 4_096)
        while true {
            let count = BIO_read(memory, &chunk, Int32(chunk.count))
            guard count > 0 else { return String(decoding: bytes, as: UTF8.self) }
            bytes += chunk[..<Int(count)]
        }
    }

    /// Lends the text to OpenSSL as a file in memory.
    static func reading<Result>(
        _ text: String, _ body: (OpaquePointer) throws(CertificateError) -> Result
    ) throws(CertificateError) -> Result {
        let bytes = Array(text.utf8)
        let memory = try some(BIO_new(BIO_s_mem()), "no memory")
        defer { BIO_free(memory) }
        let written = bytes.isEmpty ? 0 : BIO_write(memory, bytes, Int32(bytes.count))
        guard Int(written) == bytes.count else { throw .openSSL("no memory") }
        return try body(memory)
    }

    /// Lends the key.
    static func withKey<Result>(
        _ pem: String, _ body: (OpaquePointer) throws(CertificateError) -> Result
    ) throws(CertificateError) -> Result {
        let key = try reading(pem) { memory throws(CertificateError) in
            // A key with a passphrase would be asked for on the terminal: it is refused instead.
            try some(
                PEM_read_bio_PrivateKey(memory, nil, { _, _, _, _ in 0 }, nil), "not a private key without passphrase")
        }
        defer { EVP_PKEY_free(key) }
        return try body(key)
    }

    static func withCertificate<Result>(
        _ pem: String, _ body: (OpaquePointer) throws(CertificateError) -> Result
    ) throws(CertificateError) -> Result {
        let certificate = try reading(pem) { memory throws(CertificateError) in
            try some(PEM_read_bio_X509(memory, nil, nil, nil), "not a certificate in PEM")
        }
        defer { X509_free(certificate) }
        return try body(certificate)
    }

    /// Alternative names by kind, byte for byte. nil: some are of another kind than URI, DNS name and address.
    static func alternativeNames(_ names: OpaquePointer) -> (uris: [[UInt8]], dns: [[UInt8]], addresses: [[UInt8]])? {
        var (uris, dns, addresses): ([[UInt8]], [[UInt8]], [[UInt8]]) = ([], [], [])
        for index in 0..<OPENSSL_sk_num(names) {
            guard let entry = OPENSSL_sk_value(names, index) else { return nil }
            let name = entry.assumingMemoryBound(to: GENERAL_NAME.self)
            var type: Int32 = 0
            guard let value = GENERAL_NAME_get0_value(name, &type) else { return nil }
            switch type {
            case GEN_URI: uris.append(bytes(value))
            case GEN_DNS: dns.append(bytes(value))
            case GEN_IPADD: addresses.append(bytes(value))
            default: return nil
            }
        }
        return (uris, dns, addresses)
    }

    private static func bytes(_ string: UnsafeMutableRawPointer) -> [UInt8] {
        let string = string.assumingMemoryBound(to: ASN1_STRING.self)
        return Array(
            UnsafeBufferPointer(start: ASN1_STRING_get0_data(string), count: Int(ASN1_STRING_length(string))))
    }
}
