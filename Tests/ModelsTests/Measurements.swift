// Figures, not judgements: `COLUMBA_MEASURE=1 swift test -c release --filter Measurements`.

import Crypto
import Foundation
import JSON
import Models
import Testing

@Suite("Measurements", .serialized, .enabled(if: ProcessInfo.processInfo.environment["COLUMBA_MEASURE"] != nil))
struct Measurements {
    private func measure(_ name: String, rounds: Int = 50_000, _ body: () throws -> Void) rethrows {
        let clock = ContinuousClock()
        var best = Duration.seconds(1000)
        for _ in 0..<5 {
            let elapsed = try clock.measure { for _ in 0..<rounds { try body() } }
            best = min(best, elapsed)
        }
        let nanoseconds = best / rounds / .nanoseconds(1)
        FileHandle.standardError.write(Data("\(name): \(Int(nanoseconds)) ns\n".utf8))
    }

    @Test("of parsing a usual report")
    func parsing() throws {
        let parser = ReportParser()
        let bytes = Array(SampleReports.usual.utf8)
        try bytes.withUnsafeBytes { buffer in
            try measure("parse a report of \(buffer.count) bytes") { _ = try parser.parse(buffer) }
            var sum = 0.0
            try measure("parse and visit everything") {
                let report = try parser.parse(buffer)
                for index in 0..<report.citizenCount { sum += report.citizen(at: index).peacescore }
                for index in 0..<report.wordCount { sum += Double(report.word(at: index).raw.count) }
                for index in 0..<report.readingCount { sum += report.reading(at: index).value }
                sum += Double(report.droneID.utf8.count + report.boot.utf8.count)
            }
            #expect(sum > 0)
        }
        let minimal = Array(SampleReports.report().utf8)
        try minimal.withUnsafeBytes { buffer in
            try measure("parse the shortest report, \(buffer.count) bytes") { _ = try parser.parse(buffer) }
        }
        let large = Array(
            SampleReports.report(#""words":[\#((0..<9000).map { #""word \#($0)""# }.joined(separator: ","))]"#).utf8)
        try large.withUnsafeBytes { buffer in
            try measure("parse 9,000 words, \(buffer.count) bytes", rounds: 500) { _ = try parser.parse(buffer) }
        }
    }

    @Test("of lines")
    func lines() throws {
        let parser = LineParser()
        let line =
            #"{"n":5001,"received_at":"2026-11-20T05:00:00.123Z","kind":"report","body":\#(SampleReports.usual)}"#
        try Array(line.utf8).withUnsafeBytes { buffer in
            try measure("parse a line of \(buffer.count) bytes") { _ = try parser.parse(buffer) }
        }
    }

    @Test("of hashes")
    func hashes() {
        let bytes = Array(SampleReports.usual.utf8)
        var sum: UInt64 = 0
        bytes.withUnsafeBytes { buffer in
            measure("SHA-256 of \(buffer.count) bytes") { sum &+= SHA256.hash(buffer).prefix64 }
            measure("XXH3 of \(buffer.count) bytes") { sum &+= XXH3.hash64(buffer) }
            let key = HMACSHA256(key: Random.bytes(32))
            let name = UnsafeRawBufferPointer(rebasing: buffer.prefix(10))
            measure("HMAC-SHA-256 of 10 bytes") { sum &+= key.authenticate(name).prefix64 }
        }
        let time = Timestamp(microseconds: 1_795_150_800_123_000)
        var output: [UInt8] = []
        measure("write a timestamp") {
            output.removeAll(keepingCapacity: true)
            time.appendRFC3339(to: &output)
        }
        measure("read a timestamp") { sum &+= Timestamp(rfc3339: output).map { UInt64($0.microseconds) } ?? 0 }
        measure("geohash") {
            output.removeAll(keepingCapacity: true)
            Geohash.append(latitude: 48.8566, longitude: 2.3522, to: &output)
        }
        measure("hex of a digest") { sum &+= UInt64(SHA256.hash("").hex.utf8.count) }
        #expect(sum != 0)
    }
}
