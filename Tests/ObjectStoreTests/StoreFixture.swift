// Stores to test: a directory, and a folder of its own in a real S3 server's bucket.

import HTTPClient
import ObjectStore
import System
import TestSupport

enum StoreKind: String, CaseIterable {
    case local, s3

    /// Those that can be tested here.
    static var available: [StoreKind] { WeedServer.isInstalled ? allCases : [.local] }
}

final class StoreFixture {
    let directory: String
    let prefix: String

    init() throws {
        directory = try FileSystem.makeTemporaryDirectory(prefix: "columba-store")
        prefix = "t-\(UInt64.random(in: 0 ... .max))"
    }

    deinit { try? FileSystem.removeTree(directory) }

    func store(_ kind: StoreKind) throws -> any ObjectStore {
        switch kind {
        case .local: try LocalObjectStore(directory: "\(directory)/store")
        case .s3: try s3(WeedServer.shared().endpoint)
        }
    }

    /// Parts are as small as S3 allows; pauses are short.
    func s3(
        _ endpoint: String, cacheBytes: Int = 1 << 30, cache: ObjectCache? = nil, time: any TimeSource = SystemTime(),
        change: (inout S3Settings) -> Void = { _ in }
    ) throws -> S3ObjectStore {
        var settings = Self.settings(endpoint)
        change(&settings)
        let client = try S3Client(settings, time: time)
        let cache = try cache ?? ObjectCache.open(in: "\(directory)/cache", maxBytes: cacheBytes)
        return S3ObjectStore(
            S3Location(bucket: WeedServer.bucket, prefix: prefix), client: client, cache: cache, cacheName: "lake")
    }

    static func settings(_ endpoint: String) -> S3Settings {
        guard let address = S3Endpoint(endpoint) else { preconditionFailure("an endpoint for tests is one") }
        let keys = S3Credentials(accessKey: WeedServer.accessKey, secretKey: WeedServer.secretKey)
        var settings = S3Settings(endpoint: address, region: "us-east-1", credentials: { keys })
        settings.partBytes = 5 << 20
        settings.firstPauseSeconds = 0.02
        settings.longestPauseSeconds = 0.3
        return settings
    }

    func file(_ name: String, _ bytes: [UInt8]) throws -> String {
        let path = "\(directory)/\(name)"
        try FileSystem.writeAtomically(path, bytes)
        return path
    }

    static func bytes(_ count: Int, seed: UInt64) -> [UInt8] {
        // Random blocks, many of them shifted copies: a debug build must make megabytes of it.
        var generator = SeededGenerator(seed: seed)
        let block = (0..<min(count, 4_093)).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count)
        while bytes.count < count {
            bytes += block.prefix(count - bytes.count)
            bytes.append(UInt8(truncatingIfNeeded: bytes.count >> 12))
        }
        return Array(bytes.prefix(count))
    }
}

/// As many threads as bodies, all started before any runs.
func together(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) {
    let gate = Monitor(false)
    let threads = (0..<count).map { index in
        WorkerThread(name: "together-\(index)") {
            _ = gate.wait { $0 ? true : nil }
            body(index)
        }
    }
    gate.update { $0 = true }
    for thread in threads { thread.join() }
}
