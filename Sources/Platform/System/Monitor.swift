// Shared state a real thread can wait on: a mutex with a condition variable. `Mutex` of the standard library cannot
// wait.

import Glibc

/// Holds `State` under a lock; threads wait until it has a certain shape. Never hold it across I/O.
// Safety: `state` is only touched with the pthread mutex locked, and both live at fixed heap addresses.
package final class Monitor<State>: @unchecked Sendable {
    private var state: State
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private let changed: UnsafeMutablePointer<pthread_cond_t>

    package init(_ state: sending State) {
        self.state = state
        mutex = .allocate(capacity: 1)
        changed = .allocate(capacity: 1)
        mutex.initialize(to: pthread_mutex_t())
        changed.initialize(to: pthread_cond_t())
        pthread_mutex_init(mutex, nil)
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_cond_init(changed, &attributes)
        pthread_condattr_destroy(&attributes)
    }

    deinit {
        pthread_cond_destroy(changed)
        pthread_mutex_destroy(mutex)
        changed.deallocate()
        mutex.deallocate()
    }

    /// Reads or changes the state; wakes every waiting thread afterwards if `notify`.
    package func withLock<Result, Failure: Error>(
        notify: Bool = false, _ body: (inout State) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        pthread_mutex_lock(mutex)
        defer {
            if notify { pthread_cond_broadcast(changed) }
            pthread_mutex_unlock(mutex)
        }
        return try body(&state)
    }

    /// Changes the state and wakes every waiting thread.
    package func update<Result>(_ body: (inout State) -> Result) -> Result {
        withLock(notify: true, body)
    }

    /// Waits until `condition` gives a value, looking again after every `update`; nil when the time is over.
    package func wait<Result>(timeoutSeconds: Double? = nil, until condition: (inout State) -> Result?) -> Result? {
        var deadline = timespec()
        if let timeoutSeconds {
            let nanosecondsPerSecond = 1_000_000_000
            let wait = Int((min(max(timeoutSeconds, 0), 1e9) * Double(nanosecondsPerSecond)).rounded())
            clock_gettime(CLOCK_MONOTONIC, &deadline)
            let nanoseconds = deadline.tv_nsec + wait % nanosecondsPerSecond
            deadline.tv_sec += wait / nanosecondsPerSecond + nanoseconds / nanosecondsPerSecond
            deadline.tv_nsec = nanoseconds % nanosecondsPerSecond
        }
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while true {
            if let result = condition(&state) { return result }
            if timeoutSeconds == nil {
                pthread_cond_wait(changed, mutex)
            } else if pthread_cond_timedwait(changed, mutex, &deadline) == ETIMEDOUT {
                return condition(&state)
            }
        }
    }
}
