// What maintenance says each time round: that it goes round, and (to `systemctl status`) how the relay is.

import Synchronization
import System

final class ServiceStatus: Sendable {
    private static let everySeconds = 10.0

    private let notifier: ServiceNotifier
    private let pulse: Pulse
    private let time: any TimeSource
    private let summary: @Sendable () -> String
    private let lastSent: Atomic<UInt64>

    init(_ notifier: ServiceNotifier, _ pulse: Pulse, time: any TimeSource, summary: @escaping @Sendable () -> String) {
        self.notifier = notifier
        self.pulse = pulse
        self.time = time
        self.summary = summary
        lastSent = Atomic(time.monotonicNanoseconds())
    }

    @Sendable func report() {
        pulse.beat()
        guard notifier.isListenedTo else { return }
        let now = time.monotonicNanoseconds()
        guard Double(now - lastSent.load(ordering: .relaxed)) / 1e9 >= Self.everySeconds else { return }
        lastSent.store(now, ordering: .relaxed)
        notifier.status(summary())
    }
}
