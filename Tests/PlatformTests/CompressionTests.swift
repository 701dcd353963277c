// Compression within limits: what comes back, and what is refused.

import Compression
import Foundation
import Testing

@Suite("Compression")
struct CompressionTests {
    static let text = Array(
        String(repeating: #"{"drone_id":"pw-000123","location":{"lat":48.8566,"lon":2.3522}}"# + "\n", count: 500).utf8)

    private static func code(_ body: () throws -> [UInt8]) -> CompressionError.Code? {
        do {
            _ = try body()
            return nil
        } catch let error as CompressionError {
            return error.code
        } catch {
            return nil
        }
    }

    /// `printf … | gzip` for tests: gzip itself, so that the reader is held against another's writer.
    private static func gzip(_ bytes: [UInt8]) throws -> [UInt8] {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = ["gzip", "-c"]
        let input = Pipe()
        let output = Pipe()
        process.standardInput = input
        process.standardOutput = output
        try process.run()
        let writer = Thread {
            try? input.fileHandleForWriting.write(contentsOf: Data(bytes))
            try? input.fileHandleForWriting.close()
        }
        writer.start()
        let answer = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return [UInt8](answer)
    }

    @Test("zstd gives back what it took, at any level and size")
    func zstdRoundTrip() throws {
        let compressor = try ZstdCompressor()
        for bytes in [
            [], [1], Self.text, [UInt8](repeating: 0, count: 100),
            (0..<300_000).map { UInt8(truncatingIfNeeded: $0 * $0 >> 7) },
        ] {
            for level: Int32 in [1, 3, 19] {
                let compressed = try Zstd.compress(bytes, level: level)
                #expect(try Zstd.decompress(compressed, maxBytes: 1 << 24, maxRatio: 10_000) == bytes)
                #expect(try bytes.withUnsafeBytes { try compressor.compress($0, level: level) } == compressed)
            }
        }
    }

    @Test("zstd stops at the size limit and not before")
    func zstdSize() throws {
        let compressed = try Zstd.compress(Self.text)
        let size = Self.text.count
        for limit in [size, size + 1] {
            #expect(try Zstd.decompress(compressed, maxBytes: limit, maxRatio: 1000).count == size)
        }
        #expect(Self.code { try Zstd.decompress(compressed, maxBytes: size - 1, maxRatio: 1000) } == .tooLarge)
        #expect(Self.code { try Zstd.decompress(compressed, maxBytes: 0, maxRatio: 1000) } == .tooLarge)
    }

    @Test("zstd stops at the ratio limit: 100 is accepted, more is a bomb")
    func zstdRatio() throws {
        let bomb = try Zstd.compress([UInt8](repeating: 0, count: 10_000_000), level: 19)
        #expect(bomb.count < 2000)
        #expect(Self.code { try Zstd.decompress(bomb, maxBytes: 1 << 24, maxRatio: 100) } == .ratio)
        let exact = (10_000_000 + bomb.count - 1) / bomb.count
        #expect(try Zstd.decompress(bomb, maxBytes: 1 << 24, maxRatio: exact).count == 10_000_000)
        #expect(Self.code { try Zstd.decompress(bomb, maxBytes: 1 << 24, maxRatio: exact - 1) } == .ratio)
    }

    @Test("zstd without a declared size is inflated within its limits")
    func zstdUnknownSize() throws {
        // `printf 'a' * 5000 | zstd -c` (streaming, no content size): an RLE block of 5,000 bytes.
        var frame: [UInt8] = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58]
        let header = UInt32(5000) << 3 | 1 << 1 | 1
        frame += [UInt8(header & 0xff), UInt8(header >> 8 & 0xff), UInt8(header >> 16 & 0xff), 0x61]
        #expect(try Zstd.decompress(frame, maxBytes: 5000, maxRatio: 1000) == [UInt8](repeating: 0x61, count: 5000))
        #expect(Self.code { try Zstd.decompress(frame, maxBytes: 4999, maxRatio: 1000) } == .tooLarge)
        #expect(Self.code { try Zstd.decompress(frame, maxBytes: 5000, maxRatio: 100) } == .ratio)
    }

    @Test("zstd refuses what is damaged, cut short or followed by more")
    func zstdDamage() throws {
        let compressed = try Zstd.compress(Self.text)
        func read(_ bytes: [UInt8]) -> CompressionError.Code? {
            Self.code { try Zstd.decompress(bytes, maxBytes: 1 << 24, maxRatio: 1_000_000) }
        }
        #expect(read([]) == .corrupt && read([1, 2, 3]) == .corrupt && read(Self.text) == .corrupt)
        for count in stride(from: 1, to: compressed.count, by: 3) {
            #expect(read(Array(compressed.prefix(count))) == .corrupt)
        }
        #expect(read(compressed + [0]) == .trailingBytes && read(compressed + compressed) == .trailingBytes)
        var random = SystemRandomNumberGenerator()
        for _ in 0..<2000 {
            var damaged = compressed
            let index = Int.random(in: 0..<damaged.count, using: &random)
            let bit = UInt8.random(in: 0..<8, using: &random)
            damaged[index] ^= 1 << bit
            // The frame's checksum finds what the format itself would let pass.
            if let answer = try? Zstd.decompress(damaged, maxBytes: 1 << 20, maxRatio: 1_000_000) {
                #expect(answer == Self.text, "byte \(index), bit \(bit)")
            }
        }
    }

    @Test("gzip reads what gzip wrote, within the same limits")
    func gzipLimits() throws {
        for bytes in [[], [7], Self.text] {
            let compressed = try Self.gzip(bytes)
            #expect(try Gzip.decompress(compressed, maxBytes: max(bytes.count, 1), maxRatio: 1000) == bytes)
        }
        let compressed = try Self.gzip(Self.text)
        #expect(
            Self.code { try Gzip.decompress(compressed, maxBytes: Self.text.count - 1, maxRatio: 1000) } == .tooLarge)
        let bomb = try Self.gzip([UInt8](repeating: 0, count: 10_000_000))
        #expect(Self.code { try Gzip.decompress(bomb, maxBytes: 1 << 24, maxRatio: 100) } == .ratio)
        #expect(Self.code { try Gzip.decompress(bomb, maxBytes: 1 << 20, maxRatio: 2000) } == .tooLarge)
    }

    @Test("gzip refuses what is damaged, cut short or followed by more")
    func gzipDamage() throws {
        let compressed = try Self.gzip(Self.text)
        func read(_ bytes: [UInt8]) -> CompressionError.Code? {
            Self.code { try Gzip.decompress(bytes, maxBytes: 1 << 24, maxRatio: 1000) }
        }
        #expect(read([]) == .corrupt && read(Self.text) == .corrupt)
        for count in 1..<compressed.count { #expect(read(Array(compressed.prefix(count))) == .corrupt) }
        #expect(read(compressed + [0]) == .trailingBytes && read(compressed + compressed) == .trailingBytes)
        // The raw deflate stream without the gzip wrapper is another encoding.
        #expect(read(Array(compressed.dropFirst(10))) == .corrupt)
        var flipped = compressed
        flipped[flipped.count - 8] ^= 1
        #expect(read(flipped) == .corrupt)
    }
}
