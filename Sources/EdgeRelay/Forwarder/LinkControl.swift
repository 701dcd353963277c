// How much goes onto the link, learnt from what central acknowledges: the batch size, the bytes in flight, the time a
// request gets. Pure.
//
// The link is filled for about a second and a half, a batch with half of that. The speed is a batch's bytes over its
// time, times the batches that shared the link meanwhile; only full batches say how slow it is. The size grows at most
// fourfold a batch, so a wrong guess costs little, and halves when a request fails under way: a link that is up for
// seconds at a time gets batches that fit into them (F63, F66).

struct LinkControl: Sendable {
    /// What is in flight should be acknowledged within about this time, or twice the round trip if that is longer; a
    /// batch takes half of it.
    static let targetSeconds = 1.5
    static let targetCapSeconds = 6.0
    /// Lines of a batch, before the speed is known: about 3 KiB on the wire.
    static let firstBatchBytes = 12 * 1024
    /// About one report: below this a smaller batch is not quicker any more.
    static let minimumBatchBytes = 2 * 1024
    /// A request's share of headers and the acknowledgement, roughly.
    static let overheadBytes = 600
    /// A central that hangs costs so long, so that the pause stays below 10 s; one that waits for its stream says so a
    /// second earlier.
    static let shortestDeadlineSeconds = 8.0
    /// F64: the answer to a batch of several records takes no longer.
    static let deadlineSeconds = 15.0
    /// One record larger than the link likes gets up to this long.
    static let longestDeadlineSeconds = 300.0
    private static let slowestGuess = 2_000.0
    /// A request that fails sooner was refused, not cut off: that says nothing about the speed.
    private static let cutOffSeconds = 1.0

    /// Bytes a second on the wire; nil until something was acknowledged.
    private(set) var bytesPerSecond: Double?
    /// Bytes of lines in the next batch.
    private(set) var batchBytes: Int
    /// Lines ÷ bytes on the wire.
    private(set) var compression = 4.0
    /// Bytes of one record's line.
    private(set) var recordBytes = 1_500.0
    private let maxBatchBytes: Int
    private var timeoutsInARow = 0
    private var roundTripSeconds = 0.0

    init(maxBatchBytes: Int) {
        self.maxBatchBytes = maxBatchBytes
        batchBytes = min(maxBatchBytes, Self.firstBatchBytes)
    }

    private var target: Double { min(Self.targetCapSeconds, max(Self.targetSeconds, 2 * roundTripSeconds + 0.5)) }

    /// A request that is silent for longer is suspicious.
    var patienceSeconds: Double { max(4, 2 * target) }

    /// Bytes on the wire that may be in flight.
    var windowBytes: Double { (bytesPerSecond ?? 0) * target }

    func wireBytes(ofLines bytes: Int) -> Int { Int(Double(bytes) / compression) + Self.overheadBytes }

    func linesOf(wireBytes: Double) -> Int {
        Int(min(1e9, max(1, (wireBytes - Double(Self.overheadBytes)) * compression)))
    }

    /// Records that fill a batch of so many bytes of lines.
    func records(in bytes: Int) -> Int64 { Int64(max(1, (Double(bytes) / recordBytes).rounded())) }

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

    /// - Parameters:
    ///   - seconds: from its first byte to its answer.
    ///   - sharedBy: batches on the link meanwhile, on average, itself included.
    mutating func acknowledged(
        wireBytes: Int, seconds: Double, sharedBy: Double, wasFull: Bool, roundTripSeconds: Double?
    ) {
        timeoutsInARow = 0
        if let roundTripSeconds { self.roundTripSeconds = max(0, roundTripSeconds) }
        let moving = max(0.000_5, seconds - self.roundTripSeconds, seconds / 4)
        let sample = Double(wireBytes) * sharedBy / moving
        guard let before = bytesPerSecond else {
            bytesPerSecond = sample
            return fit()
        }
        // A batch that did not fill the link says only how fast it is at least.
        if wasFull || sample > before { bytesPerSecond = before + (sample - before) * (wasFull ? 0.5 : 0.25) }
        fit()
    }

    private mutating func fit() {
        let fitting = windowBytes / 2 * compression
        batchBytes = clamp(min(fitting, Double(batchBytes) * 4))
    }

    /// - Parameter afterSeconds: how long the request was under way.
    mutating func failed(isTimeout: Bool, afterSeconds: Double) {
        if isTimeout { timeoutsInARow += 1 }
        guard afterSeconds >= Self.cutOffSeconds else { return }
        bytesPerSecond = bytesPerSecond.map { max(64, $0 / 2) }
        batchBytes = clamp(Double(batchBytes) / 2)
    }

    private func clamp(_ bytes: Double) -> Int {
        min(maxBatchBytes, max(min(Self.minimumBatchBytes, maxBatchBytes), Int(min(bytes, 1e9))))
    }
}
