// What happens next: a heap of actions ordered by time, then by the order in which they were put in. Nothing else
// decides an order, so one seed gives one history.

/// Virtual nanoseconds since the beginning of the simulated world.
typealias Instant = UInt64

extension Instant {
    func adding(_ seconds: Double) -> Instant { self + Instant(Swift.max(0, seconds) * 1e9) }
    var seconds: Double { Double(self) / 1e9 }
}

struct EventQueue {
    private struct Event {
        var at: Instant
        var order: UInt64
        var action: () -> Void

        func isBefore(_ other: Event) -> Bool { at != other.at ? at < other.at : order < other.order }
    }

    private var heap: [Event] = []
    private var nextOrder: UInt64 = 0

    var isEmpty: Bool { heap.isEmpty }
    var nextTime: Instant? { heap.first?.at }

    mutating func add(at: Instant, _ action: @escaping () -> Void) {
        heap.append(Event(at: at, order: nextOrder, action: action))
        nextOrder += 1
        var child = heap.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard heap[child].isBefore(heap[parent]) else { return }
            heap.swapAt(child, parent)
            child = parent
        }
    }

    mutating func next() -> (at: Instant, action: () -> Void)? {
        guard let first = heap.first else { return nil }
        let last = heap.removeLast()
        if !heap.isEmpty {
            heap[0] = last
            sink()
        }
        return (first.at, first.action)
    }

    private mutating func sink() {
        var parent = 0
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count && heap[child].isBefore(heap[least])
            {
                least = child
            }
            guard least != parent else { return }
            heap.swapAt(parent, least)
            parent = least
        }
    }
}
