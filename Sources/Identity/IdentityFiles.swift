// An identity on disk, in the folder that `columba enroll` was given:
//
//   identity.pem   key and certificate, mode 0600. One file, exchanged by one rename: after a power cut there is the
//                  old pair or the new one, never a mixed one (F112)
//   cert.pem, key.pem   links to it, for programs that want two names
//   ca.pem         whom to trust
//   issuing.pem    a relay's intermediate with its key, mode 0600

package import Certificates
import Glibc
import System

package struct IdentityFiles: Sendable {
    /// Key and certificate.
    package let identity: String
    package let authorities: String
    package let issuing: String
    /// Beside `identity`.
    private let links: [String]

    package init(directory: String) {
        identity = "\(directory)/identity.pem"
        authorities = "\(directory)/ca.pem"
        issuing = "\(directory)/issuing.pem"
        links = ["\(directory)/cert.pem", "\(directory)/key.pem"]
    }

    /// For a program whose configuration names the files. Links are followed, so that what they point at is replaced.
    package init(identity: String, authorities: String, issuing: String) {
        self.identity = FileSystem.canonicalPath(identity) ?? identity
        self.authorities = FileSystem.canonicalPath(authorities) ?? authorities
        self.issuing = FileSystem.canonicalPath(issuing) ?? issuing
        links = []
    }

    /// - Throws: before anything is written, where the answer's certificates are not for these keys.
    package func write(_ answer: EnrolmentAnswer, key: PrivateKey, issuingKey: PrivateKey?) throws {
        let pair = try Self.pair(answer.certificate, key)
        let issuingPair = try answer.issuing_certificate.flatMap { certificate in
            try issuingKey.map { try Self.pair(certificate, $0) }
        }
        _ = try Certificate.parse(answer.authorities)
        try FileSystem.makeDirectories(FileSystem.parent(of: identity))
        try FileSystem.writeAtomically(authorities, Array(answer.authorities.utf8))
        if let issuingPair { try FileSystem.writeAtomically(issuing, issuingPair, mode: 0o600) }
        try FileSystem.writeAtomically(identity, pair, mode: 0o600)
        for link in links where !FileSystem.exists(link) {
            guard symlink("identity.pem", link) == 0 || errno == EEXIST else {
                throw SystemError(operation: "link", path: link, errno: errno)
            }
        }
        try FileSystem.syncDirectory(FileSystem.parent(of: identity))
    }

    /// Key and certificates in one text.
    package static func pair(_ certificates: String, _ key: PrivateKey) throws -> [UInt8] {
        guard let own = try Certificate.parse(certificates).first, try own.belongs(to: key) else {
            throw CertificateError("the answer's certificate is for another key")
        }
        return Array((key.pem + certificates).utf8)
    }
}
