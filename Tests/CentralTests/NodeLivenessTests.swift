// Who is live is decided by changes and the reader's own clock.

import Central
import FoundationEssentials
import Testing

@Suite("which nodes live")
struct NodeLivenessTests {
    private static let second: UInt64 = 1_000_000_000

    private func entry(_ name: String, beat: Int, life: String = "1", _ roles: Set<CentralRole> = [.archive])
        -> NodeEntry
    {
        // A start far in the future: nobody compares another machine's clock with ours.
        NodeEntry(
            nodeID: name, roles: roles, life: life, startedMicroseconds: 4_102_444_800_000_000, address: "",
            version: "1", beat: beat)
    }

    @Test("a node whose entry has not changed for five seconds is dead, and alive again with its next beat")
    func silence() {
        var liveness = NodeLiveness()
        for beat in 0..<3 {
            liveness.look(
                [entry("a", beat: beat), entry("b", beat: beat)], atNanoseconds: UInt64(beat) * Self.second)
        }
        for second in 3...6 {
            liveness.look([entry("a", beat: second), entry("b", beat: 2)], atNanoseconds: UInt64(second) * Self.second)
            #expect(liveness.archivers == ["a", "b"])
        }
        liveness.look([entry("a", beat: 7), entry("b", beat: 2)], atNanoseconds: 7 * Self.second)
        #expect(liveness.archivers == ["a"])
        #expect(liveness.all.map(\.silentSeconds) == [0, 5] && liveness.all.map(\.isLive) == [true, false])
        liveness.look([entry("a", beat: 8), entry("b", beat: 3)], atNanoseconds: 8 * Self.second)
        #expect(liveness.archivers == ["a", "b"])
    }

    @Test("while the board stands still nobody dies: not for a minute, and not right after it")
    func standstill() {
        var liveness = NodeLiveness()
        for second in 0..<60 {
            liveness.look([entry("a", beat: 1), entry("b", beat: 1)], atNanoseconds: UInt64(second) * Self.second)
        }
        #expect(liveness.archivers == ["a", "b"])
        // It moves again; b is slower by three looks.
        for second in 60..<63 {
            liveness.look([entry("a", beat: second), entry("b", beat: 1)], atNanoseconds: UInt64(second) * Self.second)
        }
        #expect(liveness.archivers == ["a", "b"])
    }

    @Test("a reader that was stopped itself for a minute has not seen others' silence")
    func stopped() {
        var liveness = NodeLiveness()
        liveness.look([entry("a", beat: 1), entry("b", beat: 1)], atNanoseconds: 0)
        liveness.look([entry("a", beat: 1), entry("b", beat: 60)], atNanoseconds: 60 * Self.second)
        #expect(liveness.archivers == ["a", "b"])
    }

    @Test("a node that said goodbye is gone at once")
    func goodbye() {
        var liveness = NodeLiveness()
        liveness.look([entry("a", beat: 1), entry("b", beat: 1)], atNanoseconds: 0)
        liveness.look([entry("a", beat: 2)], atNanoseconds: Self.second / 10)
        #expect(liveness.live.map(\.nodeID) == ["a"])
    }

    @Test("only nodes with the role archive are asked to archive")
    func roles() {
        var liveness = NodeLiveness()
        liveness.look(
            [entry("a", beat: 1, [.intake, .query]), entry("b", beat: 1, [.archive, .query])], atNanoseconds: 0)
        #expect(liveness.live.map(\.nodeID) == ["a", "b"])
        #expect(liveness.archivers == ["b"])
    }

    @Test("two processes under one name are noticed; a restart is not one")
    func namesakes() {
        var liveness = NodeLiveness()
        for (beat, life) in ["1", "1", "2", "2", "3"].enumerated() {
            liveness.look([entry("a", beat: beat, life: life)], atNanoseconds: 0)
        }
        #expect(liveness.namesakes.isEmpty)
        for (beat, life) in ["4", "3"].enumerated() {
            liveness.look([entry("a", beat: beat, life: life)], atNanoseconds: 0)
        }
        #expect(liveness.namesakes == ["a"])
    }

    @Test("an entry keeps its shape on the wire")
    func shape() throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        let text = String(decoding: try encoder.encode(entry("a", beat: 3)), as: UTF8.self)
        let expected =
            #"{"address":"","beat":3,"life":"1","node_id":"a","roles":["archive"],"started":4102444800000000,"#
            + #""version":"1"}"#
        #expect(text == expected)
        #expect(try JSONDecoder().decode(NodeEntry.self, from: Data(text.utf8)) == entry("a", beat: 3))
    }
}
