// Numbers the reports of drones that send no `seq` (contract §1). The number must be known before the disk write,
// because the alert's id contains it (I6); so it is counted here and not taken from the record number. A byte-identical
// body from the same drone within 30 s is the same report and gets the same identity again.

package import Crypto
package import Models

package struct UnsequencedReports: Sendable {
    private struct Body: Hashable { let droneID: String; let digest: SHA256Digest }
    private struct Seen { let identity: ReportIdentity; let at: UInt64 }

    /// Bodies remembered in each of two generations; a generation is dropped when it is older than the window or full.
    package static let generationSize = 131_072
    private static let windowNanoseconds = UInt64(ReportLimits.repeatWindowSeconds * 1e9)

    private let boot: String
    private var next: Int64 = 1
    private var younger: [Body: Seen] = [:]
    private var older: [Body: Seen] = [:]
    private var youngerSince: UInt64 = 0

    package init(relayID: String, epoch: String) {
        boot = Identifier.relayBoot(relayID: relayID, epoch: epoch)
    }

    /// The identity of a report with these bytes that arrived `now` (monotonic nanoseconds).
    package mutating func identity(droneID: String, digest: SHA256Digest, at now: UInt64) -> ReportIdentity {
        turn(at: now)
        let body = Body(droneID: droneID, digest: digest)
        if let seen = younger[body] ?? older[body], now < seen.at + Self.windowNanoseconds { return seen.identity }
        let identity = ReportIdentity(droneID: droneID, boot: boot, seq: next)
        next += 1
        younger[body] = Seen(identity: identity, at: now)
        return identity
    }

    /// A report of an earlier life, read back from the buffer at start: its window is counted from `arrivedAt`.
    package mutating func restore(_ identity: ReportIdentity, digest: SHA256Digest, arrivedAt: UInt64) {
        younger[Body(droneID: identity.droneID, digest: digest)] = Seen(identity: identity, at: arrivedAt)
    }

    private mutating func turn(at now: UInt64) {
        guard now >= youngerSince + Self.windowNanoseconds || younger.count >= Self.generationSize else { return }
        older = younger
        younger = [:]
        youngerSince = now
    }
}
