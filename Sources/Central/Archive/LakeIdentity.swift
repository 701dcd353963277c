// Which lake this is, and which vault belongs to it: `_columba/lake.json`, written once, by whichever node comes first.
//
// Nodes of a cluster that had different lakes on the same stream would each archive a part of what comes, and each let
// the stream forget what only its own lake has. So the stream is marked with the lake's identity
// (`StreamSettings.owner`), and a node with another one is refused before it reads or writes a message. The vault is
// known by its key: with another key the same person would get another `person_id`, and nobody would notice for months.
//
// A lake that was copied keeps its identity. Who moves a lake removes this file from the old place; then no node can
// start there beside the cluster.

package import ObjectStore
import Crypto
import FoundationEssentials

package struct LakeIdentity: Codable, Hashable, Sendable {
    package static let key = "_columba/lake.json"
    private static let newestFormat = 1
    private static let markBytes = 16

    package var format = Self.newestFormat
    /// Random hexadecimal digits.
    package var id: String
    /// What is known of the vault's key: enough to recognise it, of no use for finding it.
    package var vault: String

    /// What the lake says; says it, where nothing is said yet. For every node of a cluster, before anything else.
    /// Throws where this is not the lake's vault, and has then written nothing into it.
    package static func open(lake: any ObjectStore, vault: any ObjectStore) throws -> LakeIdentity {
        if try read(from: lake) == nil {
            let made = LakeIdentity(
                id: Random.hex(bytes: markBytes), vault: mark(try PseudonymKey.load(vault: vault)))
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys]
            _ = try lake.putIfAbsent(key, Array(try encoder.encode(made)) + [0x0a])
        }
        // Whoever was first: what is there now is what counts.
        guard let found = try read(from: lake) else {
            throw ArchiveError.damagedLog(key: key, detail: "it was written and is not there")
        }
        let own = try PseudonymKey.find(vault: vault).map(mark)
        guard own == found.vault else {
            let what = own == nil ? "missing" : "another"
            throw ArchiveError.wrongCluster(
                detail: "`vault` is not this lake's: \(PseudonymKey.name) in it is \(what), "
                    + "and persons would get other identities; set `lake` and `vault` as on the other nodes, or put "
                    + "the key back from its backup")
        }
        return found
    }

    /// nil while no cluster has written to the lake.
    package static func read(from lake: any ObjectStore) throws -> LakeIdentity? {
        guard let bytes = try lake.get(key) else { return nil }
        guard let found = try? JSONDecoder().decode(LakeIdentity.self, from: Data(bytes)), !found.id.isEmpty else {
            throw ArchiveError.wrongCluster(
                detail: "\(key) does not say which lake this is; put it back from a backup of the lake")
        }
        guard found.format <= newestFormat else {
            throw ArchiveError.wrongCluster(detail: "\(key) is of a newer version of Columba; update this node")
        }
        return found
    }

    private static func mark(_ key: [UInt8]) -> String {
        String(HMACSHA256(key: key).authenticate("which vault this is").hex.prefix(2 * markBytes))
    }

    private init(id: String, vault: String) {
        self.id = id
        self.vault = vault
    }
}
