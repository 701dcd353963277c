// A cluster's vault in memory with nodes that share its quarantine, and what is in it, read the plain way.

import Central
import FoundationEssentials
import Log
import Models
import ObjectStore
import SyncProtocol
import Synchronization
import System

final class QuarantineVault: Sendable {
    let store = FaultyStore()
    let time = ManualTime()
    let directory: String

    init() throws {
        directory = try FileSystem.makeTemporaryDirectory(prefix: "columba-quarantine")
        time.setWall(microseconds: ArchiveFixture.start)
    }

    deinit { try? FileSystem.removeTree(directory) }

    var now: Timestamp { Timestamp(microseconds: time.wallMicroseconds()) }

    func node(
        _ name: String, onArchived: @escaping @Sendable (QuarantinedRecord) -> Void = { _ in }
    ) throws -> SharedQuarantine {
        try SharedQuarantine(
            vault: store, indexPath: "\(directory)/\(name).db", time: time, log: Log(component: "test", sink: .none),
            onArchived: onArchived)
    }

    func forgetIndex(_ name: String) throws {
        for suffix in ["", "-wal", "-shm"] where FileSystem.exists("\(directory)/\(name).db\(suffix)") {
            try FileSystem.remove("\(directory)/\(name).db\(suffix)")
        }
    }

    // MARK: Records

    static func text(_ number: Int) -> [UInt8] { Array(#"{"n":\#(number),"secret":"Ada \#(number)"}"#.utf8) }

    static func entry(_ number: Int, at position: Int64, receivedAt: Int64? = nil) -> QuarantineEntry {
        QuarantineEntry(
            relayID: number % 2 == 0 ? "north-3" : "south-1", epoch: ArchiveFixture.epoch, n: Int64(number),
            position: position, code: "missing_field",
            receivedAt: Timestamp(microseconds: receivedAt ?? ArchiveFixture.start + Int64(number)),
            line: text(number))
    }

    static func id(_ number: Int) -> String { entry(number, at: 1).id ?? "" }

    /// As an archiver's commit leaves it.
    func archiverWrites(_ numbers: [Int], from first: Int64, to last: Int64) {
        var content: [UInt8] = []
        for number in numbers { content += Self.json(Self.entry(number, at: first)) }
        store.write("\(QuarantineFiles.folder)/p00-\(first)-\(last).ndjson", content)
    }

    static func json(_ entry: QuarantineEntry) -> [UInt8] {
        let line = Data(entry.line ?? []).base64EncodedString()
        return Array(
            (#"{"id":"\#(entry.id ?? "")","relay_id":"\#(entry.relayID)","epoch":"\#(entry.epoch)","#
                + #""n":\#(entry.n ?? 0),"position":\#(entry.position ?? 0),"code":"\#(entry.code)","#
                + #""received_at_us":\#(entry.receivedAt.microseconds),"bytes":\#(entry.bytes),"#
                + #""line_base64":"\#(line)"}"# + "\n").utf8)
    }

    // MARK: The plain truth

    private struct Line: Decodable {
        var id: String?
        var n: Int64?
        var line_base64: String?
    }

    private struct Decided: Decodable {
        var state: String
        var by: String?
    }

    private func lines() -> [(key: String, line: Line)] {
        store.keys.filter { $0.hasPrefix(QuarantineFiles.folder + "/") }.flatMap { key in
            store.bytes(key).split(separator: 0x0a).compactMap { text in
                (try? JSONDecoder().decode(Line.self, from: Data(text))).map { (key, $0) }
            }
        }
    }

    /// Ids of the records whose bytes are somewhere.
    var withBytes: Set<String> { Set(lines().filter { $0.line.line_base64 != nil }.compactMap(\.line.id)) }
    /// All of which anything is left.
    var known: Set<String> { Set(lines().compactMap(\.line.id)) }
    /// What a start without logs learns of settled numbers.
    var numbers: Set<Int64> { Set(lines().compactMap(\.line.n)) }

    /// Each record's states, one after the other.
    var chains: [String: [String]] {
        var steps: [String: [(Int, String)]] = [:]
        for key in store.keys where key.hasPrefix(QuarantineDecision.folder + "/") {
            let name = key.dropFirst(QuarantineDecision.folder.count + 1).split(separator: ".")
            guard name.count == 3, let step = Int(name[1]),
                let decided = try? JSONDecoder().decode(Decided.self, from: Data(store.bytes(key)))
            else { continue }
            steps[String(name[0]), default: []].append((step, decided.state))
        }
        return steps.mapValues { $0.sorted { $0.0 < $1.0 }.map(\.1) }
    }

    func state(_ id: String) -> String { chains[id]?.last ?? "waiting" }
}

extension SharedQuarantine {
    func all() throws -> [QuarantinedRecord] {
        try list(states: Set(QuarantinedRecord.State.allCases), relayID: nil, after: nil, limit: 1_000)
    }

    func states() throws -> [String: String] {
        Dictionary(uniqueKeysWithValues: try all().map { ($0.id, $0.state.rawValue) })
    }
}

/// What an archiver tells of a record that was tried again.
func retryCommit(_ outcome: RetryOutcome?) -> ArchiveCommit {
    ArchiveCommit(position: 1, version: 1, retry: outcome)
}
