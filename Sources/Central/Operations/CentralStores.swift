// Where the archive lies: lake and vault as the configuration says, each a directory or a bucket, and the folders of
// this machine that go with them. The running central and its commands open them alike.

package import ObjectStore
package import System
import Configuration
import Crypto
import Glibc
import Metrics

package struct CentralStores: Sendable {
    package let lake: any ObjectStore
    package let vault: any ObjectStore
    /// For files on their way into the lake: on its file system where it is a directory.
    package let scratch: String
    /// What is kept about the vault on this machine: the quarantine. The vault itself where that is a directory.
    package let vaultDirectory: String
    /// Of the copies of remote objects; nil where all is local.
    private let cache: ObjectCache?
    private let client: S3Client?

    package init(_ configuration: CentralConfiguration, time: any TimeSource = SystemTime()) throws {
        let data = configuration.dataDirectory
        let isRemote = StorageSettings.isRemote
        if isRemote(configuration.lake) || isRemote(configuration.vault) {
            guard let settings = configuration.storage else {
                throw ConfigurationError(key: "s3", problem: "is required for s3:// places")
            }
            client = try settings.client(time: time)
            cache = try ObjectCache.open(in: settings.cacheDirectory, maxBytes: settings.cacheBytes, time: time)
        } else {
            client = nil
            cache = nil
        }
        let (client, cache) = (self.client, self.cache)
        func store(_ place: String, _ name: String) throws -> any ObjectStore {
            if let client, let cache, let location = S3Location(place) {
                return S3ObjectStore(location, client: client, cache: cache, cacheName: name)
            }
            return try LocalObjectStore(directory: Self.directory(place))
        }
        lake = try store(configuration.lake, "lake")
        vault = try store(configuration.vault, "vault")
        scratch =
            try isRemote(configuration.lake)
            ? Self.directory("\(data)/scratch") : "\(Self.directory(configuration.lake))/_columba"
        vaultDirectory = try Self.directory(isRemote(configuration.vault) ? "\(data)/vault" : configuration.vault)
    }

    /// For commands: throws, and makes nothing, where there is no archive yet.
    package init(existing configuration: CentralConfiguration) throws {
        let place = configuration.lake
        let isRemote = StorageSettings.isRemote(place)
        let missing = SystemError(
            operation: "read", path: place, errno: ENOENT,
            detail: "there is no archive in this \(isRemote ? "place" : "folder") yet")
        guard isRemote || FileSystem.isDirectory("\(place)/reports") else { throw missing }
        try self.init(configuration)
        guard try !isRemote || lake.folders("").contains("reports") else { throw missing }
    }

    /// For the running central: opened, and suitable.
    static func checked(_ configuration: CentralConfiguration, time: any TimeSource) throws -> CentralStores {
        let stores = try CentralStores(configuration, time: time)
        try stores.check()
        return stores
    }

    /// Throws where a remote store cannot be reached or lacks what exactly-once rests on. Writes one small object to
    /// each and removes it.
    package func check() throws {
        for store in [lake, vault] { try (store as? S3ObjectStore)?.check() }
    }

    /// The folder, made if need be, by its real path: the query sandbox compares paths after links are resolved.
    static func directory(_ path: String) throws -> String {
        try FileSystem.makeDirectories(path)
        return FileSystem.canonicalPath(path) ?? path
    }

    /// In Prometheus' text format; empty where all is local.
    package func metrics() -> [UInt8] {
        guard let client, let cache else { return [] }
        let (requests, copies) = (client.counts, cache.counts)
        let values: [(name: String, help: String, value: Int)] = [
            ("requests_total", "Requests to the object store.", requests.requests),
            ("retries_total", "Requests sent again.", requests.retries),
            ("failures_total", "Operations given up.", requests.failures),
            ("sent_bytes_total", "Bytes of objects sent.", requests.bytesSent),
            ("received_bytes_total", "Bytes of objects received.", requests.bytesReceived),
            ("commits_recognised_total", "Own objects found after a lost answer.", requests.recognised),
            ("cache_files", "Copies on this machine.", copies.files),
            ("cache_bytes", "Bytes of copies on this machine.", copies.bytes),
            ("cache_limit_bytes", "s3.cache_bytes.", cache.maxBytes),
            ("cache_hits_total", "Files that were on this machine already.", copies.hits),
            ("cache_fetches_total", "Files fetched.", copies.fetches),
            ("cache_evictions_total", "Copies removed to make room.", copies.evictions),
            ("cache_damaged_total", "Copies that were not what they had been.", copies.damaged),
        ]
        let registry = MetricsRegistry()
        for (name, help, value) in values {
            let full = "columba_central_object_store_\(name)"
            if full.hasSuffix("_total") {
                registry.counterCallback(full, help: help) { Double(value) }
            } else {
                registry.gaugeCallback(full, help: help) { Double(value) }
            }
        }
        return registry.render()
    }
}

extension CentralConfiguration {
    /// Asks the object store whether it is there and knows us. Changes nothing.
    package func checkStorage() throws {
        guard let storage else { return }
        let client = try storage.client(time: SystemTime())
        for place in [lake, vault] {
            if let location = S3Location(place) { try client.reach(location) }
        }
    }
}

/// The key that turns names into `person_id`: made once, kept in the vault beside the names. The same for every node:
/// of several that make one at the same time, one wins.
enum PseudonymKey {
    static let name = "pseudonym.key"

    static func load(vault: any ObjectStore) throws -> [UInt8] {
        if let key = try find(vault: vault) { return key }
        _ = try vault.putIfAbsent(name, Array(Random.hex(bytes: 32).utf8))
        guard let key = try find(vault: vault) else { throw unreadable }
        return key
    }

    /// nil if there is none yet.
    static func find(vault: any ObjectStore) throws -> [UInt8]? {
        guard let text = try vault.get(name) else { return nil }
        guard let key = Hex.decode(String(decoding: text, as: UTF8.self)), key.count == 32 else { throw unreadable }
        return key
    }

    private static var unreadable: ConfigurationError {
        ConfigurationError(key: "vault", problem: "\(name) in it is not a key of 64 hexadecimal digits")
    }
}
