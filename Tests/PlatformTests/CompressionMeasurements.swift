// Figures, not judgements: `COLUMBA_MEASURE=1 swift test -c release --filter CompressionMeasurements`.

import Compression
import Foundation
import Testing

@Suite("CompressionMeasurements", .enabled(if: ProcessInfo.processInfo.environment["COLUMBA_MEASURE"] != nil))
struct CompressionMeasurements {
    @Test("of a batch of 700 reports")
    func batch() throws {
        let words = "market rain fire train street help smile coffee queue music calm late angry bridge river tower"
            .split(separator: " ")
        var text = ""
        var random = SystemRandomNumberGenerator()
        for n in 1...700 {
            let citizens = (0..<8).map { _ in
                #"{"name":"Ada Martin \#(UInt16.random(in: 0 ... .max, using: &random))","peacescore":"#
                    + "\(Int.random(in: 0..<100, using: &random)).\(Int.random(in: 10..<100, using: &random)),"
                    + #""confidence":0.\#(Int.random(in: 10..<100, using: &random))}"#
            }
            let spoken = (0..<40).map { _ in "\"\(words.randomElement(using: &random) ?? "x")\"" }
            text +=
                #"{"n":\#(n),"received_at":"2026-11-20T05:00:00.123Z","kind":"report","body":{"drone_id":"pw-"#
                + #"\#(Int.random(in: 0..<100_000, using: &random))","boot":"6f1c","seq":\#(n),"location":{"lat":48.8"#
                + "\(Int.random(in: 1000..<9999, using: &random)),"
                + #""lon":2.3\#(Int.random(in: 1000..<9999, using: &random))},"#
                + #""citizens":[\#(citizens.joined(separator: ","))],"words":[\#(spoken.joined(separator: ","))],"#
                + #""readings":{"battery_pct":\#(Int.random(in: 0..<100, using: &random)),"gps_satellites":11}}}"#
                + "\n"
        }
        let bytes = Array(text.utf8)
        let compressor = try ZstdCompressor()
        let clock = ContinuousClock()
        for level: Int32 in [1, 3, 6] {
            var compressed: [UInt8] = []
            let up =
                try (0..<5).map { _ in
                    try clock.measure {
                        compressed = try bytes.withUnsafeBytes { try compressor.compress($0, level: level) }
                    }
                }.min() ?? .zero
            let down =
                try (0..<5).map { _ in
                    try clock.measure { _ = try Zstd.decompress(compressed, maxBytes: 1 << 24, maxRatio: 100) }
                }.min() ?? .zero
            #expect(compressed.count < bytes.count)
            let line =
                "zstd level \(level): \(bytes.count) → \(compressed.count) bytes "
                + "(\(Double(bytes.count * 10 / compressed.count) / 10)×), compress \(up), decompress \(down)\n"
            FileHandle.standardError.write(Data(line.utf8))
        }
    }
}
