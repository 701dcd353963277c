// Finds entries in the pages of a damaged database without SQLite: it needs neither the header nor the schema nor the
// tree above the leaves. The checksum every entry carries tells real entries from everything that merely looks like
// one. Format: https://www.sqlite.org/fileformat2.html (sections 1.6 and 2.1)

/// The entries that can still be read from a segment's files.
struct PageReader {
    /// A page's image: the latest ones are in the WAL.
    private struct Image {
        var isInWAL: Bool
        var offset: Int
        /// Page 1 begins with the database's header.
        var isFirstPage: Bool
    }

    /// Where a verified entry was found.
    private struct Cell {
        var image: Image
        var offset: Int
    }

    private static let leafOfTable: UInt8 = 0x0d
    private static let entryColumns = 6

    private let database: [UInt8]
    private let wal: [UInt8]
    private let pageBytes: Int
    /// The newest image of each page, for overflow chains.
    private var newest: [Int: Image] = [:]
    private var cells: [Int64: Cell] = [:]

    /// The positions found, in order.
    var positions: [Int64] { cells.keys.sorted() }

    init(database: [UInt8], wal: [UInt8], assumedPageBytes: Int) {
        self.database = database
        self.wal = wal
        let stated = database.count >= 18 ? Int(database[16]) << 8 | Int(database[17]) : 0
        let isPlausible = stated >= 4_096 && stated & (stated - 1) == 0
        let log = WriteAheadLogFile(wal, assumedPageBytes: isPlausible ? stated : assumedPageBytes)
        pageBytes = wal.count >= WriteAheadLogFile.headerBytes ? log.pageBytes : isPlausible ? stated : assumedPageBytes
        var images: [Image] = []
        for page in 0..<(database.count / pageBytes) {
            images.append(Image(isInWAL: false, offset: page * pageBytes, isFirstPage: page == 0))
            newest[page + 1] = images[page]
        }
        for frame in log.salvageableFrames {
            let image = Image(isInWAL: true, offset: frame.offset, isFirstPage: frame.pageNumber == 1)
            images.append(image)
            newest[frame.pageNumber] = image
        }
        // Newest first; an older image of a page helps where the newer one is damaged.
        for image in images.reversed() { collect(image) }
    }

    /// The entry at a position that was found.
    func entry(at position: Int64) -> LogEntry? {
        cells[position].flatMap { decode($0, expecting: position) }
    }

    private mutating func collect(_ image: Image) {
        let header = image.isFirstPage ? 100 : 0
        guard byte(image, header) == Self.leafOfTable else { return }
        let count = bigEndian(image, header + 3, 2)
        guard count <= pageBytes / 4 else { return }
        for index in 0..<count {
            let pointer = header + 8 + 2 * index
            guard pointer + 2 <= pageBytes else { return }
            let cell = Cell(image: image, offset: bigEndian(image, pointer, 2))
            var reader = PayloadCursor(at: cell.offset)
            guard cell.offset < pageBytes, varint(image, &reader) != nil, let position = varint(image, &reader),
                position > 0, cells[position] == nil, decode(cell, expecting: position) != nil
            else { continue }
            cells[position] = cell
        }
    }

    // MARK: - Cells and records

    private struct PayloadCursor {
        var offset: Int
        init(at offset: Int) { self.offset = offset }
    }

    /// The entry in a cell, if it is one and its checksum is right.
    private func decode(_ cell: Cell, expecting position: Int64) -> LogEntry? {
        var cursor = PayloadCursor(at: cell.offset)
        guard let size = varint(cell.image, &cursor), let row = varint(cell.image, &cursor), row == position,
            size > 0, size <= Int64(database.count + wal.count),
            let record = payload(cell.image, cursor.offset, Int(size))
        else { return nil }
        return Self.entry(fromRecord: record, position: position)
    }

