// The history in 64 bits: every event of the world is mixed in, with its virtual time. Two runs of one seed have the
// same hash, or the simulator is broken (C24).

struct Trace {
    /// What happened; the raw value is part of the hash.
    enum Kind: UInt64 {
        case report = 1, answer, commit, batch, acknowledgement, archived, crash, start, fault, released, refused, note
    }

    private(set) var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    private(set) var events = 0
    /// The last lines, for whoever looks at a failure.
    private(set) var lines: [String] = []
    let keepsLines: Bool
    private static let linesKept = 400

    init(keepsLines: Bool) { self.keepsLines = keepsLines }

    mutating func add(_ kind: Kind, at: Instant, _ first: Int, _ second: Int = 0, _ text: @autoclosure () -> String) {
        events += 1
        for value in [at, kind.rawValue, UInt64(bitPattern: Int64(first)), UInt64(bitPattern: Int64(second))] {
            hash = (hash ^ value) &* 0x9e37_79b9_7f4a_7c15
            hash ^= hash >> 29
        }
        guard keepsLines else { return }
        lines.append("\(at.seconds) \(kind) \(first) \(second) \(text())")
        if lines.count > 2 * Self.linesKept { lines.removeFirst(Self.linesKept) }
    }
}
