// A request's bytes where the JSON parser wants them (with room to read beyond the end), and the lines of an NDJSON body.

/// Safety: written only in `init`; afterwards every thread only reads it. A borrowed body belongs to a request that is
/// unanswered as long as this object is in use.
final class RequestBody: @unchecked Sendable {
    let bytes: UnsafeRawBufferPointer
    /// Readable bytes from the start, at least 64 more than there are.
    let capacity: Int
    private let owned: UnsafeMutableRawBufferPointer?

    private static let padding = 64

    init(borrowing bytes: UnsafeRawBufferPointer, capacity: Int) {
        self.bytes = bytes
        self.capacity = capacity
        owned = nil
    }

    init(copying source: [UInt8]) {
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: source.count + Self.padding, alignment: 16)
        memory.initializeMemory(as: UInt8.self, repeating: 0)
        memory.copyBytes(from: source)
        owned = memory
        bytes = UnsafeRawBufferPointer(rebasing: memory[..<source.count])
        capacity = memory.count
    }

    deinit { owned?.deallocate() }

    /// Where in this body a part of it begins.
    func offset(of part: UnsafeRawBufferPointer) -> Int {
        guard let start = bytes.baseAddress, let partStart = part.baseAddress else { return 0 }
        return partStart - start
    }
}

/// The non-empty lines of a body, without their line ends (LF or CRLF).
struct NDJSONLines: Sequence, IteratorProtocol {
    private let bytes: UnsafeRawBufferPointer
    private var position = 0

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    mutating func next() -> UnsafeRawBufferPointer? {
        while position < bytes.count {
            let rest = bytes[position...]
            let end = rest.firstIndex(of: UInt8(ascii: "\n")) ?? bytes.count
            let start = position
            position = end + 1
            let last = end > start && bytes[end - 1] == UInt8(ascii: "\r") ? end - 1 : end
            let line = bytes[start..<last]
            if line.contains(where: { $0 != UInt8(ascii: " ") && $0 != UInt8(ascii: "\t") }) {
                return UnsafeRawBufferPointer(rebasing: line)
            }
        }
        return nil
    }
}
