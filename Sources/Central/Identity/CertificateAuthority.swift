// Central's own small certificate authority, a folder:
//
//   ca.pem          the authority's certificate (and its predecessors', as long as they are trusted): give it to
//   everyone
//   ca-key.pem      its key with its certificate, mode 0600: whoever has it can make identities
//   tokens/<hash>   one-time tokens that wait, named by their SHA-256; `used/` holds the used ones
//   issued/<serial>.pem   every certificate that was signed here
//   deny-list.txt   who is let in no more
//   ca-bridge.pem   during an exchange of authorities: the former one vouches for the present one
//
// Each step is one rename, so the command line and a running central may work on the same folder.

package import Certificates
package import Identity
package import System
import Crypto
import FoundationEssentials
import Models

package struct CertificateAuthority: Sendable {
    package let directory: String
    private let time: any TimeSource

    package init(directory: String, time: any TimeSource) {
        self.directory = directory
        self.time = time
    }

    package var authoritiesPath: String { "\(directory)/ca.pem" }
    var keyPath: String { "\(directory)/ca-key.pem" }
    package var denyListPath: String { "\(directory)/deny-list.txt" }
    var nowSeconds: Int64 { now }
    private var now: Int64 { time.wallMicroseconds() / 1_000_000 }

    /// A new authority. Never replaces one.
    package func create(commonName: String) throws {
        try FileSystem.makeDirectories(directory)
        let root = try CertificateIssuer.makeRoot(
            commonName: commonName, notBefore: now - CertificateLife.headStartSeconds,
            notAfter: now + CertificateLife.rootDays * CertificateLife.day)
        guard
            try FileSystem.createExclusively(
                keyPath, Array((root.key.pem + root.certificate.pem).utf8), mode: 0o600)
        else { throw CertificateError("\(directory) holds an authority already") }
        for folder in ["tokens", "used", "issued"] { try FileSystem.makeDirectories("\(directory)/\(folder)") }
        _ = try FileSystem.createExclusively(denyListPath, [])
        try FileSystem.writeAtomically(authoritiesPath, Array(root.certificate.pem.utf8))
        try FileSystem.syncDirectory(directory)
    }

    package func issuer() throws -> CertificateIssuer {
        let text = String(decoding: try FileSystem.read(keyPath), as: UTF8.self)
        guard let certificate = try Certificate.parse(text).first else { throw CertificateError("\(keyPath) is empty") }
        return try CertificateIssuer(certificate: certificate, key: try PrivateKey(in: text))
    }

    package func authorities() throws -> String {
        String(decoding: try FileSystem.read(authoritiesPath), as: UTF8.self)
    }

    // MARK: Tokens

    private struct Token: Codable {
        var identity: String
        var expires_at: Int64
        /// A server's DNS names and addresses: they come from here, never from the request.
        var names: [String]
    }

    package enum TokenFailure: Error, Equatable {
        case unknown, expired, otherIdentity
        /// Used before: someone else may have it (F113).
        case reused
    }

    /// A token for one enrolment. It is shown once; only its hash is kept.
    package func makeToken(for identity: PeerIdentity, names: [String], validSeconds: Int64) throws -> String {
        for name in names { _ = try CertificateIssuer.alternativeName(name) }
        let token = Random.hex(bytes: 24)
        let content = Token(identity: identity.uri, expires_at: now + validSeconds, names: names)
        let bytes = Array(try JSONEncoder().encode(content))
        try FileSystem.writeAtomically("\(directory)/tokens/\(Self.hash(token))", bytes, mode: 0o600)
        return token
    }

    private static func hash(_ token: String) -> String { SHA256.hash(token).hex }

    /// The token's server names; afterwards the token is used, whatever becomes of the certificate.
    private func spend(_ token: String, for identity: PeerIdentity) throws -> [String] {
        let name = Self.hash(token)
        let path = "\(directory)/tokens/\(name)"
        guard let bytes = try? FileSystem.read(path),
            let found = try? JSONDecoder().decode(Token.self, from: Data(bytes))
        else { throw FileSystem.exists("\(directory)/used/\(name)") ? TokenFailure.reused : TokenFailure.unknown }
        guard found.expires_at >= now else { throw TokenFailure.expired }
        guard found.identity == identity.uri else { throw TokenFailure.otherIdentity }
        do {
            // Of two who come at once, one renames.
            try FileSystem.rename(path, to: "\(directory)/used/\(name)")
        } catch let error as SystemError where error.isMissing {
            throw TokenFailure.reused
        }
        try FileSystem.syncDirectory("\(directory)/used")
        try FileSystem.syncDirectory("\(directory)/tokens")
        return found.names
    }

    // MARK: Signing

    package func enroll(_ request: EnrolmentRequest) throws -> EnrolmentAnswer {
        let csr = try request.checkedRequest()
        let issuing = try request.checkedIssuingRequest()
        guard issuing.map({ $0.identity == csr.identity }) ?? true else { throw TokenFailure.otherIdentity }
        let issuer = try issuer()
        let names = try spend(request.token ?? "", for: csr.identity)
        return try sign(csr, issuing, names: names, by: issuer)
    }

    /// For whoever has shown a valid certificate of that identity.
    package func renew(_ request: EnrolmentRequest, for peer: PeerIdentity, serial: String?) throws -> EnrolmentAnswer {
        let csr = try request.checkedRequest()
        let issuing = try request.checkedIssuingRequest()
        guard csr.identity == peer, issuing.map({ $0.identity == peer }) ?? true else {
            throw TokenFailure.otherIdentity
        }
        return try sign(csr, issuing, names: try namesOnRecord(of: peer), by: try issuer())
    }

    /// A certificate with a key made here, for central itself.
    package func issueServer(identity: PeerIdentity, names: [String]) throws -> [UInt8] {
        let key = try PrivateKey.generate()
        let csr = try CertificateRequest.make(identity: identity, key: key)
        return try IdentityFiles.pair(try sign(csr, nil, names: names, by: try issuer()).certificate, key)
    }

    /// The next certificate of a server of our own, for the names that the last one had.
    func renewServer(_ identity: PeerIdentity) throws -> [UInt8] {
        let names = try namesOnRecord(of: identity)
        guard !names.isEmpty else {
            throw CertificateError("the names of \(identity.uri) are not on record: run columba-central ca server")
        }
        return try issueServer(identity: identity, names: names)
    }

    /// Its key is on this machine.
    var canSign: Bool { FileSystem.exists(keyPath) }

    private func sign(
        _ csr: CertificateRequest, _ issuing: CertificateRequest?, names: [String], by issuer: CertificateIssuer
    ) throws -> EnrolmentAnswer {
        let identity = csr.identity
        let (from, until) = (now - CertificateLife.headStartSeconds, now + CertificateLife.seconds(identity.role))
        let isServer = identity.role == .relay || identity.role == .central
        let certificate = try issuer.issue(
            csr,
            CertificateProfile(
                isServer ? .server(names: names) : .client, identity: identity, notBefore: from, notAfter: until))
        let intermediate = try issuing.map {
            try issuer.issue(
                $0,
                CertificateProfile(
                    .intermediate, identity: identity, commonName: "\(identity.name) (drones)", notBefore: from,
                    notAfter: until))
        }
        for one in [certificate] + (intermediate.map { [$0] } ?? []) {
            try FileSystem.writeAtomically("\(directory)/issued/\(one.serial).pem", Array(one.pem.utf8))
        }
        if isServer {
            // The names of a renewal come from here.
            let record = Array(try JSONEncoder().encode(names))
            try FileSystem.makeDirectories("\(directory)/names")
            try FileSystem.writeAtomically("\(directory)/names/\(identity.role.rawValue).\(identity.name)", record)
        }
        return EnrolmentAnswer(
            identity: identity.uri, certificate: certificate.pem + (isServer ? try bridge() : ""),
            authorities: try authorities(),
            issuing_certificate: intermediate?.pem,
            expires_at: Timestamp(microseconds: certificate.notAfter * 1_000_000).rfc3339)
    }

    private func namesOnRecord(of identity: PeerIdentity) throws -> [String] {
        let path = "\(directory)/names/\(identity.role.rawValue).\(identity.name)"
        guard FileSystem.exists(path) else { return [] }
        return try JSONDecoder().decode([String].self, from: Data(try FileSystem.read(path)))
    }

    // MARK: Records

    package func denyList() throws -> DenyList {
        guard FileSystem.exists(denyListPath) else { return DenyList() }
        return try DenyList(text: String(decoding: try FileSystem.read(denyListPath), as: UTF8.self))
    }

    /// - Parameter entry: an identity or a serial number.
    package func revoke(_ entry: String) throws -> Bool {
        var list = try denyList()
        let before = list.count
        guard list.insert(entry) else {
            throw CertificateError("\(entry) is neither columba://<role>/<name> nor a serial number")
        }
        try FileSystem.writeAtomically(denyListPath, Array(list.text.utf8))
        return list.count > before
    }

    package func issued() throws -> [Certificate] {
        try FileSystem.list("\(directory)/issued").filter { $0.hasSuffix(".pem") }.flatMap { name in
            try Certificate.parse(
                String(decoding: try FileSystem.read("\(directory)/issued/\(name)"), as: UTF8.self))
        }
        .sorted { ($0.notBefore, $0.serial) < ($1.notBefore, $1.serial) }
    }
}
