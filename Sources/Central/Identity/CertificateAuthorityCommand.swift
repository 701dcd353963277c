// `columba-central ca …`: the authority's command line. Data on standard output, everything else on standard error.

package import System
import Certificates
import Identity
import Models

package enum CertificateAuthorityCommand {
    package static let usage = """
        columba-central ca: a small certificate authority for drones, relays and people

        usage: columba-central ca init   --dir DIR [--name NAME]
                   make the authority; DIR/ca.pem is for everyone, DIR/ca-key.pem for nobody
               columba-central ca token  --dir DIR --for IDENTITY [--valid-minutes 60] [--names HOST,…] [--force]
                   print a one-time token for columba enroll; a relay's names are what drones call it by
                   (--force: for a relay that is enrolled already, such as one with a new disk)
               columba-central ca server --dir DIR --names HOST,ADDRESS,… [--out FILE]
                   make central's own certificate with its key (default DIR/central.pem)
               columba-central ca revoke --dir DIR IDENTITY|SERIAL
                   let it in no more; a running central and its relays know within a minute
               columba-central ca rotate --dir DIR [--name NAME]
                   a new authority signs from now on, the former stays trusted; relays learn of it by themselves
               columba-central ca rotate --dir DIR --finish [--force]
                   trust the former no more, once nothing depends on it (--force: even so)
               columba-central ca list   --dir DIR [--json]
                   what was issued, and what of it is still good

        IDENTITY is columba://drone/ID, columba://relay/ID, columba://operator/NAME or columba://analyst/NAME.

        """

    private struct UsageError: Error { let message: String }

    /// - Parameter arguments: without `ca`.
    /// - Returns: the exit status: 0 ok, 1 failed, 2 the command line is wrong.
    package static func run(_ arguments: [String], time: any TimeSource = SystemTime()) -> Int32 {
        if arguments.isEmpty || arguments.contains("--help") || arguments.contains("-h") {
            if arguments.isEmpty { StandardStreams.error(usage) } else { StandardStreams.output(usage) }
            return arguments.isEmpty ? 2 : 0
        }
        do {
            try perform(arguments[0], Options(Array(arguments.dropFirst())), time)
            return 0
        } catch let error as UsageError {
            StandardStreams.error("columba-central ca: \(error.message); see columba-central ca --help\n")
            return 2
        } catch {
            StandardStreams.error("columba-central ca: \(error)\n")
            return 1
        }
    }

    private struct Options {
        var values: [String: String] = [:]
        var operands: [String] = []

        init(_ arguments: [String]) throws {
            var rest = arguments[...]
            while let argument = rest.popFirst() {
                guard argument.hasPrefix("--") else {
                    operands.append(argument)
                    continue
                }
                let name = String(argument.dropFirst(2).prefix { $0 != "=" })
                if ["json", "finish", "force"].contains(name) {
                    values[name] = "true"
                } else if let equals = argument.firstIndex(of: "=") {
                    values[name] = String(argument[argument.index(after: equals)...])
                } else {
                    guard let value = rest.popFirst() else { throw UsageError(message: "--\(name) needs a value") }
                    values[name] = value
                }
            }
        }

        func require(_ name: String) throws -> String {
            guard let value = values[name], !value.isEmpty else { throw UsageError(message: "--\(name) is required") }
            return value
        }

        func allow(_ names: [String], operands count: Int = 0) throws {
            if let other = values.keys.sorted().first(where: { !names.contains($0) }) {
                throw UsageError(message: "unknown option --\(other)")
            }
            guard operands.count == count else {
                throw UsageError(
                    message: count == 0 ? "unknown operand \(operands[0])" : "IDENTITY or SERIAL is missing")
            }
        }

        var names: [String] { values["names"].map { $0.split(separator: ",").map(String.init) } ?? [] }
    }

    private static func perform(_ verb: String, _ options: Options, _ time: any TimeSource) throws {
        let authority = CertificateAuthority(directory: try options.require("dir"), time: time)
        switch verb {
        case "init":
            try options.allow(["dir", "name"])
            try authority.create(commonName: options.values["name"] ?? "Columba authority")
            StandardStreams.error("made \(authority.authoritiesPath); keep \(authority.directory)/ca-key.pem safe\n")
        case "token":
            try options.allow(["dir", "for", "valid-minutes", "names", "force"])
            try token(authority, options, time)
        case "server":
            try options.allow(["dir", "names", "out"])
            guard !options.names.isEmpty, let identity = PeerIdentity(role: .central, name: "central") else {
                throw UsageError(message: "--names is required: what relays call central by")
            }
            let path = options.values["out"] ?? "\(authority.directory)/central.pem"
            let pair = try authority.issueServer(identity: identity, names: options.names)
            try FileSystem.writeAtomically(path, pair, mode: 0o600)
            StandardStreams.output(path + "\n")
        case "revoke":
            try options.allow(["dir"], operands: 1)
            let isNew = try authority.revoke(options.operands[0])
            StandardStreams.error(isNew ? "revoked \(options.operands[0])\n" : "was revoked already\n")
        case "rotate":
            try options.allow(["dir", "name", "finish", "force"])
            try rotate(authority, options)
        case "list":
            try options.allow(["dir", "json"])
            try list(authority, asJSON: options.values["json"] != nil, time)
        default: throw UsageError(message: "unknown command \(verb)")
        }
    }

    private static func token(
        _ authority: CertificateAuthority, _ options: Options, _ time: any TimeSource
    ) throws {
        guard let identity = PeerIdentity(uri: try options.require("for")), identity.role != .central else {
            throw UsageError(message: "--for is columba://drone/ID, columba://relay/ID, …")
        }
        guard let minutes = Int64(options.values["valid-minutes"] ?? "60"), (1...1_440).contains(minutes) else {
            throw UsageError(message: "--valid-minutes is a whole number from 1 to 1440")
        }
        guard options.names.isEmpty || identity.role == .relay else {
            throw UsageError(message: "--names is for relays: nobody else is a server")
        }
        // Two relays under one name would fork its records (F75): that must be meant.
        if identity.role == .relay, options.values["force"] == nil, try isEnrolled(identity, authority, time) {
            throw CertificateError(
                "\(identity.uri) is enrolled and its certificate valid; choose another name, revoke it, or --force")
        }
        let token = try authority.makeToken(for: identity, names: options.names, validSeconds: minutes * 60)
        StandardStreams.output(token + "\n")
        StandardStreams.error("for \(identity.uri), once, within \(minutes) minutes\n")
    }

    private static func isEnrolled(
        _ identity: PeerIdentity, _ authority: CertificateAuthority, _ time: any TimeSource
    ) throws -> Bool {
        let denyList = try authority.denyList()
        let now = time.wallMicroseconds() / 1_000_000
        return try !denyList.identities.contains(identity.uri)
            && authority.issued().contains { certificate in
                certificate.identity == identity && certificate.notAfter >= now
                    && !denyList.serials.contains(certificate.serial)
            }
    }

    private static func rotate(_ authority: CertificateAuthority, _ options: Options) throws {
        guard options.values["finish"] != nil else {
            try authority.rotate(commonName: options.values["name"] ?? "Columba authority")
            return StandardStreams.error("a new authority signs; ca server makes central's next certificate\n")
        }
        let dependent = try authority.dependentOnFormer()
        guard dependent.isEmpty || options.values["force"] != nil else {
            let names = Set(dependent.compactMap { $0.identity?.uri }).sorted().joined(separator: ", ")
            throw CertificateError("still depend on the former authority: \(names)")
        }
        try authority.retireFormer()
        StandardStreams.error("only the present authority is trusted\n")
    }

    private static func list(_ authority: CertificateAuthority, asJSON: Bool, _ time: any TimeSource) throws {
        let denyList = try authority.denyList()
        let now = time.wallMicroseconds() / 1_000_000
        for certificate in try authority.issued() {
            let identity = certificate.identity?.uri ?? "none"
            let isDenied = denyList.identities.contains(identity) || denyList.serials.contains(certificate.serial)
            let state = isDenied ? "revoked" : certificate.notAfter < now ? "expired" : "valid"
            let kind = certificate.isAuthority ? "intermediate" : "certificate"
            let until = Timestamp(microseconds: certificate.notAfter * 1_000_000).rfc3339
            // Identities and serial numbers need no escapes.
            StandardStreams.output(
                asJSON
                    ? #"{"identity":"\#(identity)","kind":"\#(kind)","serial":"\#(certificate.serial)","#
                        + #""expires_at":"\#(until)","state":"\#(state)"}"# + "\n"
                    : "\(state)  \(kind)  \(identity)  \(certificate.serial)  until \(until)\n")
        }
    }
}
