// A TCP tunnel to a port of this machine whose first connections are cut after the first bytes.

import Glibc
import Synchronization
import System

package final class CutTunnel: Sendable {
    private struct State {
        var open: [Int32] = []
        var accepted = 0
        var isEnded = false
    }

    package let port: UInt16
    private let target: UInt16
    private let cuts: Int
    private let listener: Int32
    private let state = Mutex(State())
    private let thread = Mutex<WorkerThread?>(nil)

    package init(to target: UInt16, cuttingFirst cuts: Int) throws {
        self.target = target
        self.cuts = cuts
        port = try FreePorts.find(1)[0]
        listener = Loopback.tcpSocket()
        guard Loopback.withAddress(port, { bind(listener, $0, $1) }) == 0, listen(listener, 64) == 0 else {
            throw SystemError(operation: "listen", errno: errno)
        }
        thread.withLock { $0 = WorkerThread(name: "tunnel") { self.run() } }
    }

    package var accepted: Int { state.withLock { $0.accepted } }

    package func end() {
        let open = state.withLock { state in
            state.isEnded = true
            return state.open
        }
        for descriptor in open { shutdown(descriptor, Int32(SHUT_RDWR)) }
        shutdown(listener, Int32(SHUT_RDWR))
        thread.withLock { $0 }?.join()
        close(listener)
    }

    private func run() {
        var threads: [WorkerThread] = []
        while true {
            let client = accept(listener, nil, nil)
            guard client >= 0, !state.withLock({ $0.isEnded }) else {
                if client >= 0 { close(client) }
                break
            }
            let number = state.withLock { state in
                defer { state.accepted += 1 }
                return state.accepted
            }
            guard number >= cuts else {
                var first: UInt8 = 0
                _ = recv(client, &first, 1, 0)
                close(client)
                continue
            }
            let server = Loopback.tcpSocket()
            guard Loopback.connect(server, to: target) else {
                close(client)
                close(server)
                continue
            }
            state.withLock { $0.open += [client, server] }
            threads.append(WorkerThread(name: "tunnel-up") { Self.copy(from: client, to: server) })
            threads.append(WorkerThread(name: "tunnel-down") { Self.copy(from: server, to: client) })
        }
        for thread in threads { thread.join() }
        for descriptor in state.withLock({ $0.open }) { close(descriptor) }
    }

    private static func copy(from source: Int32, to target: Int32) {
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = recv(source, &buffer, buffer.count, 0)
            guard count > 0 else { break }
            var sent = 0
            while sent < count {
                let written = buffer.withUnsafeBytes {
                    send(target, $0.baseAddress.map { $0 + sent }, count - sent, Int32(MSG_NOSIGNAL))
                }
                guard written > 0 else { break }
                sent += written
            }
            guard sent == count else { break }
        }
        // The other direction ends too.
        shutdown(source, Int32(SHUT_RDWR))
        shutdown(target, Int32(SHUT_RDWR))
    }
}
