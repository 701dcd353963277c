// Termination signals are blocked in every thread and taken by one thread that waits for them: no code ever runs in a
// signal handler.

import Glibc

/// Why the process is asked to end.
package enum TerminationSignal: Int32, Sendable {
    case hangup = 1
    case interrupt = 2
    case terminate = 15
}

package enum Signals {
    /// Blocks SIGTERM, SIGINT and SIGHUP for this thread and all threads it starts, and ignores SIGPIPE.
    /// Call it first in `main`, before any thread exists. Child processes get the defaults back.
    package static func blockTermination() {
        var set = terminationSet
        pthread_sigmask(SIG_BLOCK, &set, nil)
        signal(SIGPIPE, SIG_IGN)
    }

    /// Waits for the next termination signal; it must have been blocked before.
    package static func wait() -> TerminationSignal {
        var set = terminationSet
        while true {
            var number: Int32 = 0
            if sigwait(&set, &number) == 0, let signal = TerminationSignal(rawValue: number) { return signal }
        }
    }

    private static var terminationSet: sigset_t {
        var set = sigset_t()
        sigemptyset(&set)
        for signal in [SIGTERM, SIGINT, SIGHUP] { sigaddset(&set, signal) }
        return set
    }
}
