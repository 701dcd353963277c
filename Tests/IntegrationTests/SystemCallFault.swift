// A running process whose system calls are made slow or fail, and what a station's relay says of its buffer.

import Foundation
import Glibc
import HTTPClient
import System
import Testing
import TestSupport

/// What cancels a test. (`try Test.cancel` in a class's init is an error to this compiler.)
private func skipped(_ reason: String) -> any Error {
    do {
        try Test.cancel("\(reason)")
    } catch {
        return error
    }
}

/// The system calls of a running process made slow or failing for a while.
final class SystemCallFault {
    private let strace: ChildProcess
    private let logPath: String

    static let executable = "/usr/bin/strace"
    /// Cancels the test where strace is missing or may not attach.
    init(_ process: Int32, inject: [String], folder: String) throws {
        guard FileSystem.isExecutable(Self.executable) else {
            throw skipped("strace is missing, so no fault can be injected into a real process")
        }
        logPath = "\(folder)/strace-\(UInt32.random(in: 0 ... .max)).log"
        let names = inject.compactMap { $0.split(separator: ":").first.map(String.init) }.joined(separator: ",")
        var configuration = ChildProcess.Configuration(
            executable: Self.executable,
            arguments: ["-f", "-p", "\(process)", "-e", "trace=\(names)", "-o", "/dev/null"]
                + inject.flatMap { ["-e", "inject=\($0)"] })
        configuration.standardError = .file(logPath)
        strace = try ChildProcess(configuration)
        let path = logPath
        let isAttached = eventually(within: 10) {
            ((try? String(contentsOfFile: path, encoding: .utf8)) ?? "").contains("attached")
        }
        guard isAttached, strace.isRunning else {
            throw skipped("strace may not attach to a process here")
        }
    }

    /// Lets the process go on undisturbed.
    func end() {
        strace.kill(SIGINT)
        _ = try? strace.wait(timeoutSeconds: 60)
    }

    deinit { end() }
}

extension Station {
    var relayData: String { "\(folder)/relay-0" }

    func status() throws -> [String: Any] { try json(relay, "/v1/status") }
    /// For a failed expectation's comment.
    var statusText: String { (try? status()).map { "\($0)" } ?? "no status" }
    func buffer() throws -> [String: Any] { try #require(try status()["buffer"] as? [String: Any]) }
    func counters() throws -> [String: Int] { try #require(try status()["counters"] as? [String: Int]) }

    func metric(_ name: String) throws -> Double? {
        let answer = try HTTPClient().perform(HTTPClientRequest(url: relay.address + "/metrics"))
        let line = String(decoding: answer.body, as: UTF8.self).split(separator: "\n").first {
            $0.hasPrefix(name + " ")
        }
        return line.flatMap { Double($0.dropFirst(name.count + 1)) }
    }

    /// Posts reports of one drone, numbered from `first` on, and returns the numbers that were acknowledged.
    func post(_ drone: String, from first: Int, count: Int, extraBytes: Int = 0) throws -> [Int] {
        let extra = extraBytes > 0 ? #","note":"\#(String(repeating: "x", count: extraBytes))""# : ""
        let lines = (first..<first + count).map { Requests.report(drone: drone, seq: $0, extra: extra) }
        let answer = try Requests.post(relay, lines.joined(separator: "\n"), type: "application/x-ndjson")
        let results = (Requests.object(answer)["results"] as? [[String: Any]]) ?? []
        return results.filter { ["stored", "duplicate"].contains($0["status"] as? String) }
            .compactMap { $0["seq"] as? Int }
    }
}
