// The list of incidents, and the accounts that raise one of them. Pure.

import Central
import FoundationEssentials
import Models
import SyncProtocol
import Testing

@Suite("incidents")
struct IncidentBookTests {
    private let start = Timestamp(microseconds: 1_795_150_800_000_000)

    @Test("an event is counted on one incident until a person closes it; the next one opens it anew")
    func events() {
        var book = IncidentBook()
        for second in 0..<3 {
            book.happened(.rollback, "r", detail: "d", at: start.adding(seconds: Double(second)))
        }
        book.happened(.rollback, "s", detail: "d", at: start)
        #expect(book.all.count == 2 && book["rollback.r"]?.count == 3 && book["rollback.r"]?.openedAt == start)
        #expect(book.takeChanges().map(\.kind) == [.opened, .opened])
        #expect(book.close("rollback.r", by: "ops", note: "restored", at: start.adding(seconds: 9))?.isOpen == false)
        #expect(book.close("rollback.r", by: "ops", note: nil, at: start) == nil)
        #expect(book.openCount(.rollback) == 1)
        book.happened(.rollback, "r", detail: "d", at: start.adding(seconds: 20))
        #expect(book["rollback.r"]?.count == 1 && book["rollback.r"]?.isOpen == true)
    }

    @Test("a condition closes by itself, and writes nothing to disk while it only goes on")
    func conditions() {
        var book = IncidentBook()
        book.goesOn(.gapOpen, "r", count: 5, detail: "5", at: start)
        #expect(book.takeUnsaved().count == 1)
        book.goesOn(.gapOpen, "r", count: 5, detail: "5", at: start.adding(seconds: 1))
        #expect(book.takeUnsaved().isEmpty)
        book.goesOn(.gapOpen, "r", count: 0, detail: "", at: start.adding(seconds: 2))
        #expect(book.openCount(.gapOpen) == 0 && book.takeChanges().map(\.kind) == [.opened, .closed])
        book.goesOn(.gapOpen, "r", count: 0, detail: "", at: start.adding(seconds: 3))
        #expect(book.takeChanges().isEmpty)
    }

    @Test("a full list forgets closed incidents first, and counts an open one that it must forget")
    func bounded() {
        var book = IncidentBook([], capacity: 2)
        book.happened(.rollback, "a", detail: "", at: start)
        _ = book.close("rollback.a", by: "x", note: nil, at: start)
        book.happened(.rollback, "b", detail: "", at: start)
        book.happened(.rollback, "c", detail: "", at: start.adding(seconds: 1))
        #expect(book["rollback.a"] == nil && book.all.count == 2 && book.dropped == 0)
        book.happened(.rollback, "d", detail: "", at: start.adding(seconds: 2))
        #expect(book["rollback.b"] == nil && book.all.count == 2 && book.dropped == 1)
        let unsaved = book.takeUnsaved()
        #expect(unsaved["rollback.b"] == .some(nil), "what is forgotten leaves the disk too")
    }

    @Test("an incident reads back from disk as it was")
    func stored() throws {
        var book = IncidentBook()
        book.happened(.recordsLost, "r", count: 7, detail: "7 records", at: start)
        _ = book.close("records_lost.r", by: "ops", note: "disk", at: start.adding(seconds: 4))
        let incident = try #require(book["records_lost.r"])
        let read = try JSONDecoder().decode(Incident.self, from: JSONEncoder().encode(incident))
        #expect(read == incident)
        #expect(IncidentBook([read]).all == [incident])
    }

    @Test("every code says what it means and what to do")
    func texts() {
        for code in IncidentCode.allCases {
            #expect(code.whatItMeans.count > 20 && code.whatToDo.count > 20)
            #expect(!code.rawValue.contains("."), "an id ends its code at the first point")
        }
    }
}

@Suite("accounts")
struct AccountBookTests {
    private func life(_ change: (inout AccountBook.Life) -> Void) -> [(relayID: String, lives: [AccountBook.Life])] {
        var life = AccountBook.Life(epoch: "e", archivedNumbers: 10)
        (life.reports, life.alerts, life.duplicates, life.rejected) = (6, 1, 2, 1)
        change(&life)
        return [("r", [life])]
    }

    private func looks(
        _ count: Int, _ relays: [(relayID: String, lives: [AccountBook.Life])], table: Int = 6
    ) -> [AccountBook.Mismatch] {
        var book = AccountBook()
        var found: [AccountBook.Mismatch] = []
        for _ in 0..<count { found = book.look(relays, tableReports: table, notedReports: 6) }
        return found
    }

    @Test("archived numbers are rows and rejected records; a record conflict is a row without a number")
    func addsUp() {
        #expect(looks(9, life { _ in }).isEmpty)
        #expect(looks(9, life { ($0.conflicts, $0.recordConflicts) = (2, 2) }).isEmpty)
    }

    @Test(
        "each count that is wrong is found, and only when it lasts",
        arguments: 0..<6)
    func wrong(_ index: Int) {
        let counts: [WritableKeyPath<AccountBook.Life, Int>] = [
            \.reports, \.alerts, \.duplicates, \.conflicts, \.rejected, \.recordConflicts,
        ]
        let relays = life { $0[keyPath: counts[index]] += 1 }
        #expect(looks(AccountBook.looksBeforeMismatch - 1, relays).isEmpty)
        #expect(looks(AccountBook.looksBeforeMismatch, relays).map(\.relayID) == ["r"])
    }

    @Test("rows that the table has too few or too many of are found")
    func table() {
        #expect(looks(3, life { _ in }, table: 5).map(\.relayID) == [nil])
        #expect(looks(3, life { _ in }, table: 7).map(\.found) == [7])
    }

    @Test("a relay that believes more archived than is, is a mismatch; one that has yet to learn of it is not")
    func believed() {
        let told = { (waiting: Int) in
            RelayReport.Epoch(epoch: "e", through: 12, waiting: waiting, missing: IntervalSet())
        }
        #expect(looks(3, life { $0.told = told(2) }).isEmpty)
        #expect(looks(3, life { $0.told = told(5) }).isEmpty)
        #expect(looks(3, life { $0.told = told(1) }).map(\.expected) == [11])
    }

    @Test("a difference that goes away in between begins anew")
    func transient() {
        var book = AccountBook()
        let (right, wrong) = (life { _ in }, life { $0.reports = 7 })
        for relays in [wrong, wrong, right, wrong, wrong] {
            #expect(book.look(relays, tableReports: 6, notedReports: 6).isEmpty)
        }
    }
}
