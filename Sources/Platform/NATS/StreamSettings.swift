// How a JetStream stream is set up, and what to do where one is there already but otherwise.
//
// JSON of the JetStream API (ADR-1 and on): times are in nanoseconds, −1 is no limit. What Columba does not name keeps
// the server's default.

package struct StreamSettings: Codable, Equatable, Sendable {
    package var name: String
    package var subjects: [String]
    package var retention = "limits"
    package var storage = "file"
    /// Full: what is new is refused. Never `old`: that would delete what nobody has archived (F53).
    package var discard = "new"
    package var maxBytes: Int64
    package var maxMessageBytes: Int64
    package var maxAge: Int64 = 0
    package var maxMessages: Int64 = -1
    package var maxMessagesPerSubject: Int64 = -1
    package var replicas: Int
    /// How long a repeated `Nats-Msg-Id` is recognised.
    package var duplicateWindow: Int64
    /// Batched reads from any of its servers.
    package var allowsDirectReads = true
    /// No single message can be taken out; a purge up to a position can.
    package var deniesDelete = true
    /// Of a new stream: its first position.
    package var firstSequence: UInt64?
    /// What this stream's messages are part of; no other may be mixed in. nil: nothing is asked.
    package var owner: String? {
        get { metadata?[Self.ownerKey] }
        set {
            guard let newValue else { return }
            metadata = (metadata ?? [:]).merging([Self.ownerKey: newValue]) { $1 }
        }
    }
    /// Free text beside the settings; the server keeps some of its own there.
    private var metadata: [String: String]?
    private static let ownerKey = "columba_lake"

    package init(
        name: String, subjects: [String], replicas: Int, maxBytes: Int64, maxMessageBytes: Int64,
        duplicateSeconds: Double = 120
    ) {
        self.name = name
        self.subjects = subjects
        self.replicas = replicas
        self.maxBytes = maxBytes
        self.maxMessageBytes = maxMessageBytes
        duplicateWindow = Int64(duplicateSeconds * 1e9)
    }

    enum CodingKeys: String, CodingKey {
        case name, subjects, retention, storage, discard
        case maxBytes = "max_bytes"
        case maxMessageBytes = "max_msg_size"
        case maxAge = "max_age"
        case maxMessages = "max_msgs"
        case maxMessagesPerSubject = "max_msgs_per_subject"
        case replicas = "num_replicas"
        case duplicateWindow = "duplicate_window"
        case allowsDirectReads = "allow_direct"
        case deniesDelete = "deny_delete"
        case firstSequence = "first_seq"
        case metadata
    }

    package init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        name = try values.decode(String.self, forKey: .name)
        subjects = try values.decodeIfPresent([String].self, forKey: .subjects) ?? []
        retention = try values.decodeIfPresent(String.self, forKey: .retention) ?? "limits"
        storage = try values.decodeIfPresent(String.self, forKey: .storage) ?? "file"
        discard = try values.decodeIfPresent(String.self, forKey: .discard) ?? "old"
        maxBytes = try values.decodeIfPresent(Int64.self, forKey: .maxBytes) ?? -1
        maxMessageBytes = try values.decodeIfPresent(Int64.self, forKey: .maxMessageBytes) ?? -1
        maxAge = try values.decodeIfPresent(Int64.self, forKey: .maxAge) ?? 0
        maxMessages = try values.decodeIfPresent(Int64.self, forKey: .maxMessages) ?? -1
        maxMessagesPerSubject = try values.decodeIfPresent(Int64.self, forKey: .maxMessagesPerSubject) ?? -1
        replicas = try values.decodeIfPresent(Int.self, forKey: .replicas) ?? 1
        duplicateWindow = try values.decodeIfPresent(Int64.self, forKey: .duplicateWindow) ?? 0
        allowsDirectReads = try values.decodeIfPresent(Bool.self, forKey: .allowsDirectReads) ?? false
        deniesDelete = try values.decodeIfPresent(Bool.self, forKey: .deniesDelete) ?? false
        firstSequence = try values.decodeIfPresent(UInt64.self, forKey: .firstSequence)
        metadata = try values.decodeIfPresent([String: String].self, forKey: .metadata)
    }
}

