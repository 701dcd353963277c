// `lake`, `vault` and `s3 {…}`: what is wrong is an error that names the key, before anything is opened.

import Configuration
import ObjectStore
import System
import Testing

import Central

@Suite("where the archive lies")
struct StorageSettingsTests {
    private func parse(_ text: String, _ environment: [String: String] = [:]) throws -> CentralConfiguration {
        let json = "{listen: '127.0.0.1:1', data_dir: 'd', \(text)}"
        return try CentralConfiguration.parse(
            try ConfigurationNode.parse(json5: Array(json.utf8)), environment: environment, relativeTo: "/etc/columba")
    }

    private func key(_ text: String) -> String {
        do {
            _ = try parse(text)
            return "no error"
        } catch {
            return (error as? ConfigurationError)?.key ?? "\(error)"
        }
    }

    private static let keys = "access_key_file: 'a', secret_key_file: 'b'"
    private let section = "s3: {endpoint: 'https://s3.example.com', access_key_file: 'a', secret_key_file: '/k/s'}"

    @Test("a directory is one, s3:// is a bucket with what reaches it, and both have their defaults")
    func places() throws {
        let local = try parse("lake: 'l'")
        #expect(local.lake == "/etc/columba/l" && local.vault == "/etc/columba/d/vault" && local.storage == nil)
        let remote = try parse("lake: 's3://bucket/lake', vault: '/srv/vault', \(section)")
        #expect(remote.lake == "s3://bucket/lake" && remote.vault == "/srv/vault")
        let storage = try #require(remote.storage)
        #expect(storage.endpoint.address == "https://s3.example.com" && storage.region == "us-east-1")
        #expect(storage.accessKeyFile == "/etc/columba/a" && storage.secretKeyFile == "/k/s")
        #expect(storage.cacheBytes == 20 << 30 && storage.cacheDirectory == "/etc/columba/d/cache")
        let overridden = try parse("lake: 's3://bucket/lake', \(section)", ["COLUMBA_S3_CACHE_BYTES": "100000000"])
        #expect(overridden.storage?.cacheBytes == 100_000_000)
    }

    @Test(
        "what is missing, unknown or impossible is an error that names the key",
        arguments: [
            ("lake: 's3://bucket/lake'", "s3"),
            ("lake: 's3://B/lake'", "lake"),
            ("vault: 'ftp://x/y'", "vault"),
            ("lake: 's3://bucket', s3: {access_key_file: 'a', secret_key_file: 'b'}", "s3.endpoint"),
            ("lake: 's3://bucket', s3: {endpoint: 'https://h', secret_key_file: 'b'}", "s3.access_key_file"),
            ("lake: 's3://bucket', s3: {endpoint: 'https://h', access_key_file: 'b'}", "s3.secret_key_file"),
            (
                "lake: 's3://bucket', s3: {endpoint: 'https://h/x', access_key_file: 'a', secret_key_file: 'b'}",
                "s3.endpoint"
            ),
            (
                "lake: 's3://bucket', s3: {endpoint: 'http://h', access_key_file: 'a', secret_key_file: 'b'}",
                "s3.endpoint"
            ),
            (
                "lake: 's3://bkt', s3: {endpoint: 'https://h', \(keys), secret: 'c'}",
                "s3.secret"
            ),
            (
                "lake: 's3://bkt', s3: {endpoint: 'https://h', \(keys), cache_bytes: 1}",
                "s3.cache_bytes"
            ),
        ])
    func errors(text: String, expected: String) {
        #expect(key(text) == expected)
    }

    @Test("plain HTTP goes to this machine, or where allow_http says that the network is encrypted")
    func plainHTTP() {
        func text(_ endpoint: String, _ more: String = "") -> String {
            "lake: 's3://bucket', s3: {endpoint: '\(endpoint)', access_key_file: 'a', secret_key_file: 'b'\(more)}"
        }
        #expect(key(text("http://127.0.0.1:8333")) == "no error" && key(text("http://[::1]:8333")) == "no error")
        #expect(key(text("http://10.0.0.1:8333")) == "s3.endpoint")
        #expect(key(text("http://10.0.0.1:8333", ", allow_http: true")) == "no error")
    }

    @Test("secrets come from files, one word each; an error names the setting and never holds a secret")
    func secrets() throws {
        let directory = try FileSystem.makeTemporaryDirectory(prefix: "columba-keys")
        defer { try? FileSystem.removeTree(directory) }
        try FileSystem.writeAtomically("\(directory)/a", Array("AKIA\n".utf8))
        func storage(_ secret: String?) throws -> StorageSettings {
            try FileSystem.remove("\(directory)/s")
            if let secret { try FileSystem.writeAtomically("\(directory)/s", Array(secret.utf8)) }
            return try #require(
                try parse(
                    "lake: 's3://bucket', s3: {endpoint: 'https://h', access_key_file: '\(directory)/a', "
                        + "secret_key_file: '\(directory)/s'}"
                ).storage)
        }
        let keys = try storage(" secret/+=\r\n").credentials()
        #expect(keys.accessKey == "AKIA" && keys.secretKey == "secret/+=")
        for secret in [nil, "", "top secret words"] {
            let settings = try storage(secret)
            let error = #expect(throws: ConfigurationError.self) { try settings.credentials() }
            #expect(error?.key == "s3.secret_key_file" && error?.description.contains("top secret") == false)
        }
    }

    @Test("the example beside the SeaweedFS units is a configuration")
    func example() throws {
        let root = Environment.variable("PWD") ?? "."
        let configuration = try CentralConfiguration.load(
            path: "\(root)/deploy/central/seaweedfs/central.json5", environment: [:])
        #expect(configuration.lake == "s3://columba/lake" && configuration.storage?.endpoint.isSecure == true)
    }
}
