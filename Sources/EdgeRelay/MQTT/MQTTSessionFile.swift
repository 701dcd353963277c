// Keeps the names of MQTT sessions across the relay's own restarts, in `mqtt-sessions.json` of its data directory. A
// cache: without it an MQTT 5 client that was cut off by a crash of the relay is told that its session is gone, and may
// drop what it published and nobody acknowledged. Written by a thread of its own, at most once a second.

import FoundationEssentials
import Log
import MQTTServer
import System

final class MQTTSessionFile: Sendable {
    private struct Stored: Codable {
        let identity: String?
        let identifier: String
        let expirySeconds: UInt32
    }

    private struct Wish {
        var isDirty = false
        var isStopped = false
    }

    private static let pauseSeconds = 1.0
    /// A file beyond this is not one of ours.
    private static let maxBytes = 16 << 20

    let book: MQTTSessionBook
    private let path: String
    private let time: any TimeSource
    private let log: Log
    private let wish: Monitor<Wish>

    init(path: String, time: any TimeSource, log: Log) {
        let wish = Monitor(Wish())
        self.path = path
        self.time = time
        self.log = log
        self.wish = wish
        var kept: [MQTTSessionBook.Client: UInt32] = [:]
        if FileSystem.exists(path) {
            do {
                guard FileSystem.fileSize(path) ?? 0 <= Self.maxBytes else {
                    throw SystemError(operation: "read", path: path, errno: 27)
                }
                for one in try JSONDecoder().decode([Stored].self, from: Data(try FileSystem.read(path))) {
                    kept[.init(identity: one.identity, identifier: one.identifier)] = one.expirySeconds
                }
            } catch {
                log.warning("mqtt_sessions_unreadable", ["error": .string("\(error)")])
            }
        }
        book = MQTTSessionBook(kept: kept, at: time.monotonicNanoseconds()) { wish.update { $0.isDirty = true } }
    }

    func start() -> WorkerThread {
        WorkerThread(name: "mqtt-sessions") { [self] in
            while true {
                let isStopped = wish.wait { wish -> Bool? in
                    defer { wish.isDirty = false }
                    return wish.isDirty || wish.isStopped ? wish.isStopped : nil
                }
                save()
                guard isStopped == false else { return }
                _ = wish.wait(timeoutSeconds: Self.pauseSeconds) { $0.isStopped ? true : nil }
            }
        }
    }

    /// Writes what is known now; the thread ends.
    func stop() { wish.update { $0.isStopped = true } }

    private func save() {
        let stored = book.kept(at: time.monotonicNanoseconds()).map {
            Stored(identity: $0.key.identity, identifier: $0.key.identifier, expirySeconds: $0.value)
        }
        do {
            try FileSystem.writeAtomically(path, Array(try JSONEncoder().encode(stored)))
        } catch {
            // The next change tries again; until then a restart costs clients their sessions, not their reports.
            log.warning("mqtt_sessions_not_saved", ["error": .string("\(error)")])
        }
    }
}
