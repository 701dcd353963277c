// Which lake, and which vault: said once, and every node holds its own against it.

import Central
import FoundationEssentials
import ObjectStore
import Synchronization
import System
import Testing

@Suite("a lake's identity")
struct LakeIdentityTests {
    private final class Folders {
        let directory: String

        init() throws { directory = try FileSystem.makeTemporaryDirectory(prefix: "columba-identity") }

        deinit { try? FileSystem.removeTree(directory) }

        func store(_ name: String) throws -> LocalObjectStore {
            try LocalObjectStore(directory: "\(directory)/\(name)")
        }
    }

    private func refusal(_ lake: any ObjectStore, _ vault: any ObjectStore) -> String {
        do {
            _ = try LakeIdentity.open(lake: lake, vault: vault)
            return ""
        } catch {
            return "\(error)"
        }
    }

    @Test("of many nodes that begin together one says which lake it is, and all of them hear the same, ever after")
    func once() throws {
        let folders = try Folders()
        let (lake, vault) = (try folders.store("lake"), try folders.store("vault"))
        let found = Mutex([LakeIdentity?]())
        let gate = Monitor(false)
        let threads = (0..<8).map { index in
            WorkerThread(name: "node-\(index)") {
                _ = gate.wait { $0 ? true : nil }
                let identity = try? LakeIdentity.open(lake: lake, vault: vault)
                found.withLock { $0.append(identity) }
            }
        }
        gate.update { $0 = true }
        for thread in threads { thread.join() }
        let all = found.withLock { $0 }
        #expect(Set(all).count == 1 && all.count == 8)
        let identity = try #require(all.first ?? nil)
        #expect(identity.id.count == 32 && identity.vault.count == 32)
        #expect(try LakeIdentity.open(lake: lake, vault: vault) == identity)
        // Another lake is another one, also with the same vault.
        #expect(try LakeIdentity.open(lake: try folders.store("other"), vault: vault).id != identity.id)
        // The key itself is not in it.
        let key = String(decoding: try #require(try vault.get("pseudonym.key")), as: UTF8.self)
        #expect(!key.contains(identity.vault))
    }

    @Test("another vault, an empty one, and a vault whose key was lost or replaced are refused, and nothing is written")
    func vaults() throws {
        let folders = try Folders()
        let (lake, vault) = (try folders.store("lake"), try folders.store("vault"))
        _ = try LakeIdentity.open(lake: lake, vault: vault)
        let other = try folders.store("other-vault")
        _ = try LakeIdentity.open(lake: try folders.store("other-lake"), vault: other)
        let said = refusal(lake, other)
        #expect(said.contains("`vault`") && said.contains("is another"), "\(said)")

        let empty = try folders.store("empty")
        #expect(refusal(lake, empty).contains("is missing"))
        #expect(try empty.list("").isEmpty)

        let key = try #require(try vault.get("pseudonym.key"))
        try vault.remove("pseudonym.key")
        #expect(refusal(lake, vault).contains("is missing") && refusal(lake, vault).contains("backup"))
        try vault.put("pseudonym.key", Array(String(repeating: "5a", count: 32).utf8))
        #expect(refusal(lake, vault).contains("is another"))
        try vault.put("pseudonym.key", key)
        #expect(refusal(lake, vault) == "")
    }

    @Test("a file that says nothing, or comes from a newer version, is no identity", arguments: ["", "{}", "newer"])
    func unreadable(text: String) throws {
        let folders = try Folders()
        let (lake, vault) = (try folders.store("lake"), try folders.store("vault"))
        _ = try LakeIdentity.open(lake: lake, vault: vault)
        let bytes = try #require(try lake.get(LakeIdentity.key))
        let newer = String(decoding: bytes, as: UTF8.self).replacing("\"format\":1", with: "\"format\":2")
        try lake.put(LakeIdentity.key, Array((text == "newer" ? newer : text).utf8))
        #expect(refusal(lake, vault).contains(text == "newer" ? "newer version" : LakeIdentity.key))
    }
}
