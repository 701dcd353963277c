// One thread, one epoll: sends reports when they are due (open loop) or when their connection is free (closed loop).
//
// Open loop counts a report's latency from when it was due, not from when a connection was free for it: a relay that
// stalls for a second is charged for every report that waited (no coordinated omission).
import CHTTPClient
import Glibc
import System

final class LoadGenerator {
    private static let alertsTag = UInt64.max
    private static let graceNanoseconds: UInt64 = 5_000_000_000

    private let options: Options
    private let epoll: Int32
    private var templates: ReportTemplates
    private var connections: [Connection] = []
    private var idle: [Int] = []
    private let alerts: AlertListener?
    private var buffer = [UInt8](repeating: 0, count: 1 << 16)
    private var tags = [UInt64](repeating: 0, count: 256)

    private var latencies = Latencies()
    private var acknowledged = 0
    private var notStored = 0
    private var errors: [String: Int] = [:]
    private var waiting = 0
    private var alertDebt = 0.0
    private var timeText: [UInt8] = []
    private var timeMilliseconds: Int64 = -1

    private var measureFrom: UInt64 = 0
    private var measureUntil: UInt64 = 0

    init(_ options: Options) throws {
        self.options = options
        let boot = "b" + String(UInt64.random(in: 0...0xFFFF_FFFF), radix: 16)
        templates = ReportTemplates(
            host: options.host, port: options.port, citizens: options.citizens, drones: options.drones, boot: boot)
        epoll = chc_poll_create()
        guard epoll >= 0 else { throw SocketFailure(operation: "epoll_create1", number: errno) }
        alerts =
            options.command == .alerts
            ? try AlertListener(host: options.host, port: options.port, boot: boot) : nil
        if let alerts { try watch(alerts.descriptor, LoadGenerator.alertsTag) }
        var tls: UnsafeMutableRawPointer?
        if let files = options.tls {
            tls = chc_tls_context(files.certificate, files.key, files.authorities)
            guard tls != nil else { throw SocketFailure(operation: "read the PEM files", number: EINVAL) }
        }
        for index in 0..<options.connections {
            let connection = try Connection(host: options.host, port: options.port, tls: tls)
            try watch(connection.descriptor, UInt64(index))
            connections.append(connection)
            idle.append(index)
        }
    }

    deinit { close(epoll) }

    private func watch(_ descriptor: Int32, _ tag: UInt64) throws {
        guard chc_poll_add(epoll, descriptor, tag) == 0 else {
            throw SocketFailure(operation: "epoll_ctl", number: errno)
        }
    }

    func run() throws -> Summary {
        let start = Clock.nanoseconds()
        measureFrom = start + UInt64(options.warmupSeconds * 1e9)
        measureUntil = measureFrom + UInt64(options.seconds * 1e9)
        var before: ProcessSample?
        var number = 0
        var now = start
        while now < measureUntil {
            if before == nil, now >= measureFrom { before = sample() }
            var timeout = min(10_000_000, measureUntil - now)
            if let rate = options.rate {
                let due = { (number: Int) in start + UInt64(Double(number) / rate * 1e9) }
                while due(number) <= now, let index = idle.popLast() {
                    try send(on: index, due: due(number))
                    number += 1
                }
                let next = due(number)
                if next > now { timeout = min(timeout, next - now) }
            } else {
                while let index = idle.popLast() { try send(on: index, due: Clock.nanoseconds()) }
            }
            try wait(nanoseconds: timeout)
            now = Clock.nanoseconds()
        }
        let after = sample()
        // What is on its way may still come, uncounted; only an alert that never comes is lost.
        let deadline = now + LoadGenerator.graceNanoseconds
        while waiting > 0 || alerts?.isComplete == false, Clock.nanoseconds() < deadline {
            try wait(nanoseconds: 10_000_000)
        }
        if waiting > 0 { errors["unanswered", default: 0] += waiting }
        return summary(before, after)
    }

    private func sample() -> ProcessSample? { options.processID.flatMap { ProcessSample(processID: $0) } }

