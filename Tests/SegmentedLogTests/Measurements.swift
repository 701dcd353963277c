// Measures appends: COLUMBA_MEASURE=1 swift test -c release --filter Measurements. The figures chose the page size.

import Glibc
import SegmentedLog
import System
import Testing

@Suite(.enabled(if: Environment.variable("COLUMBA_MEASURE") != nil), .serialized) struct Measurements {
    @Test("append throughput and latency by group and page size")
    func appends() throws {
        let seconds = Environment.variable("COLUMBA_MEASURE").flatMap { Double($0) } ?? 1
        let pages = Environment.variable("COLUMBA_PAGES").map { $0.split(separator: ",").compactMap { Int($0) } }
        let groups = Environment.variable("COLUMBA_GROUPS").map { $0.split(separator: ",").compactMap { Int($0) } }
        for pageBytes in pages ?? [4_096, 8_192, 16_384, 32_768] {
            for group in groups ?? [1, 8, 64, 512] { try measure(pageBytes, group, seconds) }
        }
    }

    private func measure(_ pageBytes: Int, _ group: Int, _ seconds: Double) throws {
        let root = try FileSystem.makeTemporaryDirectory(prefix: "columba-measure")
        defer { try? FileSystem.removeTree(root) }
        let log = try SegmentedLog(
            directory: root + "/log", configuration: SegmentedLog.Configuration(pageBytes: pageBytes)
        ) { say("\($0)") }
        defer { log.close() }
        let payload = (0..<1_400).map { UInt8(truncatingIfNeeded: $0 * 7) }
        let header = [UInt8](repeating: 0x42, count: 100)
        var latencies: [UInt64] = []
        let clock = SystemTime()
        let cpu = Environment.cpuSeconds
        let start = clock.monotonicNanoseconds()
        let end = start + UInt64(seconds * 1e9)
        var most = 0
        try header.withUnsafeBytes { header in
            try payload.withUnsafeBytes { payload in
                let entries = [NewLogEntry](
                    repeating: NewLogEntry(timeMicroseconds: 1, kind: 1, header: header, payload: payload),
                    count: group)
                var before = start
                while before < end {
                    let appended = try log.append(entries)
                    #expect(appended.count == group)
                    let after = clock.monotonicNanoseconds()
                    latencies.append(after - before)
                    before = after
                    if latencies.count % 64 == 0 { most = max(most, log.totalBytes) }
                    // Keep the disk from filling, as a forwarder does.
                    if let first = log.segments.first, log.segments.count > 12, first.sealed {
                        try log.release(segmentStartingAt: first.firstPosition)
                    }
                }
            }
        }
        let elapsed = Double(clock.monotonicNanoseconds() - start) / 1e9
        let used = Environment.cpuSeconds - cpu
        latencies.sort()
        let at = { (part: Double) in
            Double(latencies[min(latencies.count - 1, Int(Double(latencies.count) * part))]) / 1e6
        }
        say(
            "page \(pageBytes) group \(group): \(Int(Double(latencies.count * group) / elapsed)) entries/s,"
                + " ms p50 \(rounded(at(0.5))) p99 \(rounded(at(0.99))) p99.9 \(rounded(at(0.999)))"
                + " max \(rounded(at(1))), cpu \(rounded(used / elapsed)), segments to \(most >> 20) MiB")
    }

    private func rounded(_ value: Double) -> Double { (value * 1_000).rounded() / 1_000 }

    private func say(_ text: String) {
        let line = Array("\(text)\n".utf8)
        _ = write(STDERR_FILENO, line, line.count)
    }
}
