// What keeps the buffer in its limits, decision by decision: the reserve, what must go, what may go, what is missing.

import Configuration
import EdgeRelay
import Models
import SegmentedLog
import SyncProtocol
import Testing

@Suite("the buffer's limits")
struct BufferKeepingTests {
    private func segment(
        _ first: Int64, _ last: Int64, sealed: Bool = true, hour: Int64 = 0, bytes: Int = 1,
        holes: [ClosedRange<Int64>] = []
    ) -> SegmentSummary {
        SegmentSummary(
            firstPosition: first, lastPosition: last, entries: Int(last - first + 1), bytes: bytes, sealed: sealed,
            firstTimeMicroseconds: hour * 3_600_000_000, lastTimeMicroseconds: hour * 3_600_000_000, holes: holes)
    }

    @Test("the reserve is 64 MiB, and an eighth of a buffer smaller than 512 MiB")
    func reserve() {
        #expect(BufferAdmission.reserveBytes(forMaxBytes: 8 << 30) == 64 << 20)
        #expect(BufferAdmission.reserveBytes(forMaxBytes: 512 << 20) == 64 << 20)
        #expect(BufferAdmission.reserveBytes(forMaxBytes: 16 << 20) == 2 << 20)
    }

    @Test("what must go brings the buffer just below its step, whether its own limit or the disk's is the narrower")
    func excess() {
        let admission = BufferAdmission(maxBytes: 1_000_000)
        for (used, free) in [(849_999, 1 << 30), (850_000, 1 << 30), (990_000, 1 << 30), (600_000, 200_000), (5, 0)] {
            let excess = admission.excess(used: used, free: free)
            #expect(admission.level(used: used - excess, free: free + excess) < .releasing || used - excess == 0)
            #expect((excess > 0) == (admission.level(used: used, free: free) >= .releasing))
        }
        #expect(admission.room(used: 900_000, free: 1 << 30) == 50_000)
        #expect(admission.room(used: 990_000, free: 1 << 30) == 0)
    }

    @Test("a segment with records lost to damage goes when the others are archived")
    func holes() {
        let segments = [segment(1, 10, holes: [4...5])]
        func released(_ settled: IntervalSet) -> [Int64] {
            var excess = 0
            return SegmentRelease.releasable(
                segments, settled: settled, nowMicroseconds: 0, holdSeconds: 0, excessBytes: &excess)
        }
        #expect(released(IntervalSet([1...3, 6...10])) == [1])
        #expect(released(IntervalSet([1...3, 7...10])) == [])
    }

    @Test("the segment being written is sealed for release only when room is needed and all of it is archived")
    func sealing() {
        let active = segment(11, 20, sealed: false)
        #expect(SegmentRelease.isWorthSealing(active, settled: IntervalSet(1...20), excessBytes: 1))
        #expect(!SegmentRelease.isWorthSealing(active, settled: IntervalSet(1...20), excessBytes: 0))
        #expect(!SegmentRelease.isWorthSealing(active, settled: IntervalSet(1...19), excessBytes: 1))
        #expect(!SegmentRelease.isWorthSealing(segment(11, 20), settled: IntervalSet(1...20), excessBytes: 1))
    }

    @Test("a retention rule drops nothing in its first hour, nothing young, and nothing once the wall clock jumped")
    func retention() {
        let hour: UInt64 = 3_600_000_000_000
        func wall(_ hours: Int64) -> Int64 { hours * 3_600_000_000 }
        var rule = RetentionRule(dropAfterHours: 24, wallMicroseconds: wall(100), monotonic: 0)
        let segments = [
            segment(1, 10, hour: 10), segment(11, 20, hour: 90), segment(21, 30, sealed: false, hour: 10),
        ]
        #expect(rule.expired(segments, wallMicroseconds: wall(101), monotonic: hour - 1).isEmpty)
        let gone = rule.expired(segments, wallMicroseconds: wall(101), monotonic: hour)
        #expect(gone.map(\.firstPosition) == [1] && !rule.isSuspended)
        // A year forward within an hour: the clock is wrong, not the records old.
        #expect(rule.expired(segments, wallMicroseconds: wall(8_862), monotonic: 2 * hour).isEmpty)
        #expect(rule.isSuspended)
        #expect(rule.expired(segments, wallMicroseconds: wall(103), monotonic: 3 * hour).isEmpty)
    }

