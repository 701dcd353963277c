// Tells the service manager how the relay is, and that it makes *progress*: a process that runs and does nothing is the
// failure nobody notices. The watchdog is fed only while the buffer's writer gets its groups to disk, maintenance goes
// round, and every port answers. One thread of its own that touches no disk, so that a stuck disk (F42) cannot stop it:
//
//   disk stuck for 5 s   requests in the queue are answered 503, new ones too (BufferWriter); `/readyz` says no
//   no progress for WatchdogSec (60 s in our unit)   systemd kills the relay and starts it again

package import Log
package import System
import Synchronization

/// Set by a thread each time round; others see how long ago that was.
package final class Pulse: Sendable {
    private let time: any TimeSource
    private let last: Atomic<UInt64>

    package init(time: any TimeSource) {
        self.time = time
        last = Atomic(time.monotonicNanoseconds())
    }

    package func beat() { last.store(time.monotonicNanoseconds(), ordering: .relaxed) }

    package var ageSeconds: Double {
        let (now, last) = (time.monotonicNanoseconds(), last.load(ordering: .relaxed))
        return Double(now - min(now, last)) / 1e9
    }
}

package final class Supervision: Sendable {
    /// Maintenance may be busy with the disk for a while; longer than this it hangs.
    package static let maintenancePatienceSeconds = 30.0
    private static let answerSeconds = 2.0
    private static let tickSeconds = 1.0

    package struct Probes: Sendable {
        package let writer: WriterProgress
        package let maintenance: Pulse
        /// Answers those who wait in the writer's queue that the disk is stuck.
        package let refuseQueued: @Sendable () -> Int
        package let portsAnswer: @Sendable (_ withinSeconds: Double) -> Bool

        package init(
            writer: WriterProgress, maintenance: Pulse, refuseQueued: @escaping @Sendable () -> Int,
            portsAnswer: @escaping @Sendable (Double) -> Bool
        ) {
            self.writer = writer
            self.maintenance = maintenance
            self.refuseQueued = refuseQueued
            self.portsAnswer = portsAnswer
        }
    }

    private let notifier: ServiceNotifier
    private let probes: Probes
    private let time: any TimeSource
    private let log: Log
    private let isStopped = Monitor(false)
    private let stuckCount = Atomic<Int>(0)

    package init(notifier: ServiceNotifier, probes: Probes, time: any TimeSource, log: Log) {
        self.notifier = notifier
        self.probes = probes
        self.time = time
        self.log = log
    }

    /// How often the disk was found stuck.
    package var stuckDisks: Int { stuckCount.load(ordering: .relaxed) }

    package func stop() { isStopped.update { $0 = true } }

    /// The thread's body.
    package func run() {
        // systemd asks for two signs of life per period; the third is for a machine that is busy.
        let period = notifier.watchdogSeconds.map { $0 / 3 }
        let tick = min(Self.tickSeconds, period ?? Self.tickSeconds)
        var wasStuck = false
        var reported: String?
        var fedAt: UInt64?
        while isStopped.wait(timeoutSeconds: tick, until: { $0 ? true : nil }) != true {
            wasStuck = lookAtDisk(wasStuck: wasStuck)
            guard let period else { continue }
            let now = time.monotonicNanoseconds()
            if let fedAt, Double(now - fedAt) / 1e9 < period - tick / 2 { continue }
            let missing = whatHangs()
            if missing == nil {
                notifier.watchdog()
                fedAt = now
            }
            if let missing, missing != reported { log.error("no_progress", ["part": .string(missing)]) }
            reported = missing
        }
    }

    /// The part that makes no progress; nil when all do.
    package func whatHangs() -> String? {
        if probes.writer.isStuck { return "writer" }
        if probes.maintenance.ageSeconds > Self.maintenancePatienceSeconds { return "maintenance" }
        return probes.portsAnswer(Self.answerSeconds) ? nil : "http"
    }

    private func lookAtDisk(wasStuck: Bool) -> Bool {
        let isStuck = probes.writer.isStuck
        let refused = isStuck ? probes.refuseQueued() : 0
        if isStuck, !wasStuck {
            stuckCount.wrappingAdd(1, ordering: .relaxed)
            log.error(
                "disk_stuck",
                [
                    "seconds": .double(probes.writer.stalledSeconds), "refused": .int(refused),
                    "hint": "the disk does not answer: nothing is acknowledged until it does (dmesg, smartctl)",
                ])
        } else if !isStuck, wasStuck {
            log.warning("disk_answers_again", [:])
        }
        return isStuck
    }
}
