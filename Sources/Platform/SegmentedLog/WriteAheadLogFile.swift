// Reads SQLite's write-ahead log without SQLite, to tell a torn tail from lost data and to salvage entries.
// Format: https://www.sqlite.org/fileformat2.html#the_write_ahead_log (section 4.1)

/// A WAL, frame by frame, whatever state it is in.
struct WriteAheadLogFile {
    struct Frame {
        var pageNumber: Int
        /// The last frame of a transaction.
        var isCommit: Bool
        /// Where the page's bytes begin in the file.
        var offset: Int
    }

    static let headerBytes = 32
    static let frameHeaderBytes = 24

    let pageBytes: Int
    /// All complete frames, valid or not.
    let frames: [Frame]
    /// Frames SQLite replays: up to the last commit before the first wrong checksum.
    let committedFrames: Int
    /// Bytes behind the last complete frame.
    let partialBytes: Int

    /// A commit behind what SQLite replays: its transaction was written to its end, so it may have been acknowledged
    /// (S2).
    var hasLostCommit: Bool { frames[committedFrames...].contains { $0.isCommit } }
    var hasUnfinishedTail: Bool { committedFrames < frames.count || partialBytes > 0 }

    /// Frames that can hold salvageable pages: an unfinished transaction at the end was never acknowledged.
    var salvageableFrames: ArraySlice<Frame> {
        let end = frames.lastIndex { $0.isCommit }.map { $0 + 1 } ?? frames.count
        return frames[..<end]
    }

    /// - Parameter assumedPageBytes: for a WAL whose header is destroyed.
    init(_ bytes: [UInt8], assumedPageBytes: Int) {
        var frames: [Frame] = []
        var committed = 0
        var pageBytes = assumedPageBytes
        var partial = bytes.count
        bytes.withUnsafeBytes { file in
            guard file.count >= Self.headerBytes else { return }
            let magic = Self.bigEndian(file, 0)
            let stated = Int(Self.bigEndian(file, 8))
            let isKnown = magic & 0xffff_fffe == 0x377f_0682
            if isKnown, stated >= 512, stated <= 65_536, stated & (stated - 1) == 0 { pageBytes = stated }
            var chain = Chain(isBigEndian: magic & 1 == 1)
            chain.add(file, 0, 24)
            var isValid = isKnown && stated == pageBytes && chain.matches(file, 24)
            var offset = Self.headerBytes
            while offset + Self.frameHeaderBytes + pageBytes <= file.count {
                let frame = Frame(
                    pageNumber: Int(Self.bigEndian(file, offset)), isCommit: Self.bigEndian(file, offset + 4) != 0,
                    offset: offset + Self.frameHeaderBytes)
                frames.append(frame)
                if isValid {
                    chain.add(file, offset, 8)
                    chain.add(file, frame.offset, pageBytes)
                    isValid =
                        chain.matches(file, offset + 16) && frame.pageNumber != 0
                        && Self.bigEndian(file, offset + 8) == Self.bigEndian(file, 16)
                        && Self.bigEndian(file, offset + 12) == Self.bigEndian(file, 20)
                    if isValid && frame.isCommit { committed = frames.count }
                }
                offset += Self.frameHeaderBytes + pageBytes
            }
            partial = file.count - offset
        }
        self.pageBytes = pageBytes
        self.frames = frames
        committedFrames = committed
        partialBytes = partial
    }

    /// The running checksum of header and frames.
    private struct Chain {
        let isBigEndian: Bool
        var first: UInt32 = 0
        var second: UInt32 = 0

        mutating func add(_ file: UnsafeRawBufferPointer, _ offset: Int, _ count: Int) {
            var first = first
            var second = second
            var at = offset
            while at < offset + count {
                let left = file.loadUnaligned(fromByteOffset: at, as: UInt32.self)
                let right = file.loadUnaligned(fromByteOffset: at + 4, as: UInt32.self)
                first = first &+ (isBigEndian ? left.bigEndian : left.littleEndian) &+ second
                second = second &+ (isBigEndian ? right.bigEndian : right.littleEndian) &+ first
                at += 8
            }
            self.first = first
            self.second = second
        }

        func matches(_ file: UnsafeRawBufferPointer, _ offset: Int) -> Bool {
            bigEndian(file, offset) == first && bigEndian(file, offset + 4) == second
        }
    }

    private static func bigEndian(_ file: UnsafeRawBufferPointer, _ offset: Int) -> UInt32 {
        file.loadUnaligned(fromByteOffset: offset, as: UInt32.self).bigEndian
    }
}
