// What the station knows of its alerts: repeats folded, decisions, the shelf, the list.

import EdgeRelay
import Models
import Testing

@Suite("the book of alerts")
struct AlertBookTests {
    private let start = Timestamp(microseconds: 1_795_150_800_000_000)

    private func at(_ seconds: Double) -> Timestamp { start.adding(seconds: seconds) }

    private func alert(
        _ number: Int, rule: String = "low", drone: String = "d", citizen: String? = "Ada", at seconds: Double = 0,
        late: Bool = false
    ) -> Alert {
        let digits = String(number)
        let id = String(repeating: "0", count: 32 - digits.count) + digits
        return Alert(
            alertID: id, rule: rule, ruleVersion: 1, severity: .critical, droneID: drone, citizen: citizen,
            observedAt: at(seconds), receivedAt: at(seconds), raisedAt: at(seconds), relayID: "r", isLate: late)
    }

    private func change(_ number: Int, _ state: AlertState, at seconds: Double, until: Double? = nil)
        -> AlertStateChange
    {
        AlertStateChange(
            alertID: alert(number).alertID, state: state, by: "officer", outcome: state == .closed ? .confirmed : nil,
            at: at(seconds), relayID: "r", until: until.map(at))
    }

    private func states(_ book: AlertBook, folded: Bool = false) -> [String] {
        book.list(state: nil, since: nil, limit: 100, folded: folded).map {
            "\(Int($0.alert.alertID) ?? 0) \($0.alert.state.rawValue) \($0.count)"
        }
    }

    @Test("the same rule, drone and subject raised again while open is folded: listed and counted, one situation")
    func folding() {
        let book = AlertBook(foldSeconds: 300)
        for (index, seconds) in [0.0, 60, 120].enumerated() {
            book.raise(alert(index + 1, at: seconds), at: at(seconds))
        }
        book.raise(alert(4, citizen: "Bo", at: 120), at: at(120))
        #expect(states(book).sorted() == ["1 raised 3", "2 raised 1", "3 raised 1", "4 raised 1"])
        #expect(states(book, folded: true).sorted() == ["1 raised 3", "4 raised 1"])
        let first = book.entry(alert(1).alertID)
        #expect(first?.lastRaisedAt == at(120))
        #expect(book.entry(alert(3).alertID)?.alert.foldedInto == alert(1).alertID)
        #expect(book.counts.folded == 2 && book.counts.raised == 4)
    }

    @Test("beyond the fold window, after closing, and for a replayed past, a new situation begins")
    func notFolded() {
        let book = AlertBook(foldSeconds: 300)
        book.raise(alert(1), at: at(0))
        book.raise(alert(2, at: 301), at: at(301))
        book.raise(alert(3, at: 310, late: true), at: at(310))
        _ = book.apply(change(2, .closed, at: 320), at: at(320))
        book.raise(alert(4, at: 330), at: at(330))
        #expect([1, 2, 3, 4].allSatisfy { book.entry(alert($0).alertID)?.alert.foldedInto == nil })
    }

    @Test("a decision about a situation holds for the alerts folded into it, and a decision of their own stands")
    func decisions() {
        let book = AlertBook(foldSeconds: 300)
        for number in 1...3 { book.raise(alert(number, at: Double(number)), at: at(Double(number))) }
        _ = book.apply(change(2, .acknowledged, at: 10), at: at(10))
        #expect(states(book).sorted() == ["1 raised 3", "2 acknowledged 1", "3 raised 1"])
        _ = book.apply(change(1, .closed, at: 20), at: at(20))
        #expect(states(book).sorted() == ["1 closed 3", "2 acknowledged 1", "3 closed 1"])
        #expect(book.check(alert(3).alertID, to: .acknowledged)?.status == 409)
        #expect(book.list(state: .closed, since: nil, limit: 10).count == 2)
    }

    @Test("a shelved alert comes back as raised when its time is over, also after a restart")
    func shelf() {
        let book = AlertBook()
        book.raise(alert(1), at: at(0))
        book.raise(alert(2, citizen: "Bo"), at: at(0))
        _ = book.apply(change(1, .shelved, at: 1, until: 100), at: at(1))
        _ = book.apply(change(2, .shelved, at: 1), at: at(1))
        #expect(book.returnFromShelf(relayID: "r", at: at(99)).isEmpty)
        let second = AlertBook()
        second.restore(book.list(state: nil, since: nil, limit: 10))
        for book in [book, second] {
            let changes = book.returnFromShelf(relayID: "r", at: at(100))
            #expect(changes.map(\.alertID) == [alert(1).alertID] && changes.map(\.state) == [.raised])
            #expect(states(book).sorted() == ["1 raised 1", "2 shelved 1"])
            #expect(book.returnFromShelf(relayID: "r", at: at(200)).isEmpty)
        }
    }

    @Test("what the state store keeps of an entry gives the same entry back")
    func stored() throws {
        let book = AlertBook(foldSeconds: 300)
        book.raise(alert(1), subject: "battery_pct", at: at(0))
        book.raise(alert(2, at: 5), subject: "battery_pct", at: at(5))
        for entry in book.list(state: nil, since: nil, limit: 10) {
            let copy = try entry.storedAlert().withUnsafeBytes {
                try AlertEntry(storedAlert: $0, eventID: entry.eventID)
            }
            #expect(copy == entry)
        }
    }

    @Test("the book keeps to its bound and forgets what is folded or closed first")
    func bounded() {
        let book = AlertBook(foldSeconds: 300)
        book.raise(alert(1), at: at(0))
        book.raise(alert(2, citizen: "kept"), at: at(0))
        let many = AlertBook.maxAlerts + AlertBook.maxAlerts / 8 + 10
        for number in 3...many { book.raise(alert(number, at: 1), at: at(1)) }
        #expect(book.counts.known <= AlertBook.maxAlerts + AlertBook.maxAlerts / 8)
        #expect(book.entry(alert(1).alertID)?.count == many - 1)
        #expect(book.entry(alert(2).alertID) != nil)
    }
}
