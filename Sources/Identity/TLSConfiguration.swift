// The section `tls` of relay.json5 and central.json5: which files hold certificate, key, authorities and deny-list.

package import Configuration
package import Certificates
import System
package import TLS

package struct TLSConfiguration: Sendable, Equatable {
    /// The own certificate, with the intermediates that lead to an authority.
    package var certificatePath: String
    /// Usually the same file: then one rename exchanges both, and the program may renew it by itself (F112).
    package var keyPath: String
    /// Who signs the certificates of clients.
    package var clientAuthoritiesPath: String
    /// One identity or serial number a line.
    package var denyListPath: String?
    /// A relay: who signs central's certificate. Default: the clients' authorities, which are the same in a fleet that
    /// `columba-central ca init` began.
    package var centralAuthoritiesPath: String
    /// A relay: its intermediate with key, by which it renews drones. Default: `issuing.pem` beside the certificate.
    package var issuingPath: String
    /// How often files are looked at again, in seconds; revoking takes at most three times as long.
    package var recheckSeconds = 15.0

    package init(certificatePath: String, keyPath: String, clientAuthoritiesPath: String) {
        self.certificatePath = certificatePath
        self.keyPath = keyPath
        self.clientAuthoritiesPath = clientAuthoritiesPath
        centralAuthoritiesPath = clientAuthoritiesPath
        issuingPath = FileSystem.parent(of: certificatePath) + "/issuing.pem"
    }

    /// nil where the section is absent or names no certificate.
    package static func read(
        _ section: inout ConfigurationReader, relativeTo directory: String
    ) throws(ConfigurationError) -> TLSConfiguration? {
        func path(_ key: String, _ reader: inout ConfigurationReader) throws(ConfigurationError) -> String? {
            try reader.string(key).map { $0.hasPrefix("/") ? $0 : "\(directory)/\($0)" }
        }
        let certificate = try path("cert", &section)
        let key = try path("key", &section)
        let authorities = try path("client_ca", &section)
        let others = (
            denyList: try path("deny_list", &section), central: try path("central_ca", &section),
            issuing: try path("issuing", &section)
        )
        let recheck = try section.number("recheck_s", in: 0.1...60)
        guard certificate != nil || key != nil || authorities != nil else { return nil }
        for (name, value) in [("cert", certificate), ("key", key), ("client_ca", authorities)] where value == nil {
            throw ConfigurationError(key: section.keyPath(name), problem: "is required with TLS")
        }
        guard let certificate, let key, let authorities else { return nil }
        var configuration = TLSConfiguration(
            certificatePath: certificate, keyPath: key, clientAuthoritiesPath: authorities)
        configuration.denyListPath = others.denyList
        configuration.centralAuthoritiesPath = others.central ?? configuration.centralAuthoritiesPath
        configuration.issuingPath = others.issuing ?? configuration.issuingPath
        configuration.recheckSeconds = recheck ?? configuration.recheckSeconds
        return configuration
    }

    /// One file holds both, so it can be exchanged as a whole.
    package var isOneFile: Bool {
        certificatePath == keyPath
            || FileSystem.canonicalPath(certificatePath) == FileSystem.canonicalPath(keyPath)
    }

    /// Reads the files and checks that they belong together.
    package func load() throws -> LoadedTLS {
        func text(_ path: String) throws -> String { String(decoding: try FileSystem.read(path), as: UTF8.self) }
        let chain = try Self.named(certificatePath) { try Certificate.parse(try text(certificatePath)) }
        let key = try Self.named(keyPath) { try PrivateKey(in: try text(keyPath)) }
        guard let own = chain.first, try own.belongs(to: key) else {
            throw CertificateError("\(keyPath) is not the key of \(certificatePath)")
        }
        let authorities = try Self.named(clientAuthoritiesPath) {
            try Certificate.parse(try text(clientAuthoritiesPath))
        }
        guard authorities.allSatisfy(\.isAuthority) else {
            throw CertificateError("\(clientAuthoritiesPath) holds a certificate that is no authority's")
        }
        let credentials = TLSCredentials(
            certificates: chain.map(\.pem).joined(), key: key.pem,
            clientAuthorities: authorities.map(\.pem).joined())
        try credentials.check()
        return LoadedTLS(credentials: credentials, certificate: own)
    }

    /// `load`, and the deny-list.
    package func check() throws -> LoadedTLS {
        let loaded = try load()
        if let denyListPath {
            let text = String(decoding: try FileSystem.read(denyListPath), as: UTF8.self)
            try Self.named(denyListPath) { _ = try DenyList(text: text) }
        }
        return loaded
    }

    private static func named<Result>(_ path: String, _ body: () throws -> Result) throws -> Result {
        do {
            return try body()
        } catch let error as CertificateError {
            throw CertificateError("\(path): \(error.problem)")
        }
    }
}

package struct LoadedTLS: Sendable, Equatable {
    package var credentials: TLSCredentials
    /// The own one.
    package var certificate: Certificate
}
