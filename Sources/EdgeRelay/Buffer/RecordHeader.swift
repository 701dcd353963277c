// What a record of the buffer says beside its bytes: the report's identity and digest, so that neither the forwarder
// nor a restart has to parse the body again.
//
// Layout (version 1): 1 byte version · 1 byte flags · 1 byte length + drone id · 1 byte length + boot · 8 bytes seq,
// little endian · 32 bytes SHA-256 of the body. Alerts and their state changes have an empty header: their body says
// everything.

package import Crypto
package import Models

package struct RecordHeader: Equatable, Sendable {
    private static let version: UInt8 = 1
    private static let assignedFlag: UInt8 = 1

    package let identity: ReportIdentity
    package let digest: SHA256Digest
    /// The drone sent no `seq`: this relay numbered the report, so the batch line must carry the identity.
    package let isAssigned: Bool

    package init(identity: ReportIdentity, digest: SHA256Digest, isAssigned: Bool) {
        self.identity = identity
        self.digest = digest
        self.isAssigned = isAssigned
    }

    package func encoded() -> [UInt8] {
        var output: [UInt8] = []
        output.reserveCapacity(48 + identity.droneID.utf8.count + identity.boot.utf8.count)
        output.append(Self.version)
        output.append(isAssigned ? Self.assignedFlag : 0)
        for text in [identity.droneID, identity.boot] {
            precondition(text.utf8.count <= Int(UInt8.max), "an identity's parts are validated before they are stored")
            output.append(UInt8(text.utf8.count))
            output.append(contentsOf: text.utf8)
        }
        withUnsafeBytes(of: identity.seq.littleEndian) { output.append(contentsOf: $0) }
        digest.withBytes { output.append(contentsOf: $0) }
        return output
    }

    /// For RecentIdentities: equal identities have equal hashes.
    package var identityHash: UInt64 {
        var key: [UInt8] = []
        key.reserveCapacity(72 + identity.boot.utf8.count)
        key.append(contentsOf: identity.droneID.utf8)
        key.append(0)
        key.append(contentsOf: identity.boot.utf8)
        return XXH3.hash64(key, seed: UInt64(bitPattern: identity.seq))
    }

    /// Nil where the bytes are no header of a known version.
    package init?(_ bytes: [UInt8]) {
        var reader = bytes[...]
        func take(_ count: Int) -> ArraySlice<UInt8>? {
            guard reader.count >= count else { return nil }
            defer { reader = reader.dropFirst(count) }
            return reader.prefix(count)
        }
        guard take(1)?.first == Self.version, let flags = take(1)?.first,
            let droneLength = take(1)?.first, let drone = take(Int(droneLength)),
            let bootLength = take(1)?.first, let boot = take(Int(bootLength)),
            let seqBytes = take(8), let digestBytes = take(SHA256Digest.byteCount), reader.isEmpty,
            let digest = SHA256Digest(bytes: Array(digestBytes))
        else { return nil }
        let seq = seqBytes.reversed().reduce(Int64(0)) { $0 << 8 | Int64($1) }
        identity = ReportIdentity(
            droneID: String(decoding: drone, as: UTF8.self), boot: String(decoding: boot, as: UTF8.self), seq: seq)
        self.digest = digest
        isAssigned = flags & Self.assignedFlag != 0
    }
}

/// The kinds of records as the buffer stores them.
package enum BufferKind {
    package static let report: UInt8 = 1
    package static let alert: UInt8 = 2
    package static let alertState: UInt8 = 3

    package static func kind(_ code: UInt8) -> RecordKind? {
        switch code {
        case report: .report
        case alert: .alert
        case alertState: .alertState
        default: nil
        }
    }
}
