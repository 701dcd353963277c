// Who may hold a certificate: exactly one URI, `columba://<role>/<name>`. Distinguished names mean nothing here.

package enum PeerRole: String, Sendable, CaseIterable {
    case drone, relay
    /// People and their programs at a relay (alerts, status) and at central (SQL).
    case `operator`, analyst
    /// Central's own server certificate.
    case central
}

package struct PeerIdentity: Hashable, Sendable, CustomStringConvertible {
    package let role: PeerRole
    package let name: String

    /// The longest name: as long as a drone's or relay's id may be.
    package static let nameBytes = 64

    /// Nil unless the name is `[A-Za-z0-9._-]{1,64}`.
    package init?(role: PeerRole, name: String) {
        guard Self.isValid(name.utf8) else { return nil }
        self.role = role
        self.name = name
    }

    /// Nil unless the text is exactly such a URI: no wildcard, escape, query, port or other spelling.
    package init?(uri: String) {
        guard let rest = Self.rest(of: uri), let slash = rest.firstIndex(of: "/"),
            let role = PeerRole(rawValue: String(rest[..<slash]))
        else { return nil }
        self.init(role: role, name: String(rest[rest.index(after: slash)...]))
    }

    package var uri: String { "columba://\(role.rawValue)/\(name)" }
    package var description: String { uri }

    private static func rest(of uri: String) -> Substring? {
        uri.hasPrefix("columba://") ? uri.dropFirst("columba://".count) : nil
    }

    private static func isValid(_ name: String.UTF8View) -> Bool {
        guard !name.isEmpty, name.count <= nameBytes else { return false }
        return name.allSatisfy { byte in
            switch byte {
            case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, 0x2d, 0x2e, 0x5f: true
            default: false
            }
        }
    }
}
