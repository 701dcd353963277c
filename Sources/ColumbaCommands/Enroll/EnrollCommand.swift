// `columba enroll`: a certificate for a one-time token, or the next one for the present one. The key is made here and
// stays here.
import Certificates
import HTTPClient
import Identity
import System

enum EnrollCommand {
    static let specification = CommandSpecification(
        name: "enroll", summary: "Gets a certificate for a drone, a relay or a person; the key is made and stays here.",
        operands: "",
        options: [
            OptionSpecification("central", "URL", "Central's address for enrolment; with --renew also a relay's"),
            OptionSpecification("token", "T", "A one-time token of columba-central ca token (- reads it from stdin)"),
            OptionSpecification("id", "IDENTITY", "Such as columba://drone/pw-000123 or columba://relay/north-3"),
            OptionSpecification("dir", "DIR", "Where identity.pem (key and certificate, 0600) and ca.pem go"),
            OptionSpecification("ca", "FILE", "Whom to trust now (ca.pem of columba-central ca init)"),
            OptionSpecification("renew", nil, "Renew with the certificate in DIR; needs no token and no --id"),
            OptionSpecification("if-due", nil, "With --renew: only once half of the certificate's life is over"),
        ],
        examples: [
            "columba enroll --central https://central:8444 --ca ca.pem --token T --id columba://drone/d-1 --dir /etc/d",
            "columba enroll --renew --if-due --central https://relay:8443 --dir /etc/d",
        ])

    static func run(_ arguments: ParsedArguments, _ console: Console) throws -> CommandResult {
        let url = try arguments.address("central")
        let files = IdentityFiles(directory: try arguments.required("dir"))
        guard arguments.operands.isEmpty else { throw UsageError("enroll takes no operands") }
        let answer: EnrolmentAnswer
        if arguments.has("renew") {
            guard arguments.string("token") == nil else { throw UsageError("--token does not go with --renew") }
            guard let renewed = try renew(at: url, files, arguments, console) else { return .ok }
            answer = renewed
        } else {
            guard let identity = PeerIdentity(uri: try arguments.required("id")) else {
                throw UsageError("--id is columba://drone/ID, columba://relay/ID, columba://operator/NAME, …")
            }
            var token = try arguments.required("token")
            if token == "-" {
                token = String(decoding: try InputFile("-").readAll(maxBytes: 4_096), as: UTF8.self)
                    .filter { !$0.isWhitespace }
            }
            do {
                answer = try EnrolmentClient.enroll(
                    at: url, token: token, identity: identity, authoritiesFile: arguments.string("ca"), into: files)
            } catch let failure as EnrolmentFailure {
                throw CommandFailure(TerminalText.neutralised(failure.description))
            }
        }
        console.data(files.identity)
        console.message("\(answer.identity) until \(answer.expires_at)")
        return .ok
    }

    /// nil: it is not due yet.
    private static func renew(
        at url: String, _ files: IdentityFiles, _ arguments: ParsedArguments, _ console: Console
    ) throws -> EnrolmentAnswer? {
        let text = String(decoding: try FileSystem.read(files.identity), as: UTF8.self)
        guard let certificate = try Certificate.parse(text).first, let identity = certificate.identity else {
            throw CommandFailure("\(files.identity) holds no certificate of ours")
        }
        let share = certificate.shareOfLife(atSeconds: SystemTime().wallMicroseconds() / 1_000_000)
        if arguments.has("if-due"), share < CertificateLife.renewalShare {
            console.message("not due: \(Int(share * 100)) % of its life is over")
            return nil
        }
        do {
            return try EnrolmentClient.renew(
                at: url, identity: identity,
                tls: HTTPClientTLS(
                    authoritiesFile: arguments.string("ca") ?? files.authorities, certificateFile: files.identity,
                    keyFile: files.identity),
                into: files)
        } catch let failure as EnrolmentFailure {
            throw CommandFailure(TerminalText.neutralised(failure.description))
        }
    }
}
