// The output of a decompressor whose final size is unknown: grows by doubling, stops one byte past the limit, so that
// "exactly the limit" and "more" can be told apart without producing more.

struct GrowingOutput {
    private(set) var bytes: [UInt8] = []
    private let limit: Int

    init(capacity: Int, limit: InflationLimit) {
        self.limit = limit.bytes
        bytes.reserveCapacity(min(max(capacity, 256), limit.bytes) + 1)
    }

    var count: Int { bytes.count }
    var isOverLimit: Bool { bytes.count > limit }

    /// Lends room for at least one byte; `body` returns its answer and how many bytes it wrote.
    mutating func fill<Answer>(_ body: (UnsafeMutableRawBufferPointer) -> (Answer, Int)) -> Answer {
        precondition(!isOverLimit, "nothing is decompressed past the limit")
        if bytes.capacity == bytes.count { bytes.reserveCapacity(min(bytes.count * 2, limit) + 1) }
        let used = bytes.count
        let room = min(bytes.capacity, limit + 1) - used
        return withUnsafeTemporaryAllocation(byteCount: min(room, 1 << 17), alignment: 16) { scratch in
            let (answer, written) = body(scratch)
            bytes.append(contentsOf: UnsafeRawBufferPointer(rebasing: scratch[..<written]))
            return answer
        }
    }
}
