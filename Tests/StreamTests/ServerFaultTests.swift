// What else happens to NATS servers than being killed: one freezes, comes back with an empty disk, has a full one. What
// was acknowledged stays, and the others carry on.

import Central
import NATS
import Synchronization
import SyncProtocol
import System
import TestSupport
import Testing

@Suite(
    "NATS servers that fail in other ways", .serialized,
    .enabled(if: NATSServers.isAvailable, "nats-server is missing: make deps"))
struct ServerFaultTests {
    private static let partitions = 4
    /// Elections and catching up take their time, and say as much of nats-server as of Columba: for `make
    /// chaos-cluster`.
    private static let isLongLook = Environment.variable("COLUMBA_CLUSTER_ROUNDS") != nil
    private static let reason = "a longer look: COLUMBA_CLUSTER_ROUNDS=2, or make chaos-cluster"

    /// Three servers and a relay that sends while `body` breaks and mends. Then everything acknowledged must be there,
    /// by the word of all of them and by that of the one that failed alone.
    private func run(
        seed: UInt64, stores: [Int: String] = [:],
        _ body: (NATSServers, StreamNode, StreamSender) throws -> Int
    ) throws {
        let servers = try NATSServers(count: 3, stores: stores)
        let node = try StreamNode(servers)
        let sender = StreamSender()
        let thread = WorkerThread(name: "sender", stackBytes: 4 << 20) { sender.run(node, seed: seed) }
        let failed: Int
        do {
            defer {
                sender.stop()
                thread.join()
            }
            expectBatches(sender, "at first")
            failed = try body(servers, node, sender)
            #expect(servers.isReady(within: 30), "\(servers.log(failed).suffix(1_000))")
            expectBatches(sender, "when all three are back")
        }
        let progress = sender.progress.withLock { $0 }
        print("batches \(progress.batches), resends \(progress.resends), longest pause \(progress.longestPause) s")
        expect(progress.acknowledged, in: try node.settle(partitions: Self.partitions), "through the cluster")

        node.stop()
        let alone = try StreamNode(servers, name: "alone", only: failed)
        for other in 0..<3 where other != failed { try servers.kill(other) }
        var settled = Settled(partitions: Self.partitions)
        _ = eventually(within: 20, everyMilliseconds: 100) {
            settled = (try? alone.settle(partitions: Self.partitions)) ?? settled
            return progress.acknowledged.subtracting(settled.archived).isEmpty
        }
        expect(progress.acknowledged, in: settled, "on \(servers.names[failed]) alone")
        withExtendedLifetime(servers) {}
    }

    private func expectBatches(_ sender: StreamSender, _ when: String, atLeast count: Int = 20) {
        let before = sender.progress.withLock { $0.batches }
        let goesOn = eventually(within: 30) { sender.progress.withLock { $0.batches } > before + count }
        #expect(goesOn, "\(when): no batch is acknowledged")
    }

    private func expect(_ acknowledged: IntervalSet, in settled: Settled, _ place: String) {
        let lost = acknowledged.subtracting(settled.archived)
        #expect(!acknowledged.isEmpty && lost.isEmpty, "\(place): \(lost.ranges.prefix(10)) is not there")
        #expect(settled.lines.values.allSatisfy { $0 == 1 }, "\(place): a line is there twice")
    }

    @Test(
        "the stream's leader freezes: batches go on without it, and when it wakes it learns what it missed",
        .enabled(if: isLongLook, "\(reason)"))
    func frozenLeader() throws {
        try run(seed: 41) { servers, node, sender in
            let frozen = try #require(node.leader(among: servers))
            servers.freeze(frozen)
            expectBatches(sender, "while \(servers.names[frozen]) is frozen")
            servers.thaw(frozen)
            return frozen
        }
    }

    @Test(
        "a server comes back with an empty disk: the other two fill it again, to the last batch",
        .enabled(if: isLongLook, "\(reason)"))
    func emptyDisk() throws {
        try run(seed: 42) { servers, node, sender in
            let wiped = try #require(node.leader(among: servers))
            try servers.kill(wiped)
            try servers.wipe(wiped)
            expectBatches(sender, "with two servers")
            try servers.start(wiped)
            return wiped
        }
    }

    @Test(
        "a server's disk is full: batches go on with the other two, and it takes part again when there is room",
        .enabled(if: isLongLook, "\(reason)"))
    func fullDisk() throws {
        let directory = try FileSystem.makeTemporaryDirectory(prefix: "columba-full")
        defer { try? FileSystem.removeTree(directory) }
        guard let disk = try SmallDisk(.tmpfs, megabytes: 64, at: "\(directory)/disk") else {
            try Test.cancel("no small disk can be mounted here")
        }
        try run(seed: 43, stores: [0: disk.path]) { servers, _, sender in
            disk.fill()
            expectBatches(sender, "while \(servers.names[0]) has no room", atLeast: 60)
            #expect(servers.log(0).contains("no space left"))
            disk.empty()
            // JetStream is off on that server by now; its unit restarts it, as an operator would.
            try servers.kill(0)
            try servers.start(0)
            return 0
        }
        withExtendedLifetime(disk) {}
    }

    @Test(
        "bits of a server's files flip while it is down: it notices, and gets the right ones from the others (F50)",
        .enabled(if: isLongLook, "\(reason)"))
    func flippedBits() throws {
        try run(seed: 44) { servers, _, sender in
            try servers.kill(1)
            let files = try Self.messageFiles(in: servers.store(1))
            #expect(!files.isEmpty)
            for file in files { try Self.flipBits(in: file) }
            expectBatches(sender, "with two servers")
            try servers.start(1)
            return 1
        }
    }

    /// The stream's message blocks.
    private static func messageFiles(in folder: String) throws -> [String] {
        var found: [String] = []
        for name in try FileSystem.list(folder) {
            let path = "\(folder)/\(name)"
            if FileSystem.isDirectory(path) {
                found += try messageFiles(in: path)
            } else if name.hasSuffix(".blk"), path.contains("/streams/COLUMBA/") {
                found.append(path)
            }
        }
        return found
    }

    private static func flipBits(in path: String) throws {
        var bytes = try FileSystem.read(path)
        guard bytes.count > 100 else { return }
        for place in stride(from: bytes.count / 4, to: bytes.count, by: bytes.count / 4) { bytes[place] ^= 0x10 }
        try FileSystem.writeAtomically(path, bytes)
    }
}
