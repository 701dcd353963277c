// Measures the start of a relay whose buffer holds ten million records: `make bench-start`. Start-up must not grow with
// the backlog (issue 3, item 2: under 2 s).

import Crypto
import EdgeRelay
import Glibc
import Models
import SegmentedLog
import System
import Testing

@Suite(.enabled(if: Environment.variable("COLUMBA_MEASURE_START") != nil)) struct StartMeasurement {
    private let time = SystemTime()

    @Test("a relay with ten million records waiting is ready within 2 s, after a crash as well")
    func start() throws {
        let records = Environment.variable("COLUMBA_MEASURE_START").flatMap { Int($0) } ?? 10_000_000
        let root = try FileSystem.makeTemporaryDirectory(
            prefix: "columba-start", in: Environment.variable("BENCH_DIR"))
        defer { try? FileSystem.removeTree(root) }
        let began = time.monotonicNanoseconds()
        let segments = try generate(records, "\(root)/data/buffer")
        say("\(records) records in \(segments) segments written in \(seconds(since: began)) s")
        let port = try FreePorts.find(1)[0]
        let configuration = """
            {relay_id: "start", listen: "127.0.0.1:\(port)", data_dir: "data", central: ["http://127.0.0.1:1"],
             buffer: {max_bytes: 68719476736, allow_any_filesystem: true}}
            """
        _ = try FileSystem.createExclusively("\(root)/relay.json5", Array(configuration.utf8))
        for round in ["first start", "after kill -9", "again"] {
            let (ready, resident) = try measure(root)
            say("\(round): ready after \(ready) s, \(resident >> 20) MiB resident")
            #expect(ready < 2)
        }
    }

    /// Two earlier lives; the younger one was not closed in peace, so its last segment is in its write-ahead log.
    private func generate(_ records: Int, _ buffer: String) throws -> Int {
        var segments = 0
        for (number, share) in [(1, 0.9), (2, 0.1)] {
            let epoch = Random.epoch()
            let log = try SegmentedLog(
                directory: "\(buffer)/0000000\(number)-\(epoch)", configuration: .init(segmentBytes: 8 << 20)
            ) { say("\($0)") }
            let header = RecordHeader(
                identity: ReportIdentity(droneID: "d-000001", boot: "6f1c", seq: 4_711), digest: SHA256.hash("x"),
                isAssigned: false
            ).encoded()
            let payload = Array(#"{"drone_id":"d-000001","location":{"lat":1,"lon":2}}"#.utf8)
            try header.withUnsafeBytes { header in
                try payload.withUnsafeBytes { payload in
                    let group = [NewLogEntry](
                        repeating: NewLogEntry(
                            timeMicroseconds: time.wallMicroseconds(), kind: BufferKind.report, header: header,
                            payload: payload),
                        count: 4_096)
                    var left = Int(Double(records) * share)
                    while left > 0 {
                        _ = try log.append(Array(group.prefix(min(left, group.count))))
                        left -= group.count
                    }
                }
            }
            if number == 1 { _ = log.waitForHousekeeping(timeoutSeconds: 120) }
            segments += log.segments.count
            log.close()
        }
        return segments
    }

    private func measure(_ root: String) throws -> (seconds: Double, residentBytes: Int) {
        let started = time.monotonicNanoseconds()
        var configuration = ChildProcess.Configuration(
            executable: "\(Environment.executableDirectory)/columba-relay",
            arguments: ["run", "--config", "\(root)/relay.json5"])
        let log = "\(root)/\(started).log"
        configuration.standardError = .file(log)
        let relay = try ChildProcess(configuration)
        defer {
            relay.kill(SIGKILL)
            _ = try? relay.wait(timeoutSeconds: 10)
        }
        while true {
            let text = (try? FileSystem.read(log)).map { String(decoding: $0, as: UTF8.self) } ?? ""
            if text.contains("relay_ready") { break }
            try #require(relay.isRunning && time.monotonicNanoseconds() - started < 60_000_000_000, "\(text)")
            poll(nil, 0, 1)
        }
        let ready = seconds(since: started)
        let statm = try FileSystem.read("/proc/\(relay.processID)/statm").split(separator: 0x20)
        return (ready, (Int(String(decoding: statm[1], as: UTF8.self)) ?? 0) * 4_096)
    }

    private func seconds(since start: UInt64) -> Double {
        (Double(time.monotonicNanoseconds() - start) / 1e6).rounded() / 1e3
    }

    private func say(_ text: String) { StandardStreams.error(text + "\n") }
}
