// One central by itself: the stream is a log in its data folder, and one archiver takes everything from it.

import DuckDB
import Log
import SyncProtocol
import System

final class EmbeddedBackbone: Backbone {
    private let configuration: CentralConfiguration
    private let time: any TimeSource
    private let archiver: Archiver
    private let loop: ArchiveLoop
    private let listeners: CommitListeners
    private let threads = ThreadCrew()
    let stream: any BatchStream

    /// - Parameter onFatal: called when only a fresh start can go on; the program must end.
    init(
        _ configuration: CentralConfiguration, _ stores: CentralStores, _ duckDB: DuckDBExecutable,
        time: any TimeSource, log: Log, onFatal: @escaping @Sendable (String) -> Void
    ) throws {
        self.configuration = configuration
        self.time = time
        var settings = try ArchiverConfiguration(stores, duckDB, scratch: "scratch")
        settings.partitions = configuration.archive.partitions
        archiver = try Archiver(settings, time: time)
        stream = try EmbeddedStream(
            directory: "\(configuration.dataDirectory)/stream", archivedThrough: archiver.committedPosition,
            log: log.component("stream"))
        let listeners = CommitListeners()
        self.listeners = listeners
        loop = ArchiveLoop(
            archiver: archiver, stream: stream, configuration: configuration.archive, time: time,
            log: log.component("archive"), onFatal: onFatal, onCommit: { listeners.committed($0, $1) })
    }

    var knowledge: any ArchiveKnowledge { archiver }
    var archived: StreamCursor { .everything(after: archiver.committedPosition) }
    var recoverAfter: Int64 { archiver.committedPosition }
    var progress: ArchiveProgress { loop.snapshot }
    var maxStreamBytes: Int { configuration.limits.maxStreamBytes }
    var fleetBoard: (any ClusterBoard)? { nil }
    var doesUpkeep: Bool { true }
    var troubles: [String] { loop.snapshot.lastError == nil ? [] : ["the archive is not being written"] }

    func onCommit(_ body: @escaping @Sendable (ArchiveCommit, [String]) -> Void) { listeners.add(body) }

    func figures() -> ClusterFigures {
        ClusterFigures(
            nodeID: configuration.cluster.nodeID, roles: configuration.cluster.roles, now: time.timestamp,
            streamBytes: stream.totalBytes, streamMaxBytes: maxStreamBytes)
    }

    func start(_ fleet: Fleet, recoveredThrough: Int64) {
        let (stream, loop) = (stream, loop)
        threads.start("stream-writer", stackBytes: 4 << 20) { stream.run() }
        threads.start("archiver", stackBytes: 8 << 20) { loop.run() }
    }

    func drain() {
        stream.close()
        threads.join("stream-writer")
    }

    func end() {
        loop.stop()
        threads.join()
        stream.closeLog()
    }
}
