// What is watched while parts of a cluster break: whether relays get rid of their batches, and whether any of them is
// told `archived` for what the committed tables do not hold.

import Foundation
import HTTPClient
import System
import TestSupport

final class ClusterWatch: Sendable {
    private struct State {
        /// By relay.
        var batches: [Int]
        var progressAt: [UInt64]
        var longest: [Double]
        var checks = 0
        var violations: [String] = []
        var isStopping = false
    }

    private let station: ClusterStation
    private let time = SystemTime()
    private let state: Monitor<State>

    init(_ station: ClusterStation) {
        self.station = station
        let count = station.relayURLs.count
        let now = SystemTime().monotonicNanoseconds()
        state = Monitor(
            State(
                batches: Array(repeating: 0, count: count), progressAt: Array(repeating: now, count: count),
                longest: Array(repeating: 0, count: count)))
    }

    var violations: [String] { state.withLock { $0.violations } }
    /// How often what relays were told was held against the tables.
    var checks: Int { state.withLock { $0.checks } }

    func start() -> [WorkerThread] {
        [
            WorkerThread(name: "watch-intake", stackBytes: 4 << 20) { self.watchIntake() },
            WorkerThread(name: "watch-acks", stackBytes: 4 << 20) { self.watchAcknowledgements() },
        ]
    }

    func stop() { state.update { $0.isStopping = true } }
    private func rest(_ seconds: Double) -> Bool {
        state.wait(timeoutSeconds: seconds) { $0.isStopping ? true : nil } != nil
    }

    // MARK: Intake

    private func batches(_ relay: Int) -> Int? {
        (station.json(station.relayURLs[relay] + "/v1/status")?["uplink"] as? [String: Any])?["batches"] as? Int
    }

    private func watchIntake() {
        while !rest(0.1) {
            for relay in station.relayURLs.indices {
                let batches = batches(relay)
                let now = time.monotonicNanoseconds()
                state.withLock { state in
                    let pause = Double(now - state.progressAt[relay]) / 1e9
                    state.longest[relay] = max(state.longest[relay], pause)
                    guard let batches, batches > state.batches[relay] else { return }
                    state.batches[relay] = batches
                    state.progressAt[relay] = now
                }
            }
        }
    }

    /// From now on.
    func measurePauses() {
        let now = time.monotonicNanoseconds()
        state.withLock { state in
            for relay in state.longest.indices { (state.longest[relay], state.progressAt[relay]) = (0, now) }
        }
    }

    /// For how long, at most, a relay had no batch acknowledged since `measurePauses`.
    var longestPause: Double { state.withLock { $0.longest.max() ?? 0 } }

    /// Every relay has had a batch acknowledged since then.
    func hasProgress(since moment: UInt64) -> Bool { state.withLock { $0.progressAt.allSatisfy { $0 > moment } } }

    // MARK: Promises

    private func watchAcknowledgements() {
        var turn = 0
        while !rest(0.7) {
            turn += 1
            for relay in station.relayURLs.indices { check(relay, askingNode: turn % station.intakeURLs.count) }
        }
    }

    /// Asks what a relay is told, then what the tables hold: they only grow, so they must hold at least that (I4).
    func check(_ relay: Int, askingNode node: Int) {
        let relayID = "north-\(relay)"
        guard let epoch = station.json(station.relayURLs[relay] + "/v1/status")?["epoch"] as? String,
            let acks = station.json("\(station.intakeURLs[node])/v1/relays/\(relayID)/epochs/\(epoch)/acks"),
            let archived = acks["archived"] as? [[Int]], !archived.isEmpty
        else { return }
        let told = archived.reduce(0) { $0 + $1[1] - $1[0] + 1 }
        let condition = archived.map { "relay_seq BETWEEN \($0[0]) AND \($0[1])" }.joined(separator: " OR ")
        let tables = ["reports", "duplicates", "alerts"].map {
            "SELECT relay_seq FROM \($0) WHERE relay_id = '\(relayID)' AND epoch = '\(epoch)' AND (\(condition))"
        }.joined(separator: " UNION ")
        guard let held = try? station.count("SELECT count(*) AS n FROM (\(tables))") else { return }
        state.withLock { state in
            state.checks += 1
            guard held < told else { return }
            state.violations.append(
                "\(relayID) was told by node \(node + 1) that \(told) records are archived, the tables hold \(held)")
        }
    }
}
