// Writes JSON from front to back into bytes; commas and colons come by themselves. Broken nesting is our own mistake
// and stops.
//
//   var json = JSONWriter()
//   json.object { $0.member("n", 5); $0.key("list"); $0.array { $0.string("a") } }
//   json.bytes

package import Models

package struct JSONWriter {
    package private(set) var bytes: [UInt8]
    private var needsComma = false
    private var depth = 0

    package init(reservedBytes: Int = 256) {
        bytes = []
        bytes.reserveCapacity(reservedBytes)
    }

    /// Empties the text and keeps its memory.
    package mutating func removeAll() {
        bytes.removeAll(keepingCapacity: true)
        needsComma = false
        depth = 0
    }

    // MARK: Structure

    package mutating func beginObject() { open(0x7b) }
    package mutating func endObject() { close(0x7d) }
    package mutating func beginArray() { open(0x5b) }
    package mutating func endArray() { close(0x5d) }

    package mutating func object(_ body: (inout JSONWriter) throws -> Void) rethrows {
        beginObject()
        try body(&self)
        endObject()
    }

    package mutating func array(_ body: (inout JSONWriter) throws -> Void) rethrows {
        beginArray()
        try body(&self)
        endArray()
    }

    package mutating func key(_ name: String) {
        precondition(depth > 0, "a key stands in an object")
        comma()
        JSONText.appendString(name, to: &bytes)
        bytes.append(0x3a)
        needsComma = false
    }

    // MARK: Values

    package mutating func string(_ value: String) {
        comma()
        JSONText.appendString(value, to: &bytes)
    }

    /// Valid UTF-8.
    package mutating func string(utf8 value: UnsafeRawBufferPointer) {
        comma()
        JSONText.appendString(value, to: &bytes)
    }

    package mutating func integer(_ value: Int64) {
        comma()
        JSONText.appendInteger(value, to: &bytes)
    }

    package mutating func integer(_ value: Int) { integer(Int64(value)) }

    /// Finite; the shortest text that reads back as the same number.
    package mutating func number(_ value: Double) {
        comma()
        JSONText.appendNumber(value, to: &bytes)
    }

    package mutating func bool(_ value: Bool) {
        comma()
        bytes.append(contentsOf: value ? "true".utf8 : "false".utf8)
    }

    package mutating func null() {
        comma()
        bytes.append(contentsOf: "null".utf8)
    }

    package mutating func timestamp(_ value: Timestamp) {
        comma()
        JSONText.appendTimestamp(value, to: &bytes)
    }

    /// One complete JSON value, copied as it is.
    package mutating func raw(_ value: UnsafeRawBufferPointer) {
        precondition(!value.isEmpty, "a raw JSON value is not empty")
        comma()
        bytes.append(contentsOf: value)
    }

    package mutating func raw(_ value: [UInt8]) {
        value.withUnsafeBytes { raw($0) }
    }

    // MARK: Members

    package mutating func member(_ name: String, _ value: String) {
        key(name)
        string(value)
    }
    package mutating func member(_ name: String, _ value: Int64) {
        key(name)
        integer(value)
    }
    package mutating func member(_ name: String, _ value: Int) {
        key(name)
        integer(value)
    }
    package mutating func member(_ name: String, _ value: Double) {
        key(name)
        number(value)
    }
    package mutating func member(_ name: String, _ value: Bool) {
        key(name)
        bool(value)
    }
    package mutating func member(_ name: String, _ value: Timestamp) {
        key(name)
        timestamp(value)
    }
    package mutating func member(_ name: String, raw value: [UInt8]) {
        key(name)
        raw(value)
    }
    package mutating func member(_ name: String, raw value: UnsafeRawBufferPointer) {
        key(name)
        raw(value)
    }

    // MARK: Private

    private mutating func comma() {
        if needsComma { bytes.append(0x2c) }
        needsComma = true
    }

    private mutating func open(_ bracket: UInt8) {
        comma()
        bytes.append(bracket)
        needsComma = false
        depth += 1
    }

    private mutating func close(_ bracket: UInt8) {
        precondition(depth > 0, "every bracket that closes was opened")
        bytes.append(bracket)
        needsComma = true
        depth -= 1
    }
}