    @Test("what is missing at start is exactly what was once on disk and is neither there nor archived nor dropped")
    func missing() {
        let note = StateStore.EpochNote(archived: IntervalSet(1...100), through: 500, dropped: IntervalSet(101...120))
        let epoch = Recovery.Epoch([segment(201, 300, holes: [250...259]), segment(301, 400)], note: note)
        #expect(epoch.through == 500)
        #expect(epoch.missing == IntervalSet([101...200, 250...259, 401...500]))
        #expect(epoch.dropped == IntervalSet(101...120))
        #expect(epoch.lost == IntervalSet([121...200, 250...259, 401...500]))
        let unknown = Recovery.Epoch([segment(1, 10)], note: nil)
        #expect(unknown.through == 10 && unknown.missing.isEmpty && unknown.archived.isEmpty)
        #expect(Recovery.Epoch([], note: nil).through == 0)
    }

    @Test("records that are missing are never sent nor waited for, and central is asked once about them")
    func missingIsSettled() throws {
        var machine = ForwarderStateMachine(limits: .init(maxInFlight: 4, maxBatchBytes: 1 << 20))
        machine.epochOpened("e", through: 100, archived: IntervalSet(1...60), missing: IntervalSet(61...100))
        #expect(machine.waiting == 0 && machine.missingCount == 40)
        guard case .ask(let question) = machine.nextOrder(at: 1), question.epoch == "e" else {
            Issue.record("it asks whether central has them")
            return
        }
        // State was lost, not the records: central has most of them.
        machine.acknowledged(
            question.id, Acknowledgement(received: IntervalSet(), archived: IntervalSet(1...95)), at: 2)
        #expect(machine.missingCount == 5 && machine.waiting == 0)
        #expect(machine.epochs[0].settled == IntervalSet(1...100))
        guard case .idle = machine.nextOrder(at: 10_000_000_000) else {
            Issue.record("once is enough")
            return
        }
        machine.epochReleased("e")
        #expect(machine.missingCount == 5, "what was lost stays counted")
    }

    @Test("a hole found while reading is settled, and a record that turns up archived is not")
    func holeWhileReading() throws {
        var machine = ForwarderStateMachine(limits: .init(maxInFlight: 1, maxBatchBytes: 1 << 20))
        machine.epochOpened("e", through: 10, archived: IntervalSet(), isCurrent: true)
        guard case .send(let batch) = machine.nextOrder(at: 1) else {
            Issue.record("it sends")
            return
        }
        _ = machine.batchRead(
            batch.id, numbers: IntervalSet([1...3, 6...10]), missing: IntervalSet(4...5), lineBytes: 12_000,
            wireBytes: 3_000, at: 1)
        #expect(machine.waiting == 8 && machine.missingCount == 2)
        let archived = IntervalSet([1...3, 6...10])
        machine.acknowledged(batch.id, Acknowledgement(received: archived, archived: archived), at: 2)
        #expect(machine.waiting == 0)
    }

    @Test("the buffer's settings fit each other, and each mistake is named")
    func settings() throws {
        func read(_ buffer: String, central: String = "[]") throws -> RelayConfiguration.Buffer {
            let text =
                #"{relay_id: "r", listen: "127.0.0.1:1", data_dir: "d", central: \#(central), buffer: \#(buffer)}"#
            return try RelayConfiguration.parse(
                try ConfigurationNode.parse(json5: Array(text.utf8)), environment: [:], relativeTo: "/x"
            ).buffer
        }
        #expect(try read("{}") == RelayConfiguration.Buffer())
        // A small buffer gets small segments by itself.
        #expect(try read("{max_bytes: 16777216}").segmentBytes == 2 << 20)
        #expect(try read("{drop_after_hours: 24}").dropAfterHours == 24)
        for (buffer, central, key) in [
            ("{max_bytes: 16777216, segment_bytes: 8388608}", "[]", "buffer.segment_bytes"),
            ("{drop_after_hours: 24}", #"["http://127.0.0.1:2"]"#, "buffer.drop_after_hours"),
            ("{strict_filesystem: true, allow_any_filesystem: true}", "[]", "buffer.allow_any_filesystem"),
            ("{max_byte: 1}", "[]", "buffer.max_byte"),
        ] {
            #expect { try read(buffer, central: central) } throws: { ($0 as? ConfigurationError)?.key == key }
        }
    }
}
