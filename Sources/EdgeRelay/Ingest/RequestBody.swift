// The bytes of a request's body, as they came or inflated, for as long as its reports are on their way to disk.

/// Safety: written only in `init`; afterwards every thread only reads it. A borrowed body belongs to a request that is
/// unanswered as long as this object is in use.
final class RequestBody: @unchecked Sendable {
    let bytes: UnsafeRawBufferPointer
    private let owned: UnsafeMutableRawBufferPointer?

    init(borrowing bytes: UnsafeRawBufferPointer) {
        self.bytes = bytes
        owned = nil
    }

    init(copying source: [UInt8]) {
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: source.count, alignment: 16)
        memory.copyBytes(from: source)
        owned = memory
        bytes = UnsafeRawBufferPointer(memory)
    }

    deinit { owned?.deallocate() }
}