    private func summary(_ before: ProcessSample?, _ after: ProcessSample?) -> Summary {
        var process: (cpuSeconds: Double, peakResidentBytes: Int)?
        if let before, let after { process = (after.cpuSeconds - before.cpuSeconds, after.peakResidentBytes) }
        return Summary(
            options: options, bodyBytes: templates.bodyBytes, acknowledged: acknowledged,
            measuredSeconds: options.seconds, latencies: latencies, errors: errors, notStored: notStored,
            alerts: alerts?.result, process: process)
    }

    private func send(on index: Int, due: UInt64) throws {
        updateTime()
        var isAlerting = false
        if alerts != nil {
            alertDebt += options.alertShare
            if alertDebt >= 1 {
                alertDebt -= 1
                isAlerting = options.citizens > 0
            }
        }
        var isSent = false
        let connection = connections[index]
        let identity = templates.next(alerting: isAlerting, time: timeText) {
            isSent = connection.send($0, dueNanoseconds: due)
        }
        waiting += 1
        guard isSent else { return try replace(index, "closed") }
        if isAlerting { alerts?.sent(identity, at: Clock.nanoseconds()) }
    }

    private func wait(nanoseconds: UInt64) throws {
        let count = chc_poll_wait(epoll, &tags, Int32(tags.count), Int64(nanoseconds))
        guard count >= 0 else { throw SocketFailure(operation: "epoll_pwait2", number: errno) }
        for index in 0..<Int(count) {
            let tag = tags[index]
            if tag == LoadGenerator.alertsTag { try readAlerts() } else { try readAnswer(Int(tag)) }
        }
    }

    private func readAlerts() throws {
        let now = Clock.nanoseconds()
        let isOpen = buffer.withUnsafeMutableBytes { alerts?.read(into: $0, nowNanoseconds: now) ?? true }
        guard isOpen else { throw SocketFailure(operation: "the relay ended the alert stream", number: ECONNRESET) }
    }

    private func readAnswer(_ index: Int) throws {
        let connection = connections[index]
        guard connection.flush() else { return try replace(index, "closed") }
        switch buffer.withUnsafeMutableBytes(connection.read) {
        case .incomplete: return
        case .closed: try replace(index, "closed")
        case .answer(let status, let stored):
            waiting -= 1
            let now = Clock.nanoseconds()
            if status != 202 {
                errors["HTTP \(status)", default: 0] += 1
            } else if now >= measureFrom, now < measureUntil {
                acknowledged += 1
                if !stored { notStored += 1 }
                latencies.add(nanoseconds: now - connection.dueNanoseconds)
            }
            if options.rate == nil, now < measureUntil {
                try send(on: index, due: now)
            } else {
                idle.append(index)
            }
        }
    }

    private func replace(_ index: Int, _ reason: String) throws {
        if connections[index].isWaiting {
            waiting -= 1
            errors[reason, default: 0] += 1
        }
        let isIdle = idle.contains(index)
        connections[index] = try Connection(host: options.host, port: options.port)
        try watch(connections[index].descriptor, UInt64(index))
        if !isIdle { idle.append(index) }
    }

    private func updateTime() {
        let milliseconds = Clock.wallMilliseconds()
        guard milliseconds != timeMilliseconds else { return }
        timeMilliseconds = milliseconds
        var seconds = time_t(milliseconds / 1000)
        var parts = tm()
        gmtime_r(&seconds, &parts)
        func padded(_ number: Int, _ width: Int) -> String {
            let digits = String(number)
            return String(repeating: "0", count: max(0, width - digits.count)) + digits
        }
        let days = [(Int(parts.tm_year) + 1900, 4), (Int(parts.tm_mon) + 1, 2), (Int(parts.tm_mday), 2)]
        let date = days.map { padded($0.0, $0.1) }.joined(separator: "-")
        let clock = [parts.tm_hour, parts.tm_min, parts.tm_sec].map { padded(Int($0), 2) }.joined(separator: ":")
        timeText = Array("\(date)T\(clock).\(padded(Int(milliseconds % 1000), 3))Z".utf8)
        precondition(timeText.count == ReportTemplates.timeWidth, "a time fits its place in the template")
    }
}

enum Clock {
    private static let time = SystemTime()

    static func nanoseconds() -> UInt64 { time.monotonicNanoseconds() }
    static func wallMilliseconds() -> Int64 { time.wallMicroseconds() / 1000 }
}
