// What a relay has acknowledged, written down before anything else of that drone is sent: after a crash of any part,
// the archive must hold every line of it exactly once.
import Crypto
import Glibc
import Models
import Simulation
import Synchronization

/// One line per acknowledgement: `drone boot seq sha256 status`. Each line is one write(2) to the end of the file, so a
/// killed process leaves whole lines; the file is not synced, because the drones' machine is not the one that fails.
final class Ledger: Sendable {
    private let descriptor: Int32
    private let failure = Atomic<Int32>(0)

    init(path: String) throws {
        descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw CommandFailure("\(path): \(String(cString: strerror(errno)))") }
    }

    deinit { close(descriptor) }

    /// The first error of the file, if any: its missing lines make the ledger worthless.
    var problem: String? {
        let code = failure.load(ordering: .relaxed)
        return code == 0 ? nil : String(cString: strerror(code))
    }

    func acknowledged(_ report: SimulatedReport, status: String) {
        let digest = report.body.withUnsafeBytes { SHA256.hash($0) }.hex
        let identity = report.identity
        let line = Array("\(identity.droneID) \(identity.boot) \(identity.seq) \(digest) \(status)\n".utf8)
        let written = line.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
        if written != line.count { failure.store(written < 0 ? errno : ENOSPC, ordering: .relaxed) }
    }
}
