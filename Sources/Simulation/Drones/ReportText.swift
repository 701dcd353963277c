// Writes a simulated report's JSON straight into bytes: the load generator must cost less than what it loads.

/// Append-only. Holds no state besides the bytes; every text it is given is free of quotes, backslashes and controls.
struct ReportText {
    private(set) var bytes: [UInt8] = []

    init(capacity: Int) { bytes.reserveCapacity(capacity) }

    mutating func raw(_ text: StaticString) {
        bytes.append(contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    mutating func text(_ text: String) { bytes.append(contentsOf: text.utf8) }

    mutating func text(_ utf8: [UInt8]) { bytes.append(contentsOf: utf8) }

    mutating func integer(_ value: Int64) {
        if value < 0 { bytes.append(UInt8(ascii: "-")) }
        digits(value.magnitude, atLeast: 1)
    }

    /// With exactly `decimals` digits after the point (0 to 9, and none and no point for 0).
    mutating func fixed(_ value: Double, decimals: Int) {
        precondition(value.isFinite && abs(value) < 1e8, "a simulated value is a small finite number")
        var scale: UInt64 = 1
        for _ in 0..<decimals { scale *= 10 }
        let scaled = UInt64((abs(value) * Double(scale)).rounded())
        if value < 0, scaled > 0 { bytes.append(UInt8(ascii: "-")) }
        digits(scaled / scale, atLeast: 1)
        guard decimals > 0 else { return }
        bytes.append(UInt8(ascii: "."))
        digits(scaled % scale, atLeast: decimals)
    }

    private mutating func digits(_ value: UInt64, atLeast minimum: Int) {
        var divisor: UInt64 = 1
        var count = 1
        while value / divisor >= 10 || count < minimum {
            divisor *= 10
            count += 1
        }
        while divisor > 0 {
            bytes.append(UInt8(ascii: "0") + UInt8(value / divisor % 10))
            divisor /= 10
        }
    }
}
