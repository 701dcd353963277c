// Which sessions outlive their connections, and which the book may forget.

import MQTTServer
import Synchronization
import Testing

@Suite("sessions that are kept", .serialized)
struct SessionBookTests {
    private typealias Book = MQTTSessionBook

    @Test("what an earlier life kept is there for a client that comes back, for as long as it asked")
    func earlierLife() throws {
        let client = Book.Client(identity: nil, identifier: "d-1")
        let book = Book(kept: [client: 60, .init(identity: nil, identifier: "d-2"): .max], at: 0)
        #expect(book.kept(at: 60_000_000_000).count == 2)
        #expect(book.kept(at: 61_000_000_000).keys.map(\.identifier) == ["d-2"])
        #expect(book.kept(at: .max)[.init(identity: nil, identifier: "d-2")] == .max)
    }

    @Test("the owner hears of every change of what is kept, and of nothing else")
    func changes() throws {
        let changes = Mutex(0)
        let book = Book(onChange: { changes.withLock { $0 += 1 } })
        let listener = try Listener(sessions: book)
        defer { listener.server.stop() }
        func connect(_ flags: UInt8) throws { _ = try listener.client(name: "d-1", flags: flags) }
        try connect(2)
        #expect(changes.withLock { $0 } == 0, "a clean session is kept by no one")
        try connect(0)
        #expect(changes.withLock { $0 } == 1)
        try connect(0)
        #expect(changes.withLock { $0 } == 1, "the same again is no change")
        #expect(book.kept(at: 1).map(\.key.identifier) == ["d-1"])
        try connect(2)
        #expect(changes.withLock { $0 } == 2 && book.kept(at: 1).isEmpty)
    }
}
