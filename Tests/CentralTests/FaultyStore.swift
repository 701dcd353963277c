// An object store in memory whose k-th request fails, before it does anything or after it has done it, and with it
// every further one until the process that asks is another one.

import Central
import ObjectStore
import Synchronization

final class FaultyStore: ObjectStore {
    struct Fault: Error {}

    private struct State {
        var objects: [String: ObjectInfo] = [:]
        var bytes: [String: [UInt8]] = [:]
        var writes: Int64 = 0
        var calls = 0
        var failing: (call: Int, afterwards: Bool)?
        var isDead = false
        /// Each request by itself, with this chance in 1,000; the answers come from a sequence of our own.
        var chance: UInt64 = 0
        var random: UInt64 = 1
    }

    private let state = Mutex(State())
    private let interposed = Mutex<(@Sendable () -> Void)?>(nil)

    /// Runs this once, right before the next decision is written.
    func beforeNextDecision(_ body: @escaping @Sendable () -> Void) { interposed.withLock { $0 = body } }

    private func interpose(_ key: String) {
        guard key.hasPrefix(QuarantineDecision.folder) else { return }
        let body = interposed.withLock { interposed in
            defer { interposed = nil }
            return interposed
        }
        body?()
    }

    /// The request with this number, counted from now, fails and all later ones; nil: none.
    func fail(atCall call: Int?, afterwards: Bool = false) {
        state.withLock { state in
            state.failing = call.map { (state.calls + $0, afterwards) }
            state.isDead = false
        }
    }

    func setFaults(perThousand chance: UInt64, seed: UInt64) {
        state.withLock { ($0.chance, $0.random) = (chance, seed | 1) }
    }

    /// Whether the fault that was armed has happened.
    var hasFailed: Bool { state.withLock { $0.isDead } }

    private func request<Result>(_ body: (inout State) -> Result) throws -> Result {
        try state.withLock { state in
            state.calls += 1
            guard !state.isDead else { throw Fault() }
            var mode: Bool?
            if let failing = state.failing, failing.call == state.calls {
                mode = failing.afterwards
                state.isDead = true
            } else if state.chance > 0 {
                state.random = state.random &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                if (state.random >> 33) % 1_000 < state.chance { mode = state.random >> 63 == 1 }
            }
            if mode == false { throw Fault() }
            let result = body(&state)
            if mode == true { throw Fault() }
            return result
        }
    }

    private static func write(_ key: String, _ bytes: [UInt8], _ state: inout State) {
        state.writes += 1
        state.bytes[key] = bytes
        state.objects[key] = ObjectInfo(key: key, bytes: bytes.count, modifiedMicroseconds: state.writes)
    }

    func put(_ key: String, _ bytes: [UInt8]) throws {
        interpose(key)
        try request { Self.write(key, bytes, &$0) }
    }

    func putIfAbsent(_ key: String, _ bytes: [UInt8]) throws -> Bool {
        interpose(key)
        return try request { state in
            guard state.objects[key] == nil else { return false }
            Self.write(key, bytes, &state)
            return true
        }
    }

    func putFile(_ key: String, fromPath path: String) throws { preconditionFailure("no files in here") }
    func get(_ key: String) throws -> [UInt8]? { try request { $0.bytes[key] } }

    func list(_ prefix: String) throws -> [ObjectInfo] {
        try request { state in
            state.objects.values.filter { $0.key.hasPrefix(prefix + "/") }.sorted { $0.key < $1.key }
        }
    }

    func remove(_ key: String) throws {
        try request { state in
            state.objects[key] = nil
            state.bytes[key] = nil
        }
    }

    func localPath(_ key: String) -> String? { nil }

    // MARK: What is there, without asking

    var keys: [String] { state.withLock { $0.objects.keys.sorted() } }
    func bytes(_ key: String) -> [UInt8] { state.withLock { $0.bytes[key] ?? [] } }
    func write(_ key: String, _ bytes: [UInt8]) { state.withLock { Self.write(key, bytes, &$0) } }
}
