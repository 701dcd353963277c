// What a relay's answer to one report means for its sender (contract §2). Pure.

package enum Verdict: Equatable, Sendable {
    /// Durable at the relay: `stored`, `duplicate` or `conflict`.
    case acknowledged(status: String)
    /// The report will never be taken: sending it again is useless.
    case refused(status: Int)
    /// Send the same bytes again later, to this relay or another.
    case again(afterSeconds: Double?)

    package static func of(_ response: TransportResponse) -> Verdict {
        switch response.status {
        case 200..<300:
            guard let status = firstStatus(in: response.body) else { return .again(afterSeconds: nil) }
            return status == "rejected" ? .refused(status: response.status) : .acknowledged(status: status)
        case 408, 425, 429, 500...: return .again(afterSeconds: response.retryAfterSeconds)
        default: return .refused(status: response.status)
        }
    }

    /// The value of the first `"status"` member. A sender of thousands of reports a second needs no JSON tree for one
    /// word; identifiers in the answer cannot contain quotes, so nothing else can look like it.
    static func firstStatus(in body: [UInt8]) -> String? {
        let key = Array("\"status\"".utf8)
        guard body.count > key.count else { return nil }
        var start: Int?
        for index in 0...(body.count - key.count) where body[index] == key[0] {
            if body[index..<(index + key.count)].elementsEqual(key) {
                start = index + key.count
                break
            }
        }
        guard let start else { return nil }
        let rest = body[start...].drop { $0 == 0x20 || $0 == UInt8(ascii: ":") }
        guard rest.first == UInt8(ascii: "\"") else { return nil }
        let value = rest.dropFirst().prefix { $0 != UInt8(ascii: "\"") }
        return value.isEmpty ? nil : String(decoding: value, as: UTF8.self)
    }
}
