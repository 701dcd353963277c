// How much goes onto the link, learnt from what central acknowledges: the batch size, the bytes in flight, the time a
// request gets. Pure.
//
// A batch aims at about a second and a half of the link. The speed is the rate at which bytes were acknowledged while a
// batch was under way (so batches that share the link do not hide each other's bytes): it never exceeds what the link
// carries, and a batch's size follows it. It grows at most fourfold a batch, so a wrong guess costs little, and halves
// whenever a request fails: a link that is up for seconds at a time gets batches that fit into them (F63, F66).

struct LinkControl: Sendable {
    /// A batch should be acknowledged within about this time, or twice the round trip if that is longer.
    static let targetSeconds = 1.5
    static let targetCapSeconds = 6.0
    /// Lines of a batch, before the speed is known: about 8 KiB on the wire.
    static let firstBatchBytes = 32 * 1024
    /// About one report: below this a smaller batch is not quicker any more.
    static let minimumBatchBytes = 2 * 1024
    /// A request's share of headers and the acknowledgement, roughly.
    static let overheadBytes = 600
    /// F64: the answer to a batch of several records takes no longer.
    static let shortestDeadlineSeconds = 10.0
    static let deadlineSeconds = 15.0
    /// One record larger than the link likes gets up to this long.
    static let longestDeadlineSeconds = 300.0
    private static let slowestGuess = 2_000.0

    /// What was acknowledged when a request began, and since when that had not grown: bytes acknowledged shortly after
    /// were on the link before.
    struct Start: Sendable { let delivered: Double; let deliveredAt: UInt64 }

    /// Bytes a second on the wire; nil until something was acknowledged.
    private(set) var bytesPerSecond: Double?
    /// Bytes of lines in the next batch.
    private(set) var batchBytes: Int
    /// Lines ÷ bytes on the wire.
    private(set) var compression = 4.0
    /// Bytes of one record's line.
    private(set) var recordBytes = 1_500.0
    private let maxBatchBytes: Int
    private var delivered = 0.0
    private var deliveredAt: UInt64 = 0
    private var timeoutsInARow = 0
    private var roundTripSeconds = 0.0

    init(maxBatchBytes: Int) {
        self.maxBatchBytes = maxBatchBytes
        batchBytes = min(maxBatchBytes, Self.firstBatchBytes)
    }

    private var target: Double { min(Self.targetCapSeconds, max(Self.targetSeconds, 2 * roundTripSeconds + 0.5)) }

    /// Bytes on the wire that may be in flight besides one batch.
    var windowBytes: Double { (bytesPerSecond ?? 0) * target }

    func wireBytes(ofLines bytes: Int) -> Int { Int(Double(bytes) / compression) + Self.overheadBytes }

    func linesOf(wireBytes: Double) -> Int {
        Int(min(1e9, max(1, (wireBytes - Double(Self.overheadBytes)) * compression)))
    }

    /// Records that fill a batch of so many bytes of lines.
    func records(in bytes: Int) -> Int64 { Int64(max(1, (Double(bytes) / recordBytes).rounded())) }

    /// - Parameter linkIsIdle: nothing else is in flight.
    mutating func start(at now: UInt64, linkIsIdle: Bool) -> Start {
        if linkIsIdle { deliveredAt = now }
        return Start(delivered: delivered, deliveredAt: deliveredAt)
    }

    mutating func read(records: Int, lineBytes: Int, wireBytes: Int) {
        guard records > 0, lineBytes > 0, wireBytes > 0 else { return }
        // Small batches say less about the records to come.
        let weight = min(0.3, Double(records) / 100)
        recordBytes += (Double(lineBytes) / Double(records) - recordBytes) * weight
        let ratio = min(50, max(1, Double(lineBytes) / Double(wireBytes)))
        compression += (ratio - compression) * weight
    }

    /// Seconds until an answer must be here, with so many bytes in flight on the same link.
    func deadline(records: Int, wireBytesInFlight: Double) -> Double {
        let speed = max(64, bytesPerSecond ?? Self.slowestGuess)
        let expected = 5 + 3 * wireBytesInFlight / speed + 2 * roundTripSeconds
        guard records <= 1 else { return min(Self.deadlineSeconds, max(Self.shortestDeadlineSeconds, expected)) }
        let patience = Self.deadlineSeconds * Double(1 << min(timeoutsInARow, 5))
        return min(
            Self.longestDeadlineSeconds, max(Self.shortestDeadlineSeconds, min(expected, patience), patience / 2))
    }

    mutating func acknowledged(
        _ start: Start, wireBytes: Int, wasFull: Bool, roundTripSeconds: Double?, at now: UInt64
    ) {
        timeoutsInARow = 0
        delivered += Double(wireBytes + Self.overheadBytes)
        deliveredAt = now
        if let roundTripSeconds { self.roundTripSeconds = max(0, roundTripSeconds) }
        let seconds = max(0.000_5, Double(now - min(now, start.deliveredAt)) / 1e9)
        let sample = (delivered - start.delivered) / seconds
        let before = bytesPerSecond ?? 0
        if sample > before {
            bytesPerSecond = sample
        } else if wasFull {
            // A batch that did not fill the link says only how fast it is at least.
            bytesPerSecond = before + (sample - before) * 0.25
        }
        let fitting = (bytesPerSecond ?? sample) * target * compression
        batchBytes = clamp(min(fitting, Double(batchBytes) * 4))
    }

    mutating func failed(isTimeout: Bool) {
        if isTimeout { timeoutsInARow += 1 }
        bytesPerSecond = bytesPerSecond.map { max(64, $0 / 2) }
        batchBytes = clamp(Double(batchBytes) / 2)
    }

    private func clamp(_ bytes: Double) -> Int {
        min(maxBatchBytes, max(min(Self.minimumBatchBytes, maxBatchBytes), Int(min(bytes, 1e9))))
    }
}
