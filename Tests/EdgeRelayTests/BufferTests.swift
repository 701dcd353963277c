// What the relay remembers and forgets: identities, headers, segments, room.

import Crypto
import EdgeRelay
import Models
import SegmentedLog
import SyncProtocol
import System
import Testing

@Suite("the buffer's decisions")
struct BufferTests {
    @Test("a record's header survives its encoding; anything else is no header")
    func header() {
        let header = RecordHeader(
            identity: ReportIdentity(droneID: "pw-000123", boot: "6f1c", seq: .max), digest: SHA256.hash("x"),
            isAssigned: true)
        let bytes = header.encoded()
        #expect(RecordHeader(bytes) == header)
        for length in 0..<bytes.count { #expect(RecordHeader(Array(bytes.prefix(length))) == nil) }
        #expect(RecordHeader(bytes + [0]) == nil)
        #expect(RecordHeader([2] + bytes.dropFirst()) == nil)
    }

    @Test("the first bytes of an identity are the reference for every later copy")
    func identities() {
        var recent = RecentIdentities(generationSize: 2)
        #expect(recent.stored(identity: 1, digest: 10) == .stored)
        #expect(recent.stored(identity: 1, digest: 10) == .duplicate)
        #expect(recent.stored(identity: 1, digest: 11) == .conflict)
        #expect(recent.stored(identity: 1, digest: 11) == .conflict)
        #expect(recent.stored(identity: 2, digest: 20) == .stored)
        // The third makes 1 and 2 the older generation; two more drop them: memory is bounded, nothing breaks.
        #expect(recent.stored(identity: 3, digest: 30) == .stored)
        #expect(recent.stored(identity: 1, digest: 10) == .duplicate)
        #expect(recent.stored(identity: 4, digest: 40) == .stored)
        #expect(recent.stored(identity: 5, digest: 50) == .stored)
        #expect(recent.count <= 4)
        #expect(recent.stored(identity: 1, digest: 10) == .stored)
    }

    @Test("reports without seq: the same bytes within 30 s are one report, later or other bytes are another")
    func unsequenced() {
        let window: UInt64 = 30_000_000_000
        var numbers = UnsequencedReports(relayID: "r", epoch: String(repeating: "a", count: 32))
        let (x, y) = (SHA256.hash("x"), SHA256.hash("y"))
        let start: UInt64 = 5_000_000_000
        let first = numbers.identity(droneID: "d", digest: x, at: start)
        #expect(first.boot == "relay.r.\(String(repeating: "a", count: 32))" && first.seq == 1)
        #expect(numbers.identity(droneID: "d", digest: x, at: start + window - 1) == first)
        #expect(numbers.identity(droneID: "d", digest: y, at: start).seq == 2)
        #expect(numbers.identity(droneID: "e", digest: x, at: start).seq == 3)
        #expect(numbers.identity(droneID: "d", digest: x, at: start + window).seq == 4)
    }

    @Test("a segment goes only when it is sealed, wholly archived and its hold time is over, or room is needed")
    func release() {
        func segment(_ first: Int64, _ last: Int64, sealed: Bool, at seconds: Int64) -> SegmentSummary {
            SegmentSummary(
                firstPosition: first, lastPosition: last, entries: Int(last - first + 1), bytes: 1, sealed: sealed,
                firstTimeMicroseconds: seconds * 1_000_000, lastTimeMicroseconds: seconds * 1_000_000)
        }
        let segments = [
            segment(1, 10, sealed: true, at: 0), segment(11, 20, sealed: true, at: 0),
            segment(21, 30, sealed: true, at: 90), segment(31, 40, sealed: false, at: 0),
        ]
        func released(_ archived: IntervalSet, excess: Int = 0) -> [Int64] {
            var excess = excess
            return SegmentRelease.releasable(
                segments, settled: archived, nowMicroseconds: 100_000_000, holdSeconds: 60, excessBytes: &excess)
        }
        #expect(released(IntervalSet(1...40)) == [1, 11])
        #expect(released(IntervalSet([1...14, 16...40])) == [1])
        #expect(released(IntervalSet(1...40), excess: 3) == [1, 11, 21])
        #expect(released(IntervalSet(), excess: .max) == [])
        // Only as much as must go, the oldest first; what goes anyway counts.
        #expect(released(IntervalSet(1...40), excess: 2) == [1, 11])
    }

    @Test("the buffer's steps begin exactly where the design says, and another's full disk counts like our own")
    func levels() {
        let admission = BufferAdmission(maxBytes: 1_000_000)
        let roomy = 10_000_000_000
        #expect(admission.level(used: 749_999, free: roomy) == .normal)
        #expect(admission.level(used: 750_000, free: roomy) == .warning)
        #expect(admission.level(used: 850_000, free: roomy) == .releasing)
        #expect(admission.level(used: 950_000, free: roomy) == .alertsOnly)
        #expect(admission.level(used: 1_000_000, free: roomy) == .full)
        #expect(admission.level(used: 0, free: admission.reserveBytes) == .full)
        #expect(admission.level(used: 500_000, free: admission.reserveBytes + 1) == .alertsOnly)
    }

    @Test("a token bucket gives the burst at once, then the rate, and says how long to wait")
    func bucket() {
        var bucket = TokenBucket(burst: 3, at: 0)
        for _ in 0..<3 { #expect(bucket.take(1, ratePerSecond: 2, burst: 3, at: 0) == nil) }
        #expect(bucket.take(1, ratePerSecond: 2, burst: 3, at: 0) == 0.5)
        #expect(bucket.take(1, ratePerSecond: 2, burst: 3, at: 500_000_000) == nil)
        #expect(bucket.take(1, ratePerSecond: 2, burst: 3, at: 500_000_000) == 0.5)
        // A clock that stands still or is read out of order gives nothing away.
        #expect(bucket.take(1, ratePerSecond: 2, burst: 3, at: 100) == 0.5)
    }
}
