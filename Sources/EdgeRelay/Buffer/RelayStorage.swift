// What is on disk, opened by one process at a time (F44), and what an earlier life left there.

import Log
import Models
import SyncProtocol
import System

struct RelayStorage: Sendable {
    let lock: DirectoryLock
    let durability: FileSystem.Durability
    let reserve: DiskReserve
    let state: SharedStateStore
    let store: BufferStore
    let recovered: Recovery

    init(_ configuration: RelayConfiguration, time: any TimeSource, startedAt: Timestamp, log: Log) throws {
        let directory = configuration.dataDirectory
        try FileSystem.makeDirectories(directory)
        lock = try DirectoryLock(directory)
        durability = try Self.checkDurability(configuration, log)
        reserve = Self.openReserve(configuration, log)
        let opened = try StateStore.openOrReplace(path: "\(directory)/state.db", log: log)
        store = try BufferStore(
            directory: "\(directory)/buffer", segmentBytes: configuration.buffer.segmentBytes,
            leavesBytes: reserve.bytes, time: time, log: log)
        recovered = try Recovery.read(
            store, relayID: configuration.relayID, state: opened, now: startedAt,
            monotonic: time.monotonicNanoseconds())
        Self.report(recovered, log)
        for epoch in recovered.vanished.keys { try? opened.forget(epoch: epoch) }
        state = SharedStateStore(opened)
    }

    /// F45: an acknowledgement is worth what the file system's fsync is.
    private static func checkDurability(_ configuration: RelayConfiguration, _ log: Log) throws -> FileSystem.Durability
    {
        let directory = configuration.dataDirectory
        let durability = try FileSystem.durability(at: directory)
        guard case .doubtful(let name) = durability, !configuration.buffer.allowAnyFilesystem else { return durability }
        if configuration.buffer.strictFilesystem {
            throw SystemError(
                operation: "use", path: directory, errno: 0,
                detail: "it is on \(name), where synced data may not survive a power cut; choose a directory on a "
                    + "local disk, or set buffer.strict_filesystem to false")
        }
        log.warning(
            "filesystem_doubtful",
            [
                "data_dir": .string(directory), "filesystem": .string(name),
                "hint": "synced data may not survive a power cut; see buffer.allow_any_filesystem",
            ])
        return durability
    }

    /// On a full disk the reserve makes room for the start itself.
    private static func openReserve(_ configuration: RelayConfiguration, _ log: Log) -> DiskReserve {
        let bytes = BufferAdmission.reserveBytes(forMaxBytes: configuration.buffer.maxBytes)
        let reserve = DiskReserve(dataDirectory: configuration.dataDirectory, bytes: bytes)
        let free = (try? FileSystem.freeBytes(at: configuration.dataDirectory)) ?? Int.max
        if free < bytes / 4, reserve.giveUp() {
            log.warning("disk_full_reserve_given_up", ["bytes": .int(bytes), "hint": "free some space on this disk"])
        }
        reserve.keep(freeBytes: free)
        return reserve
    }

    private static func report(_ recovered: Recovery, _ log: Log) {
        for (epoch, known) in recovered.epochs.sorted(by: { $0.key < $1.key }) where !known.lost.isEmpty {
            log.error(
                "records_not_in_buffer",
                [
                    "epoch": .string(epoch), "records": .int(known.lost.count),
                    "ranges": .string("\(known.lost.ranges.prefix(20))"),
                    "hint": "neither in the buffer nor known to be archived; central is asked",
                ])
        }
        for (epoch, numbers) in recovered.vanished where !numbers.isEmpty {
            log.error(
                "epoch_not_in_buffer",
                [
                    "epoch": .string(epoch), "records": .int(numbers.count),
                    "hint": "its folder was removed before central archived it",
                ])
        }
    }
}
