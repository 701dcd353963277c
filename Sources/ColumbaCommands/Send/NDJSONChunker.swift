// Cuts a stream of lines into requests, byte for byte, remembering where each line stood. Pure.

package struct NDJSONChunk: Equatable, Sendable {
    /// The lines as they came, each with its line feed.
    package var bytes: [UInt8] = []
    /// The 1-based number of each line in the file.
    package var lineNumbers: [Int] = []
}

package struct NDJSONChunker: Sendable {
    /// Below the relay's 8 MiB, so that no header or rounding matters.
    package static let chunkBytes = 4 * 1024 * 1024
    package static let chunkLines = 500

    private var pending: [UInt8] = []
    private var chunk = NDJSONChunk()
    private var lineNumber = 0
    private var isSkippingLongLine = false
    /// Lines that no relay would take because they alone are larger than a request.
    package private(set) var tooLongLines: [Int] = []

    package init() {}

    /// Takes the next bytes of the file and gives the chunks that are full.
    package mutating func consume(_ bytes: [UInt8]) -> [NDJSONChunk] {
        var full: [NDJSONChunk] = []
        var rest = bytes[...]
        while let end = rest.firstIndex(of: 0x0A) {
            pending.append(contentsOf: rest[..<end])
            rest = rest[(end + 1)...]
            if let chunk = endOfLine() { full.append(chunk) }
        }
        pending.append(contentsOf: rest)
        // A line without an end must not take all memory: its number is kept, its bytes are not.
        if pending.count > Self.chunkBytes {
            isSkippingLongLine = true
            pending.removeAll()
        }
        return full
    }

    /// What is left at the end of the file; its last line may lack its line feed.
    package mutating func finish() -> [NDJSONChunk] {
        var last: [NDJSONChunk] = []
        if !pending.isEmpty || isSkippingLongLine, let chunk = endOfLine() { last.append(chunk) }
        if !chunk.bytes.isEmpty { last.append(chunk) }
        chunk = NDJSONChunk()
        return last
    }

    private mutating func endOfLine() -> NDJSONChunk? {
        lineNumber += 1
        defer {
            pending.removeAll(keepingCapacity: true)
            isSkippingLongLine = false
        }
        if isSkippingLongLine || pending.count >= Self.chunkBytes {
            tooLongLines.append(lineNumber)
            return nil
        }
        let isBlank = pending.allSatisfy { $0 == 0x20 || $0 == 0x09 || $0 == 0x0D }
        guard !isBlank else { return nil }
        var full: NDJSONChunk?
        let isFull =
            chunk.lineNumbers.count == Self.chunkLines || chunk.bytes.count + pending.count + 1 > Self.chunkBytes
        if isFull {
            full = chunk
            chunk = NDJSONChunk()
        }
        chunk.bytes.append(contentsOf: pending)
        chunk.bytes.append(0x0A)
        chunk.lineNumbers.append(lineNumber)
        return full
    }
}
