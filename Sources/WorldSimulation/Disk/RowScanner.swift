// Reads an archive row's keys from its JSON. Independent of the code that wrote the row: a walk over the members of one
// object, no more.

import Crypto

enum RowScanner {
    static func scan(_ line: ArraySlice<UInt8>) -> ArchivedRow {
        var row = ArchivedRow()
        line.withUnsafeBytes { bytes in members(bytes) { assign(&row, $0, $1) } }
        return row
    }

    private static func assign(
        _ row: inout ArchivedRow, _ key: UnsafeRawBufferPointer.SubSequence,
        _ value: UnsafeRawBufferPointer.SubSequence
    ) {
        func text() -> String { String(decoding: value.dropFirst().dropLast(), as: UTF8.self) }
        func number() -> Int64 { value.reduce(0) { $0 &* 10 &+ Int64($1) &- 48 } }
        switch key.count {
        case 1 where key.elementsEqual("n".utf8): row.n = number()
        case 3 where key.elementsEqual("seq".utf8): row.seq = number()
        case 4 where key.elementsEqual("boot".utf8): row.boot = text()
        case 4 where key.elementsEqual("kind".utf8): row.kind = text()
        case 5 where key.elementsEqual("epoch".utf8): row.epoch = text()
        case 6 where key.elementsEqual("digest".utf8): row.digest = SHA256Digest(hex: text())
        case 6 where key.elementsEqual("reason".utf8): row.reason = text()
        case 8 where key.elementsEqual("drone_id".utf8): row.droneID = text()
        case 8 where key.elementsEqual("relay_id".utf8): row.relayID = text()
        case 8 where key.elementsEqual("alert_id".utf8): row.alertID = text()
        case 9 where key.elementsEqual("relay_seq".utf8): row.n = number()
        case 9 where key.elementsEqual("person_id".utf8): row.personID = text()
        default: break
        }
    }

    /// Calls `body` with every member of the object: the key without quotes, the value as it stands.
    static func members(
        _ bytes: UnsafeRawBufferPointer,
        _ body: (UnsafeRawBufferPointer.SubSequence, UnsafeRawBufferPointer.SubSequence) -> Void
    ) {
        var index = 1
        while index < bytes.count, bytes[index] == 0x22 {
            let keyEnd = stringEnd(bytes, index)
            let start = keyEnd + 1
            let end = valueEnd(bytes, start)
            body(bytes[(index + 1)..<(keyEnd - 1)], bytes[start..<end])
            index = end + 1
        }
    }

    /// Behind the closing quote.
    private static func stringEnd(_ bytes: UnsafeRawBufferPointer, _ start: Int) -> Int {
        var index = start + 1
        while index < bytes.count, bytes[index] != 0x22 { index += bytes[index] == 0x5c ? 2 : 1 }
        return min(index + 1, bytes.count)
    }

    private static func valueEnd(_ bytes: UnsafeRawBufferPointer, _ start: Int) -> Int {
        var index = start
        var depth = 0
        while index < bytes.count {
            switch bytes[index] {
            case 0x22:
                index = stringEnd(bytes, index)
                continue
            case 0x7b, 0x5b: depth += 1
            case 0x7d, 0x5d:
                if depth == 0 { return index }
                depth -= 1
            case 0x2c where depth == 0: return index
            default: break
            }
            index += 1
        }
        return index
    }
}
