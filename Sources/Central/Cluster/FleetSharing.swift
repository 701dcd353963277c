// What one node hears and decides about relays, and the others should know: relays' reports about themselves, what is
// to be remembered of earlier ones, incidents that a person closes and their closing, retirements (`FleetWord`), and
// rule sets. A thread takes over what other nodes wrote to the board and writes what is new here.
//
//   heard first-hand ─▶ FleetKeeper ─▶ words ─▶ board (a bucket of NATS') ─▶ every other node's FleetKeeper
//
// Nobody owns a word and nothing is locked: two words on the same thing merge by a maximum, and a node that finds an
// older one on the board than its own puts its own again. So the order of writes, a lost one, an older copy read do no
// harm; when all have read all, all know the same. A node writes down locally what it decides before it is told; while
// the board cannot be reached it goes on alone, and tells when it can.
//
// The board holds everything a new node must know, and each node's `fleet.db` all that it has seen of it: a node may
// lose its file, or the board all its entries, and nothing is lost. What came after the position that was read last is
// read, so a quiet fleet costs one small request each look.

import FoundationEssentials
package import Log
package import Models
import NATS
package import SyncProtocol
import Synchronization
import System

package final class FleetSharing: Sendable {
    private static let secondsBetweenLooks = 3.0
    private static let retrySeconds = 1.0
    /// A relay with more to tell (tens of thousands of separate gaps) is known in full by the node it tells.
    private static let maxWordBytes = 400 << 10

    private struct State {
        /// By key; of each only the newest.
        var untold: [String: FleetWord] = [:]
        var own: [String: RelayReport] = [:]
        var position: KeyValuePosition?
        var wantsLook = false
        var isStopping = false
        var trouble = false
    }

    private struct SharedRules: Codable {
        var message: RulesMessage
        var putAtMicroseconds: Int64

        init(_ rules: FleetStore.StoredRules) {
            message = rules.message
            putAtMicroseconds = rules.putAt.microseconds
        }

        var stored: FleetStore.StoredRules {
            FleetStore.StoredRules(message: message, putAt: Timestamp(microseconds: putAtMicroseconds))
        }
    }

    private let board: any ClusterBoard
    private let log: Log
    private let state = Monitor(State())

    /// Who tells what, and wants to know what other nodes told.
    package struct Listener: Sendable {
        /// Another node's word, or this one's of an earlier life. Returns what should stand in its place, if anything.
        package var adopt: @Sendable (FleetWord) -> FleetWord?
        /// What changed here since the last call; `all`: everything that other nodes should know.
        package var words: @Sendable (_ all: Bool) -> [FleetWord]
        /// Put at another node, or at this one in an earlier life.
        package var rules: @Sendable (FleetStore.StoredRules) -> Void
        /// Every rule set that is known here.
        package var ruleSets: @Sendable () -> [FleetStore.StoredRules]

        package init(
            adopt: @escaping @Sendable (FleetWord) -> FleetWord?,
            words: @escaping @Sendable (_ all: Bool) -> [FleetWord],
            rules: @escaping @Sendable (FleetStore.StoredRules) -> Void,
            ruleSets: @escaping @Sendable () -> [FleetStore.StoredRules]
        ) {
            self.adopt = adopt
            self.words = words
            self.rules = rules
            self.ruleSets = ruleSets
        }
    }

    package init(board: any ClusterBoard, log: Log) {
        self.board = board
        self.log = log
    }

    /// A relay has told this node. Returns at once.
    package func tell(_ report: RelayReport, heardAt: Timestamp) {
        let word = FleetWord.report(report, heardAt: heardAt)
        state.update { state in
            state.untold[word.key] = word
            state.own[report.relayID] = report
        }
    }

    /// There is something to tell: look soon. Returns at once.
    package func wake() { state.update { $0.wantsLook = true } }

    /// Before a rule set counts as put: on the board when it returns.
    package func put(_ rules: FleetStore.StoredRules) throws {
        guard try !putIfAbsent(rules) else { return }
        let key = Self.key(rules)
        let there = try board.entries(under: "rules").first { $0.key == key }
        guard there.flatMap(Self.rules)?.message == rules.message else {
            throw Problem(
                status: 409, code: "version_not_higher",
                detail: "Another node was given another rule set with version \(rules.message.version).",
                field: "version")
        }
    }

    private static func key(_ rules: FleetStore.StoredRules) -> String { "rules.\(rules.message.version)" }

    private func putIfAbsent(_ rules: FleetStore.StoredRules) throws -> Bool {
        try board.putIfAbsent(Self.key(rules), [UInt8](try JSONEncoder().encode(SharedRules(rules))))
    }

    private static func rules(_ entry: KeyValueEntry) -> FleetStore.StoredRules? {
        guard entry.key.hasPrefix("rules.") else { return nil }
        return try? JSONDecoder().decode(SharedRules.self, from: Data(entry.value)).stored
    }

    /// The thread's body.
    package func run(_ listener: Listener) {
        while !state.withLock({ $0.isStopping }) {
            let isDone = step(listener)
            // What could not be told does not wake us at once again.
            _ = state.wait(timeoutSeconds: isDone ? Self.secondsBetweenLooks : Self.retrySeconds) { state in
                state.isStopping || isDone && (state.wantsLook || !state.untold.isEmpty) ? true : nil
            }
        }
    }

    package func stop() { state.update { $0.isStopping = true } }

    /// Reads what others wrote, writes what is new. False: the board cannot be reached.
    /// - Parameter isReading: only; a start is not held up by what this node has to tell.
    @discardableResult
    package func step(_ listener: Listener, onlyReads isReading: Bool = false) -> Bool {
        let position = state.withLock { state in
            state.wantsLook = false
            return state.position
        }
        do {
            let news = try board.news(after: position)
            try take(news, listener)
            if !isReading { try tell() }
            state.withLock { $0.trouble = false }
            return true
        } catch {
            let isNews = state.withLock { state in
                defer { state.trouble = true }
                return !state.trouble
            }
            if isNews { log.warning("fleet_not_shared", ["error": .string("\(error)")]) }
            return false
        }
    }

    private func take(_ news: KeyValueNews, _ listener: Listener) throws {
        let words = news.entries.compactMap { FleetWord(key: $0.key, value: $0.value) }
        var newer: [FleetWord] = []
        for word in words.sorted(by: { $0.turn < $1.turn }) where !isOwn(word) {
            let better = listener.adopt(word)
            state.withLock { Self.settle(word, &$0.untold) }
            if let better { newer.append(better) }
        }
        let sets = news.entries.compactMap(Self.rules)
        for rules in sets.sorted(by: { $0.message.version < $1.message.version }) { listener.rules(rules) }
        if news.isWhole {
            let there = Set(sets.map(\.message.version))
            for rules in listener.ruleSets() where !there.contains(rules.message.version) {
                _ = try putIfAbsent(rules)
            }
        }
        let own = listener.words(news.isWhole)
        newer += news.isWhole ? Self.missing(of: own, from: words) : own
        state.withLock { state in
            for word in newer { Self.add(word, to: &state.untold) }
            state.position = news.position
        }
    }

    /// What this node told itself is no news to it.
    private func isOwn(_ word: FleetWord) -> Bool {
        guard case .report(let report, _) = word else { return false }
        return state.withLock { $0.own[report.relayID] == report }
    }

    /// Of this node's words those that the board lacks. (The others have been compared when they were adopted.)
    private static func missing(of own: [FleetWord], from board: [FleetWord]) -> [FleetWord] {
        let there = Dictionary(board.map { ($0.key, $0) }) { $1 }
        return own.filter { word in
            guard let known = there[word.key] else { return true }
            guard case .report(let mine, _) = word, case .report(let theirs, _) = known else { return false }
            return mine.sentAt > theirs.sentAt
        }
    }

    /// What waited to be told while another node told something newer is not told: what is newer still, adopting it
    /// says.
    private static func settle(_ word: FleetWord, _ untold: inout [String: FleetWord]) {
        if case .report(let report, _) = word, case .report(let mine, _) = untold[word.key],
            mine.sentAt > report.sentAt
        {
            return
        }
        untold[word.key] = nil
    }

    /// A report that the relay has told meanwhile is newer than any that was known before.
    private static func add(_ word: FleetWord, to untold: inout [String: FleetWord]) {
        if case .report(let report, _) = word, case .report(let other, _) = untold[word.key],
            other.sentAt >= report.sentAt
        {
            return
        }
        untold[word.key] = word
    }

    private func tell() throws {
        for (key, word) in state.withLock({ $0.untold }).sorted(by: { $0.value.turn < $1.value.turn }) {
            let value = try word.value()
            if value.count <= Self.maxWordBytes {
                try board.put(key, value)
            } else {
                log.warning("report_too_large_to_share", ["key": .string(key), "bytes": .int(value.count)])
            }
            state.withLock { state in
                // A newer word that came meanwhile is still to be told.
                if state.untold[key] == word { state.untold[key] = nil }
            }
        }
    }
}
