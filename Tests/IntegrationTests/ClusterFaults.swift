// Ways in which a part of a cluster fails, and how it is mended.

import Foundation
import Glibc
import System
import TestSupport

enum ClusterFault: CustomStringConvertible {
    case killNATS(Int)
    case killCentral(Int)
    case killStore
    /// Killed, and started again with an empty disk.
    case wipeNATS(Int)
    /// Stopped by a signal for so long: it believes what it believed, and its connections stay open.
    case stopNATS(Int, seconds: Double)
    case stopCentral(Int, seconds: Double)
    case stopStore(seconds: Double)
    /// Its packets go nowhere for so long (nftables, in a network namespace of our own).
    case cutOffCentral(Int, seconds: Double)
    case cutOffNATS(Int, seconds: Double)
    /// One of ten packets, whoever sends it.
    case losePackets(seconds: Double)

    var description: String {
        switch self {
        case .killNATS(let index): "kill -9 nats-\(index + 1)"
        case .killCentral(let index): "kill -9 central-\(index + 1)"
        case .killStore: "kill -9 object store"
        case .wipeNATS(let index): "kill -9 nats-\(index + 1), which comes back with an empty disk"
        case .stopNATS(let index, let seconds): "stop nats-\(index + 1) for \(Int(seconds)) s"
        case .stopCentral(let index, let seconds): "stop central-\(index + 1) for \(Int(seconds)) s"
        case .stopStore(let seconds): "stop object store for \(Int(seconds)) s"
        case .losePackets(let seconds): "lose one packet of ten for \(Int(seconds)) s"
        case .cutOffNATS(let index, let seconds): "cut off nats-\(index + 1) for \(Int(seconds)) s"
        case .cutOffCentral(let index, let seconds): "cut off central-\(index + 1) for \(Int(seconds)) s"
        }
    }

    /// What must go on before anything is mended: intake while storage is gone, and archiving while a node is.
    var mustGoOn: (intake: Bool, archive: Bool) {
        switch self {
        case .killNATS, .killCentral, .wipeNATS: (true, true)
        case .killStore, .stopStore, .stopNATS, .stopCentral, .cutOffCentral, .cutOffNATS, .losePackets: (true, false)
        }
    }

    static func random(
        _ generator: inout some RandomNumberGenerator, canCutOff: Bool
    ) -> ClusterFault {
        let index = Int.random(in: 0..<3, using: &generator)
        let seconds = Double(Int.random(in: 2...12, using: &generator))
        switch Int.random(in: 0..<(canCutOff ? 11 : 8), using: &generator) {
        case 0: return .killNATS(index)
        case 1, 2: return .killCentral(index)
        case 3: return .killStore
        case 4: return .stopNATS(index, seconds: seconds)
        case 5: return .stopCentral(index, seconds: seconds)
        case 6: return .wipeNATS(index)
        case 7: return .stopStore(seconds: seconds)
        case 8: return .cutOffNATS(index, seconds: seconds)
        case 9: return .losePackets(seconds: seconds)
        default: return .cutOffCentral(index, seconds: seconds)
        }
    }
}

extension ClusterStation {
    /// The first of the user ids that centrals run as where their packets are to be told apart.
    static let firstUser = 17_001
    /// The same of NATS servers.
    static let firstNATSUser = 17_011

    func begin(_ fault: ClusterFault) throws {
        switch fault {
        case .killNATS(let index): nats[index].kill()
        case .killCentral(let index): centrals[index].kill()
        case .killStore: store.kill()
        case .wipeNATS(let index):
            nats[index].kill()
            try FileSystem.removeTree("\(folder)/\(nats[index].name)")
        case .stopStore: store.signal(SIGSTOP)
        case .stopNATS(let index, _): nats[index].signal(SIGSTOP)
        case .stopCentral(let index, _): centrals[index].signal(SIGSTOP)
        case .cutOffCentral(let index, _): try Self.dropPackets("meta skuid \(Self.firstUser + index)")
        case .cutOffNATS(let index, _): try Self.dropPackets("meta skuid \(Self.firstNATSUser + index)")
        case .losePackets: try Self.dropPackets("numgen random mod 100 < 10")
        }
    }

    func mend(_ fault: ClusterFault) throws {
        switch fault {
        case .killNATS(let index), .wipeNATS(let index): try nats[index].start()
        case .killCentral(let index): try centrals[index].start()
        case .killStore: try store.start()
        case .stopNATS(let index, let seconds):
            Self.pause(seconds)
            nats[index].signal(SIGCONT)
        case .stopCentral(let index, let seconds):
            Self.pause(seconds)
            centrals[index].signal(SIGCONT)
        case .stopStore(let seconds):
            Self.pause(seconds)
            store.signal(SIGCONT)
        case .cutOffCentral(_, let seconds), .cutOffNATS(_, let seconds), .losePackets(let seconds):
            Self.pause(seconds)
            try Self.nft(["delete", "table", "inet", "chaos"])
        }
    }

    /// The length of a fault, not a way to wait for something.
    private static func pause(_ seconds: Double) { poll(nil, 0, Int32(seconds * 1_000)) }

    private static func dropPackets(_ which: String) throws {
        try nft(["add", "table", "inet", "chaos"])
        try nft(["add chain inet chaos out { type filter hook output priority 0; }"])
        try nft(["add rule inet chaos out \(which) drop"])
    }

    private static func nft(_ arguments: [String]) throws {
        let settings = ChildProcess.Configuration(executable: "/usr/sbin/nft", arguments: arguments)
        guard try ChildProcess(settings).wait(timeoutSeconds: 10)?.isSuccess == true else {
            throw SystemError(operation: "nft \(arguments.joined(separator: " "))", errno: EPERM)
        }
    }
}
