// A TCP proxy between a relay and central that is as bad as a link can be: slow, gone without a word, refusing, a
// captive portal, an overloaded server. One thread with poll(2); it runs in the test's process.

import Glibc
import Synchronization
import System
import TestSupport

final class BadLink: Sendable {
    enum Weather: Equatable {
        case passing
        /// Bytes stay where they are; connections stay open and new ones are taken: nobody says that anything is wrong.
        case blackhole
        /// Connections that exist now are dead without a word; new ones pass (F64).
        case halfOpen
        /// Answers pass, or are lost on their way: requests reach central (F62).
        case answersLost
        /// All connections are reset, new ones too.
        case refusing
        /// Every request is answered with this.
        case answering(String)
    }

    struct Counters: Equatable { var connections = 0; var requestBytes = 0; var answered = 0 }

    private struct State {
        var weather = Weather.passing
        var bytesPerSecond: Double?
        var counters = Counters()
        var isClosed = false
    }

    /// A connection of the relay and its twin to central.
    private struct Pair {
        let relay: Int32
        let central: Int32?
        var toCentral: [UInt8] = []
        var toRelay: [UInt8] = []
        var isDead = false
        var isOver = false
    }

    let port: UInt16
    private let listener: Int32
    private let centralPort: UInt16
    private let state = Mutex(State())
    private let thread = Mutex<WorkerThread?>(nil)

    init(to centralPort: UInt16) throws {
        self.centralPort = centralPort
        port = try FreePorts.find(1)[0]
        listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var on: Int32 = 1
        setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<Int32>.size))
        guard Loopback.withAddress(port, { bind(listener, $0, $1) }) == 0, listen(listener, 64) == 0 else {
            throw SystemError(operation: "listen", errno: errno)
        }
        thread.withLock { $0 = WorkerThread(name: "bad-link") { self.run() } }
    }

    var address: String { "http://127.0.0.1:\(port)" }
    var counters: Counters { state.withLock { $0.counters } }
    var weather: Weather {
        get { state.withLock { $0.weather } }
        set { state.withLock { $0.weather = newValue } }
    }

    func limit(bytesPerSecond: Double?) { state.withLock { $0.bytesPerSecond = bytesPerSecond } }

    func end() {
        state.withLock { $0.isClosed = true }
        thread.withLock { $0 }?.join()
        close(listener)
    }

    // MARK: The thread

    private func run() {
        var pairs: [Pair] = []
        var last = Weather.passing
        var allowance = 0.0
        var before = SystemTime().monotonicNanoseconds()
        while true {
            let (weather, rate, isClosed) = state.withLock { ($0.weather, $0.bytesPerSecond, $0.isClosed) }
            if isClosed { break }
            if weather == .halfOpen, last != .halfOpen { for index in pairs.indices { pairs[index].isDead = true } }
            last = weather
            wait(pairs)
            let now = SystemTime().monotonicNanoseconds()
            if let rate { allowance = min(rate / 10, allowance + Double(now - before) / 1e9 * rate) }
            before = now
            accept(&pairs, weather)
            for index in pairs.indices {
                var budget = rate == nil ? Int.max : Int(allowance)
                let given = budget
                move(&pairs[index], weather, &budget)
                if rate != nil { allowance -= Double(given - budget) }
            }
            pairs.filter(\.isOver).forEach(Self.end)
            pairs.removeAll { $0.isOver }
        }
        pairs.forEach(Self.end)
    }

    private func wait(_ pairs: [Pair]) {
        var polled = [pollfd(fd: listener, events: Int16(POLLIN), revents: 0)]
        for pair in pairs where !pair.isDead {
            for socket in [pair.relay, pair.central].compactMap({ $0 }) {
                polled.append(pollfd(fd: socket, events: Int16(POLLIN), revents: 0))
            }
        }
        // A stalled link would keep poll from waiting: a few milliseconds either way.
        if poll(&polled, nfds_t(polled.count), 5) > 0 { poll(nil, 0, 1) }
    }

    private func accept(_ pairs: inout [Pair], _ weather: Weather) {
        var ready = pollfd(fd: listener, events: Int16(POLLIN), revents: 0)
        guard poll(&ready, 1, 0) > 0 else { return }
        let relay = Glibc.accept(listener, nil, nil)
        guard relay >= 0 else { return }
        state.withLock { $0.counters.connections += 1 }
        if weather == .refusing { return Self.reset(relay) }
        var pair = Pair(relay: relay, central: nil)
        if case .answering = weather {
        } else {
            let central = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
            guard Loopback.withAddress(centralPort, { connect(central, $0, $1) }) == 0 else {
                close(central)
                return Self.reset(relay)
            }
            pair = Pair(relay: relay, central: central)
        }
        pairs.append(pair)
    }

    private func move(_ pair: inout Pair, _ weather: Weather, _ budget: inout Int) {
        if pair.isDead || weather == .blackhole { return }
        if weather == .refusing {
            pair.isOver = true
            return
        }
        let fromRelay = receive(&pair, pair.relay, budget)
        budget -= fromRelay.count
        state.withLock { $0.counters.requestBytes += fromRelay.count }
        if case .answering(let answer) = weather {
            if !fromRelay.isEmpty {
                state.withLock { $0.counters.answered += 1 }
                pair.toRelay = Array(answer.utf8)
                send(&pair.toRelay, pair.relay)
                pair.isOver = true
            }
            return
        }
        guard let central = pair.central else { return pair.isOver = true }
        pair.toCentral += fromRelay
        send(&pair.toCentral, central)
        let fromCentral = receive(&pair, central, budget)
        budget -= fromCentral.count
        if weather != .answersLost { pair.toRelay += fromCentral }
        send(&pair.toRelay, pair.relay)
    }

    private func receive(_ pair: inout Pair, _ socket: Int32, _ budget: Int) -> [UInt8] {
        guard budget > 0 else { return [] }
        var buffer = [UInt8](repeating: 0, count: min(65_536, budget))
        let count = recv(socket, &buffer, buffer.count, Int32(MSG_DONTWAIT))
        if count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR) { pair.isOver = true }
        return count > 0 ? Array(buffer[..<count]) : []
    }

    private func send(_ bytes: inout [UInt8], _ socket: Int32) {
        guard !bytes.isEmpty else { return }
        let count = Glibc.send(socket, bytes, bytes.count, Int32(MSG_DONTWAIT | MSG_NOSIGNAL))
        if count > 0 { bytes.removeFirst(count) }
    }

    private static func end(_ pair: Pair) {
        close(pair.relay)
        if let central = pair.central { close(central) }
    }

    private static func reset(_ socket: Int32) {
        var option = linger(l_onoff: 1, l_linger: 0)
        setsockopt(socket, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
        close(socket)
    }
}
