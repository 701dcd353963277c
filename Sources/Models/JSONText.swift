// The few pieces of JSON text that modules below the JSON library write themselves: strings, whole numbers, times.
// Everything bigger is written with the JSON module's `JSONWriter`, which stands on these.

package enum JSONText {
    private static let hexDigits: StaticString = "0123456789abcdef"

    /// Appends `text` in quotes.
    package static func appendString(_ text: String, to output: inout [UInt8]) {
        var text = text
        text.withUTF8 { appendString(UnsafeRawBufferPointer($0), to: &output) }
    }

    /// Appends valid UTF-8 in quotes. Only quotes, backslashes and control characters are escaped.
    package static func appendString(_ utf8: UnsafeRawBufferPointer, to output: inout [UInt8]) {
        output.append(0x22)
        var start = 0
        for index in 0..<utf8.count {
            let byte = utf8[index]
            guard byte < 0x20 || byte == 0x22 || byte == 0x5c else { continue }
            output.append(contentsOf: UnsafeRawBufferPointer(rebasing: utf8[start..<index]))
            start = index + 1
            appendEscape(byte, to: &output)
        }
        output.append(contentsOf: UnsafeRawBufferPointer(rebasing: utf8[start...]))
        output.append(0x22)
    }

    private static func appendEscape(_ byte: UInt8, to output: inout [UInt8]) {
        output.append(0x5c)
        switch byte {
        case 0x22, 0x5c: output.append(byte)
        case 0x08: output.append(0x62)
        case 0x09: output.append(0x74)
        case 0x0a: output.append(0x6e)
        case 0x0c: output.append(0x66)
        case 0x0d: output.append(0x72)
        default:
            output.append(contentsOf: [0x75, 0x30, 0x30])
            hexDigits.withUTF8Buffer { digits in
                output.append(digits[Int(byte >> 4)])
                output.append(digits[Int(byte & 15)])
            }
        }
    }

    package static func appendInteger(_ value: Int64, to output: inout [UInt8]) {
        if value < 0 { output.append(0x2d) }
        let magnitude = value.magnitude
        var divisor: UInt64 = 1
        while magnitude / divisor >= 10 { divisor *= 10 }
        var rest = magnitude
        while divisor > 0 {
            output.append(UInt8(truncatingIfNeeded: 0x30 + rest / divisor))
            rest %= divisor
            divisor /= 10
        }
    }

    /// The shortest text that reads back as the same number. JSON has no NaN and no infinity.
    package static func appendNumber(_ value: Double, to output: inout [UInt8]) {
        precondition(value.isFinite, "JSON holds finite numbers only")
        if abs(value) < 1e15, value == Double(Int64(value)), value != 0 || value.sign == .plus {
            appendInteger(Int64(value), to: &output)
        } else {
            output.append(contentsOf: value.description.utf8)
        }
    }

    package static func appendTimestamp(_ value: Timestamp, to output: inout [UInt8]) {
        output.append(0x22)
        value.appendRFC3339(to: &output)
        output.append(0x22)
    }
}
