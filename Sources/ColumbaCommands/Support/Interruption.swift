// Ctrl-C and SIGTERM for commands that end in an orderly way: the first asks, the second insists.
import Glibc
import System

final class Interruption: Sendable {
    private let isDismissed = Monitor(false)

    /// Create it before the command starts any other thread.
    /// - Parameter onFirst: called on another thread.
    init(_ onFirst: @escaping @Sendable () -> Void) {
        Signals.blockTermination()
        _ = WorkerThread(name: "signals") { [isDismissed] in
            let first = Signals.wait()
            if isDismissed.withLock({ $0 }) { exit(128 + first.rawValue) }
            onFirst()
            let second = Signals.wait()
            exit(128 + second.rawValue)
        }
    }

    /// From now on the first signal already ends the process.
    func dismiss() { isDismissed.update { $0 = true } }
}
