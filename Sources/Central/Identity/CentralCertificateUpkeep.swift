// Central renews its own certificate where its authority's key is on the same machine (F106): relays that find it
// expired would all be cut off at once. Elsewhere only the warnings of TLSKeeper are given, by log and metric.
//
// After `ca rotate` the next certificate is the new authority's, which relays that were away do not trust yet: it waits
// until nine tenths of the present one's life are over, or until somebody runs `ca server`.

import Certificates
import Identity
import Log
import Synchronization
import System

final class CentralCertificateUpkeep: Sendable {
    /// A renewal that failed is tried again after this; there are months of time.
    private static let pauseNanoseconds: UInt64 = 300 * 1_000_000_000
    static let shareAfterRotation = 0.9

    private let authority: CertificateAuthority
    private let keeper: TLSKeeper
    private let time: any TimeSource
    private let log: Log
    private let next = Mutex<UInt64>(0)

    init(_ authority: CertificateAuthority, _ keeper: TLSKeeper, time: any TimeSource, log: Log) {
        self.authority = authority
        self.keeper = keeper
        self.time = time
        self.log = log
    }

    /// On the identity thread, before it looks at the files again.
    func turn() {
        let certificate = keeper.certificate
        let share = certificate.shareOfLife(atSeconds: keeper.nowSeconds)
        guard share >= CertificateLife.renewalShare, let identity = certificate.identity, identity.role == .central
        else { return }
        let now = time.monotonicNanoseconds()
        let isDue = next.withLock { next in
            guard now >= next else { return false }
            next = now + Self.pauseNanoseconds
            return true
        }
        guard isDue else { return }
        do {
            guard keeper.configuration.isOneFile else {
                throw CertificateError("tls.cert and tls.key are two files: only one file can be exchanged as a whole")
            }
            guard authority.canSign else { throw CertificateError("the authority's key is not on this machine") }
            let issuer = try authority.issuer().certificate
            guard certificate.isSigned(by: issuer) || share >= Self.shareAfterRotation else { return }
            let path = keeper.configuration.certificatePath
            try FileSystem.writeAtomically(
                FileSystem.canonicalPath(path) ?? path, try authority.renewServer(identity), mode: 0o600)
            log.info("certificate_renewed", ["identity": .string(identity.uri)])
        } catch {
            log.warning(
                "certificate_not_renewed",
                ["error": .string("\(error)"), "hint": "columba-central ca server makes the next one"])
        }
    }
}
