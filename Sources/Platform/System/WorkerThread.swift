// Real threads for work that waits on a disk or a socket: such a wait must never block Swift's small cooperative pool.

import CPosix
import Glibc
import Synchronization

/// A thread that runs one body. `join` waits for its end; a thread that is never joined is detached when released.
package final class WorkerThread: Sendable {
    private final class Start: Sendable {
        let name: String
        let body: @Sendable () -> Void

        init(name: String, body: @escaping @Sendable () -> Void) {
            self.name = name
            self.body = body
        }
    }

    /// The thread until someone joins it.
    private let thread: Mutex<pthread_t?>

    /// - Parameters:
    ///   - name: shown by `top -H` and debuggers, cut to 15 bytes.
    ///   - stackBytes: the stack's size; only touched pages cost memory.
    package init(name: String, stackBytes: Int = 1 << 20, _ body: @escaping @Sendable () -> Void) {
        precondition(stackBytes >= 65_536, "a thread needs at least 64 KiB of stack, got \(stackBytes)")
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        pthread_attr_setstacksize(&attributes, stackBytes)
        let start = Unmanaged.passRetained(Start(name: name, body: body))
        var created = pthread_t()
        let error = pthread_create(
            &created, &attributes,
            { argument in
                guard let argument else { return nil }
                let start = Unmanaged<Start>.fromOpaque(argument).takeRetainedValue()
                columba_name_thread(start.name)
                start.body()
                return nil
            }, start.toOpaque())
        pthread_attr_destroy(&attributes)
        precondition(error == 0, "cannot start thread \(name): \(SystemError.text(of: error))")
        thread = Mutex(created)
    }

    deinit {
        if let thread = takeThread() { pthread_detach(thread) }
    }

    /// Waits for the body's end. One caller waits; a second call returns at once.
    package func join() {
        guard let thread = takeThread() else { return }
        precondition(pthread_equal(thread, pthread_self()) == 0, "a thread cannot wait for its own end")
        pthread_join(thread, nil)
    }

    private func takeThread() -> pthread_t? {
        thread.withLock { held in
            defer { held = nil }
            return held
        }
    }

    /// Lowers the calling thread's priority for processor and disk, for background work that must not slow the rest.
    package static func yieldToOthers(niceness: Int32 = 10) {
        // Both are wishes: where the kernel refuses them the work is done all the same.
        _ = columba_renice_thread(niceness)
        _ = columba_idle_io_thread()
    }
}