    /// The payload of a cell, gathered from its overflow pages if it has any.
    private func payload(_ image: Image, _ offset: Int, _ size: Int) -> [UInt8]? {
        let maximum = pageBytes - 35
        let minimum = (pageBytes - 12) * 32 / 255 - 23
        let candidate = minimum + (size - minimum) % (pageBytes - 4)
        let local = size <= maximum ? size : candidate <= maximum ? candidate : minimum
        guard offset + local <= pageBytes else { return nil }
        var result = bytes(image, offset, local)
        guard result.count < size else { return result }
        guard offset + local + 4 <= pageBytes else { return nil }
        var next = bigEndian(image, offset + local, 4)
        // Each page gives bytes, so a damaged chain that runs in a circle ends too.
        while result.count < size {
            guard let overflow = newest[next] else { return nil }
            let count = min(size - result.count, pageBytes - 4)
            result += bytes(overflow, 4, count)
            next = bigEndian(overflow, 0, 4)
        }
        return result
    }

    /// A record of the table `entries`: NULL (the position is the row's number), three integers and two blobs.
    private static func entry(fromRecord record: [UInt8], position: Int64) -> LogEntry? {
        var offset = 0
        guard let headerSize = varint(record, &offset), headerSize <= 64 else { return nil }
        var types: [Int64] = []
        while offset < Int(headerSize) {
            guard let type = varint(record, &offset) else { return nil }
            types.append(type)
        }
        guard types.count == entryColumns, types[0] == 0 else { return nil }
        guard let time = integer(record, &offset, types[1]), let kind = integer(record, &offset, types[2]),
            let header = blob(record, &offset, types[3]), let payload = blob(record, &offset, types[4]),
            let checksum = integer(record, &offset, types[5]), let kind = UInt8(exactly: kind)
        else { return nil }
        let expected = header.withUnsafeBytes { header in
            payload.withUnsafeBytes { payload in
                EntryChecksum.of(
                    position: position, timeMicroseconds: time, kind: kind, header: header, payload: payload)
            }
        }
        guard checksum == expected else { return nil }
        return LogEntry(position: position, timeMicroseconds: time, kind: kind, header: header, payload: payload)
    }

    private static func integer(_ record: [UInt8], _ offset: inout Int, _ type: Int64) -> Int64? {
        let sizes = [0, 1, 2, 3, 4, 6, 8]
        if type == 8 || type == 9 { return type - 8 }
        guard type >= 1, type <= 6 else { return nil }
        let size = sizes[Int(type)]
        guard offset + size <= record.count else { return nil }
        var value: Int64 = record[offset] & 0x80 == 0 ? 0 : -1
        for byte in record[offset..<offset + size] { value = value << 8 | Int64(byte) }
        offset += size
        return value
    }

    private static func blob(_ record: [UInt8], _ offset: inout Int, _ type: Int64) -> [UInt8]? {
        guard type >= 12, type % 2 == 0 else { return nil }
        let size = Int((type - 12) / 2)
        guard size <= record.count - offset else { return nil }
        defer { offset += size }
        return Array(record[offset..<offset + size])
    }

    private static func varint(_ bytes: [UInt8], _ offset: inout Int) -> Int64? {
        var value: UInt64 = 0
        for index in 0..<9 {
            guard offset < bytes.count else { return nil }
            let byte = bytes[offset]
            offset += 1
            if index == 8 { return Int64(bitPattern: value << 8 | UInt64(byte)) }
            value = value << 7 | UInt64(byte & 0x7f)
            if byte & 0x80 == 0 { return Int64(value) }
        }
        return nil
    }

    // MARK: - Bytes of an image

    private func varint(_ image: Image, _ cursor: inout PayloadCursor) -> Int64? {
        let count = min(9, pageBytes - cursor.offset)
        guard count > 0 else { return nil }
        var offset = 0
        let value = Self.varint(bytes(image, cursor.offset, count), &offset)
        cursor.offset += offset
        return value
    }

    private func byte(_ image: Image, _ offset: Int) -> UInt8 {
        image.isInWAL ? wal[image.offset + offset] : database[image.offset + offset]
    }

    private func bytes(_ image: Image, _ offset: Int, _ count: Int) -> [UInt8] {
        let start = image.offset + offset
        return Array(image.isInWAL ? wal[start..<start + count] : database[start..<start + count])
    }

    private func bigEndian(_ image: Image, _ offset: Int, _ count: Int) -> Int {
        (0..<count).reduce(0) { $0 << 8 | Int(byte(image, offset + $1)) }
    }
}