/// What a stream that is there already needs to become what is wanted. Limits are only ever raised: two nodes with
/// different files must not pull at it by turns.
package enum StreamAgreement: Equatable, Sendable {
    case agrees
    case update(StreamSettings, changed: [String])
    /// Each with what to do about it.
    case conflict([String])

    package static func compare(wanted: StreamSettings, found: StreamSettings) -> StreamAgreement {
        var conflicts: [String] = []
        if let other = found.owner, let own = wanted.owner, other != own {
            conflicts.append(
                "it is the stream of lake \(other), and this node's lake is \(own): set `lake` and `stream` as on the "
                    + "other nodes; only for a new lake delete the stream and start again")
        }
        if found.storage != wanted.storage {
            conflicts.append("it is kept in \(found.storage), not in a \(wanted.storage): delete it and start again")
        }
        if found.retention != wanted.retention {
            conflicts.append("its retention is \(found.retention), not \(wanted.retention)")
        }
        if Set(found.subjects) != Set(wanted.subjects) {
            conflicts.append(
                "it has \(found.subjects.count) subjects, not \(wanted.subjects.count): `archive.partitions` is fixed "
                    + "for a lake's life, set it to what the lake began with")
        }
        if found.replicas > wanted.replicas {
            conflicts.append(
                "it has \(found.replicas) replicas and the configuration says \(wanted.replicas): set "
                    + "`stream.replicas` to \(found.replicas), or lower it by hand")
        }
        if found.maxBytes > wanted.maxBytes {
            conflicts.append(
                "it may hold \(found.maxBytes) bytes and the configuration says \(wanted.maxBytes): set "
                    + "`stream.max_bytes` to at least \(found.maxBytes), or lower it by hand")
        }
        guard conflicts.isEmpty else { return .conflict(conflicts) }
        var next = found
        var changed: [String] = []
        func raise<Value: Equatable>(_ name: String, _ path: WritableKeyPath<StreamSettings, Value>) {
            guard next[keyPath: path] != wanted[keyPath: path] else { return }
            next[keyPath: path] = wanted[keyPath: path]
            changed.append(name)
        }
        // A stream from before streams were marked.
        if wanted.owner != nil { raise("owner", \.owner) }
        raise("num_replicas", \.replicas)
        raise("max_bytes", \.maxBytes)
        raise("discard", \.discard)
        raise("max_age", \.maxAge)
        raise("max_msgs", \.maxMessages)
        raise("max_msgs_per_subject", \.maxMessagesPerSubject)
        raise("allow_direct", \.allowsDirectReads)
        raise("deny_delete", \.deniesDelete)
        if found.maxMessageBytes != -1, found.maxMessageBytes < wanted.maxMessageBytes {
            raise("max_msg_size", \.maxMessageBytes)
        }
        if found.duplicateWindow < wanted.duplicateWindow { raise("duplicate_window", \.duplicateWindow) }
        return changed.isEmpty ? .agrees : .update(next, changed: changed)
    }
}

package struct StreamState: Decodable, Equatable, Sendable {
    package var messages: UInt64
    package var bytes: UInt64
    package var firstSequence: UInt64
    package var lastSequence: UInt64
    package var firstTime: String?
    /// Positions between first and last that are gone.
    package var deleted: Int?
    /// Messages by subject, where they were asked for.
    package var subjects: [String: UInt64]?

    enum CodingKeys: String, CodingKey {
        case messages, bytes, subjects
        case firstSequence = "first_seq"
        case lastSequence = "last_seq"
        case firstTime = "first_ts"
        case deleted = "num_deleted"
    }
}

package struct StreamInfo: Decodable, Equatable, Sendable {
    package struct Cluster: Decodable, Equatable, Sendable {
        package struct Replica: Decodable, Equatable, Sendable {
            package var name: String
            package var current: Bool
            package var offline: Bool?
        }

        package var leader: String?
        package var replicas: [Replica]?
    }

    package var config: StreamSettings
    /// Another time is another stream, even under the same name.
    package var created: String
    package var state: StreamState
    package var cluster: Cluster?
}
