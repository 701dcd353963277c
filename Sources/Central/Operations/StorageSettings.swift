// `lake`, `vault` and `s3 {…}` of central.json5 (contract §8): a directory, or `s3://bucket/prefix` with what is needed
// to reach it. Secrets come from files only, never from the configuration or a variable.

package import Configuration
package import ObjectStore
package import System

package struct StorageSettings: Sendable, Equatable {
    package var endpoint: S3Endpoint
    package var region = "us-east-1"
    package var accessKeyFile: String
    package var secretKeyFile: String
    /// nil: the system's authorities.
    package var authoritiesFile: String?
    /// Of copies on this machine; what queries, the archiver and compaction have read lately should fit.
    package var cacheBytes = 20 << 30
    package var cacheDirectory: String

    /// A directory's absolute path, or `s3://…` as it came.
    static func place(_ text: String, key: String, relativeTo folder: String) throws(ConfigurationError) -> String {
        if isRemote(text) {
            guard S3Location(text) != nil else {
                throw ConfigurationError(
                    key: key,
                    problem: "\(text) is not s3://bucket/prefix (a bucket has 3 to 63 of a-z, 0-9, - and .; a prefix "
                        + "has plain parts)")
            }
            return text
        }
        guard !text.contains("://") else {
            throw ConfigurationError(key: key, problem: "\(text) is neither a directory nor s3://bucket/prefix")
        }
        return text.hasPrefix("/") ? text : "\(folder)/\(text)"
    }

    package static func isRemote(_ place: String) -> Bool { place.hasPrefix("s3:") }

    /// nil where neither lake nor vault is remote and no `s3` is given.
    static func read(
        _ reader: inout ConfigurationReader, places: [(key: String, place: String)], relativeTo folder: String,
        dataDirectory: String
    ) throws(ConfigurationError) -> StorageSettings? {
        func absolute(_ path: String) -> String { path.hasPrefix("/") ? path : "\(folder)/\(path)" }
        let remote = places.first { isRemote($0.place) }
        let isGiven = reader.has("s3")
        var section = try reader.object("s3")
        guard remote != nil || isGiven else { return nil }
        if let remote, !isGiven, try section.string("endpoint") == nil {
            throw ConfigurationError(
                key: "s3",
                problem: "is required, for \(remote.key) is \(remote.place): "
                    + "s3: {endpoint: \"https://…\", access_key_file: \"…\", secret_key_file: \"…\"}")
        }
        let text = try section.requiredString("endpoint")
        guard let endpoint = S3Endpoint(text) else {
            throw ConfigurationError(
                key: "s3.endpoint", problem: "expected https://host or http://host:port, without a path, not \(text)")
        }
        try checkPlain(endpoint, isAllowed: try section.bool("allow_http") ?? false)
        var settings = StorageSettings(
            endpoint: endpoint, accessKeyFile: absolute(try section.requiredString("access_key_file")),
            secretKeyFile: absolute(try section.requiredString("secret_key_file")),
            cacheDirectory: try section.string("cache_dir").map(absolute) ?? "\(dataDirectory)/cache")
        settings.region = try section.string("region") ?? settings.region
        settings.cacheBytes = try section.integer("cache_bytes", in: (64 << 20)...(1 << 50)) ?? settings.cacheBytes
        settings.authoritiesFile = try section.string("ca").map(absolute)
        try section.finish()
        return settings
    }

    /// The archive crosses that connection, the vault's names among it.
    private static func checkPlain(_ endpoint: S3Endpoint, isAllowed: Bool) throws(ConfigurationError) {
        let isLoopback = ListenAddress(host: endpoint.hostName, port: 0).isLoopback
        guard !endpoint.isSecure, !isLoopback, !isAllowed else { return }
        throw ConfigurationError(
            key: "s3.endpoint",
            problem: "\(endpoint.address) would carry the archive unencrypted to another machine; use https://, or say "
                + "allow_http: true where the network itself is encrypted")
    }

    /// Reads the key files; errors name the setting and never hold a secret.
    package func credentials() throws(ConfigurationError) -> S3Credentials {
        S3Credentials(
            accessKey: try Self.secret(accessKeyFile, key: "s3.access_key_file"),
            secretKey: try Self.secret(secretKeyFile, key: "s3.secret_key_file"))
    }

    private static func secret(_ path: String, key: String) throws(ConfigurationError) -> String {
        let bytes: [UInt8]
        do { bytes = try FileSystem.read(path) } catch {
            throw ConfigurationError(key: key, problem: "\(error)")
        }
        let text = String(decoding: bytes, as: UTF8.self).split(whereSeparator: \.isWhitespace)
        guard text.count == 1, bytes.count <= 1024 else {
            throw ConfigurationError(key: key, problem: "\(path) must hold the key alone, on one line")
        }
        return String(text[0])
    }

    package func client(time: any TimeSource) throws -> S3Client {
        let settings = self
        return try S3Client(
            S3Settings(
                endpoint: endpoint, region: region, credentials: { try settings.credentials() },
                authoritiesFile: authoritiesFile), time: time)
    }
}
