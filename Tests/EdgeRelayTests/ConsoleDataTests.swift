// What the console is told: tracks, drones in a line, CSV, an alert's decisions over a restart.

import EdgeRelay
import Foundation
import Models
import Testing

@Suite("what the console shows")
struct ConsoleDataTests {
    private let start = Timestamp(microseconds: 1_700_000_000_000_000)

    @Test("a track is thinned, ends with the newest place, and goes ten minutes back")
    func track() throws {
        var track = DroneTrack()
        for second in stride(from: 0.0, through: 1_800, by: 1) {
            track.add(latitude: 48 + second / 10_000, longitude: 2, at: start.adding(seconds: second))
        }
        let (first, last) = (try #require(track.points.first), try #require(track.points.last))
        #expect(last.latitude == 48 + 1_800.0 / 10_000)
        #expect(last.at.seconds(since: first.at) <= DroneTrack.seconds)
        #expect(last.at.seconds(since: first.at) > DroneTrack.seconds - 2 * DroneTrack.spacingSeconds)
        // A report a second: one before the next point was due is the one that stays.
        let spacing = DroneTrack.spacingSeconds - 1
        #expect(track.points.count <= Int(DroneTrack.seconds / spacing) + 2)
        for (earlier, later) in zip(track.points, track.points.dropFirst().dropLast()) {
            #expect(later.at.seconds(since: earlier.at) >= spacing)
        }
    }

    @Test("a track has each report of a drone that reports once a minute, and never 0/0")
    func slowTrack() {
        var track = DroneTrack()
        for minute in 0..<8 {
            track.add(
                latitude: minute == 3 ? 0 : 48, longitude: minute == 3 ? 0 : 2,
                at: start.adding(seconds: 60.0 * Double(minute)))
        }
        #expect(track.points.count == 7 && track.points.allSatisfy { $0.latitude == 48 })
    }

    private func alert(_ citizen: String?) -> Alert {
        Alert(
            alertID: String(repeating: "ab", count: 16), rule: "low-peacescore", ruleVersion: 3, severity: .critical,
            droneID: "pw-1", boot: "b", seq: 7, location: Place(latitude: 1, longitude: 2), citizen: citizen,
            value: 12.5, limit: 20, observedAt: start, receivedAt: start, raisedAt: start, relayID: "north-3")
    }

    private func change(_ state: AlertState, _ note: String, after seconds: Double) -> AlertStateChange {
        AlertStateChange(
            alertID: alert(nil).alertID, state: state, by: "officer 7", note: note,
            outcome: state == .closed ? .confirmed : nil, at: start.adding(seconds: seconds), relayID: "north-3")
    }

    @Test("every decision about an alert is kept in order, also by the state store")
    func decisions() throws {
        let book = AlertBook()
        book.raise(alert("Ada \"A\" Martin"), at: start)
        let made = [
            change(.acknowledged, "on my way", after: 1), change(.shelved, "\"known\"", after: 2),
            change(.closed, "", after: 3),
        ]
        for decision in made { _ = book.apply(decision, at: decision.at) }
        let entry = try #require(book.entry(alert(nil).alertID))
        #expect(entry.changes == made)
        let stored = entry.storedAlert()
        var restored = try stored.withUnsafeBytes { try AlertEntry(storedAlert: $0, eventID: 1) }
        restored.lastChange = entry.lastChange
        #expect(restored.changes == made)
    }

    @Test("CSV holds any name: quotation marks, commas, line breaks")
    func csv() throws {
        let book = AlertBook()
        book.raise(alert("A \"B\", C\r\nD"), at: start)
        let text = String(decoding: AlertCSV.text(book.list(state: nil, since: nil, limit: 10)), as: UTF8.self)
        #expect(text.hasPrefix("alert_id,rule,"))
        #expect(text.contains(#","A ""B"", C"# + "\r\nD\",12.5,20.0,"))
        #expect(text.hasSuffix("\r\n"))
        let columns = try #require(text.components(separatedBy: "\r\n").first).split(separator: ",").count
        #expect(columns == AlertCSV.columns.count)
    }
}
