// `roles`, `node_id`, `stream`: what is understood, and what is refused with which words.

import Central
import Configuration
import Testing

@Suite("the cluster's settings")
struct ClusterSettingsTests {
    private func parse(
        _ text: String, environment: [String: String] = [:]
    ) throws(ConfigurationError) -> CentralConfiguration {
        let whole = "{listen: '127.0.0.1:1', data_dir: 'd', \(text)}"
        return try CentralConfiguration.parse(
            try ConfigurationNode.parse(json5: Array(whole.utf8)), environment: environment, relativeTo: "/here")
    }

    /// The message of a configuration that is refused; empty where it is not.
    private func refusal(_ text: String) -> String {
        do throws(ConfigurationError) {
            _ = try parse(text)
            return ""
        } catch {
            return error.description
        }
    }

    private static let loopback = "nats: ['nats://127.0.0.1:4222', 'nats://[::1]:4223']"

    @Test("without a word about it, central is one machine with an embedded stream and every role")
    func defaults() throws {
        for text in ["", "stream: 'embedded'", "roles: ['query', 'archive', 'intake']"] {
            let configuration = try parse(text)
            #expect(!configuration.cluster.isCluster && configuration.archive.partitions == 4)
            #expect(configuration.cluster.roles == Set(CentralRole.allCases))
        }
    }

    @Test("a stream of NATS servers makes a node of a cluster, whose lake has eight partitions unless told otherwise")
    func cluster() throws {
        let configuration = try parse("stream: {\(Self.loopback)}, node_id: 'central-2', roles: ['archive']")
        let stream = try #require(configuration.cluster.stream)
        #expect(stream.urls == ["nats://127.0.0.1:4222", "nats://[::1]:4223"])
        #expect(stream.replicas == 3 && stream.maxBytes == 16 << 30)
        #expect(configuration.cluster.roles == [.archive] && configuration.cluster.nodeID == "central-2")
        #expect(configuration.archive.partitions == 8)
        #expect(try parse("stream: {\(Self.loopback)}, archive: {partitions: 16}").archive.partitions == 16)
        #expect(try parse("stream: {\(Self.loopback), replicas: 1}").cluster.stream?.replicas == 1)
    }

    @Test("paths are relative to the file, and TLS takes its authority, certificate and key")
    func tls() throws {
        let stream = try #require(
            try parse(
                """
                stream: {nats: ['tls://nats-0.nats:4222'], credentials_file: 'central.creds',
                         tls: {ca: 'ca.pem', cert: '/etc/c.pem', key: 'k.pem'}}
                """
            ).cluster.stream)
        #expect(stream.credentialsFile == "/here/central.creds")
        #expect(stream.tls?.authority == "/here/ca.pem" && stream.tls?.certificate == "/etc/c.pem")
        #expect(stream.tls?.key == "/here/k.pem")
    }

    @Test("variables set what the file leaves out")
    func variables() throws {
        let configuration = try parse(
            "",
            environment: [
                "COLUMBA_STREAM_NATS": "nats://127.0.0.1:1,nats://127.0.0.1:2", "COLUMBA_ROLES": "intake,query",
                "COLUMBA_NODE_ID": "central-7", "COLUMBA_STREAM_REPLICAS": "1",
            ])
        #expect(configuration.cluster.stream?.urls.count == 2 && configuration.cluster.stream?.replicas == 1)
        #expect(configuration.cluster.roles == [.intake, .query] && configuration.cluster.nodeID == "central-7")
    }

    @Test(
        "what cannot work is refused with its key and the reason",
        arguments: [
            ("roles: ['intake']", "roles", "archive and query"),
            ("roles: []", "roles", "empty"),
            ("roles: ['ingest']", "roles", "\"intake\", \"archive\", \"query\""),
            ("roles: ['query', 'query']", "roles", "twice"),
            ("stream: 'nats'", "stream", "embedded"),
            ("stream: {}", "stream.nats", "required"),
            ("stream: {nats: []}", "stream.nats", "1 to 64"),
            ("stream: {nats: ['127.0.0.1:4222']}", "stream.nats[0]", "nats://host:port"),
            ("stream: {nats: ['nats://127.0.0.1']}", "stream.nats[0]", "host:port"),
            ("stream: {nats: ['nats://10.0.0.1:4222']}", "stream.nats[0]", "tls://"),
            ("stream: {nats: ['nats://127.0.0.1:1', 'tls://n:1']}", "stream.nats[1]", "stream.tls"),
            ("stream: {nats: ['nats://me:secret@127.0.0.1:1']}", "stream.nats[0]", "password_file"),
            ("stream: {nats: ['nats://127.0.0.1:1'], user: 'central'}", "stream.user", "together"),
            ("stream: {nats: ['nats://127.0.0.1:1'], replicas: 2}", "stream.replicas", "1, 3 or 5"),
            ("stream: {nats: ['nats://127.0.0.1:1'], replica: 3}", "stream.replica", "unknown key"),
            ("stream: {nats: ['nats://127.0.0.1:1'], tls: {cert: 'c'}}", "stream.tls.ca", "required"),
            ("stream: {nats: ['nats://127.0.0.1:1'], tls: {ca: 'a', cert: 'c'}}", "stream.tls", "together"),
            ("node_id: 'a.b'", "node_id", "characters"),
            ("node_id: ''", "node_id", "characters"),
        ])
    func refusals(text: String, key: String, reason: String) {
        let message = refusal(text)
        #expect(message.contains("\(key): "), "\(message)")
        #expect(message.contains(reason), "\(message)")
        #expect(!message.contains("secret"))
    }
}
