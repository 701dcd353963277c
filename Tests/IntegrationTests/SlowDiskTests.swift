// The two promises on a disk whose flush takes long: no 202 before it is done (I1), the alert before that (I6). strace
// makes the flush slow; kill -9 alone could hardly show a 202 that comes too early, for the page cache survives it.

import Foundation
import HTTPClient
import Synchronization
import System
import Testing
import TestSupport

@Suite("a disk that takes its time", .serialized)
struct SlowDiskTests {
    static let delaySeconds = 2.0

    @Test("a 202 waits for the flush; the alert does not")
    func order() throws {
        guard let strace = ["/usr/bin/strace", "/bin/strace"].first(where: FileSystem.isExecutable) else {
            try Test.cancel("strace is missing; run make deps")
        }
        let station = try Station()
        defer { station.end() }
        let relay = station.relay
        try relay.start(under: [
            strace, "-f", "-o", "/dev/null", "-e", "trace=fdatasync,fsync", "-e",
            "inject=fdatasync:delay_enter=\(Int(Self.delaySeconds * 1e6))",
        ])
        let time = SystemTime()
        let alertAt = Mutex<UInt64?>(nil)
        let isFollowing = Mutex(false)
        let address = relay.address
        let follower = WorkerThread(name: "follower") {
            _ = try? HTTPClient().stream(
                HTTPClientRequest(url: address + "/v1/alerts/stream", timeoutSeconds: 30)
            ) { bytes in
                isFollowing.withLock { $0 = true }
                guard String(decoding: bytes, as: UTF8.self).contains("event: alert") else { return true }
                alertAt.withLock { $0 = time.monotonicNanoseconds() }
                return false
            }
        }
        try #require(eventually(within: 10) { isFollowing.withLock { $0 } })
        let sentAt = time.monotonicNanoseconds()
        let report = Requests.report(seq: 1, extra: #","citizens":[{"name":"A","peacescore":1}]"#)
        #expect(try Requests.post(relay, report).status == 202)
        let answeredAt = time.monotonicNanoseconds()
        follower.join()
        let alertSeconds = Double(try #require(alertAt.withLock { $0 }) - sentAt) / 1e9
        let answerSeconds = Double(answeredAt - sentAt) / 1e9
        #expect(answerSeconds >= Self.delaySeconds, "answered after \(answerSeconds) s: before the flush was done")
        #expect(alertSeconds < Self.delaySeconds, "the alert took \(alertSeconds) s: it waited for the disk")
    }
}
