// The cluster at one moment, as one node sees it: `/v1/cluster` and the metrics. A single central is a cluster of one
// with nothing to share. Partitions are few and numbered, so they may be labels; drones never are (I9).

import JSON
import Models

struct ClusterFigures: Sendable {
    struct Partition: Sendable {
        var number: Int
        var owner: String?
        /// Everything of it up to there is in committed versions.
        var position: Int64
        var waitingBatches: Int
        var lagSeconds: Double
    }

    var nodeID: String
    var roles: Set<CentralRole>
    var now: Timestamp
    /// nil: a single central.
    var view: ClusterView?
    var partitions: [Partition] = []
    var isStreamConnected = true
    var streamBytes = 0
    var streamMaxBytes = 0
    /// Commits that another owner of a partition made first.
    var lostCommits = 0

    var owned: [Int] { view?.owned.sorted() ?? [] }

    private static func names(_ roles: Set<CentralRole>) -> [String] {
        CentralRole.allCases.filter { roles.contains($0) }.map(\.rawValue)
    }
}

// MARK: - /v1/cluster

extension ClusterFigures {
    func json() -> [UInt8] {
        var output = JSONWriter(reservedBytes: 4_096)
        output.object { output in
            output.member("node_id", nodeID)
            output.key("roles")
            output.array { output in for role in Self.names(roles) { output.string(role) } }
            output.member("now", now)
            output.member("is_cluster", view != nil)
            output.object("stream") {
                $0.member("connected", isStreamConnected)
                $0.member("bytes", streamBytes)
                $0.member("max_bytes", streamMaxBytes)
            }
            output.key("owned")
            output.array { output in for partition in owned { output.integer(partition) } }
            output.member("ownership_changes", view?.ownershipChanges ?? 0)
            output.member("lost_commits", lostCommits)
            output.member("trouble", view?.trouble)
            output.key("nodes")
            output.array { output in for node in view?.nodes ?? [] { Self.append(node, &output) } }
            output.key("partitions")
            output.array { output in
                for partition in partitions {
                    output.object {
                        $0.member("partition", partition.number)
                        $0.member("owner", partition.owner)
                        $0.member("position", Int(partition.position))
                        $0.member("waiting_batches", partition.waitingBatches)
                        $0.member("lag_s", partition.lagSeconds)
                    }
                }
            }
        }
        return output.bytes
    }

    private static func append(_ node: ClusterView.Node, _ output: inout JSONWriter) {
        output.object { output in
            output.member("node_id", node.entry.nodeID)
            output.key("roles")
            output.array { output in for role in names(node.entry.roles) { output.string(role) } }
            output.member("state", node.isLive ? "live" : "dead")
            output.member("silent_s", node.silentSeconds)
            output.member("started_at", node.entry.startedAt)
            output.member("address", node.entry.address)
            output.member("version", node.entry.version)
        }
    }
}

// MARK: - Metrics

extension ClusterFigures {
    /// In Prometheus' text format.
    func metrics() -> [UInt8] {
        var text = ""
        func family(_ name: String, _ type: String, _ help: String) {
            text += "# HELP columba_central_\(name) \(help)\n# TYPE columba_central_\(name) \(type)\n"
        }
        func single(_ name: String, _ type: String, _ help: String, _ value: Int) {
            family(name, type, help)
            text += "columba_central_\(name) \(value)\n"
        }
        family("role", "gauge", "1 for each role that this node has.")
        for role in CentralRole.allCases {
            text += "columba_central_role{role=\"\(role.rawValue)\"} \(roles.contains(role) ? 1 : 0)\n"
        }
        single("stream_connected", "gauge", "1 while the stream can be reached.", isStreamConnected ? 1 : 0)
        single("stream_max_bytes", "gauge", "What the stream may hold; beyond it relays wait.", streamMaxBytes)
        guard let view else { return Array(text.utf8) }
        family("nodes_live", "gauge", "Live nodes by role, as this node sees them.")
        for role in CentralRole.allCases {
            let count = view.live.count { $0.roles.contains(role) }
            text += "columba_central_nodes_live{role=\"\(role.rawValue)\"} \(count)\n"
        }
        single("partitions", "gauge", "Partitions of the archive.", partitions.count)
        single("owned_partitions", "gauge", "Partitions that this node archives.", view.owned.count)
        single("ownership_changes_total", "counter", "Partitions that came or went.", view.ownershipChanges)
        single("lost_commits_total", "counter", "Commits that another owner made first.", lostCommits)
        family("partition_waiting_batches", "gauge", "Entries of the stream that are not archived, by partition.")
        for partition in partitions {
            text += "columba_central_partition_waiting_batches{partition=\"\(partition.number)\"} "
            text += "\(partition.waitingBatches)\n"
        }
        family("partition_lag_seconds", "gauge", "Age of the oldest of them.")
        for partition in partitions {
            text += "columba_central_partition_lag_seconds{partition=\"\(partition.number)\"} \(partition.lagSeconds)\n"
        }
        return Array(text.utf8)
    }
}
