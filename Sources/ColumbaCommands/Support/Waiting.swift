// Shows on a terminal that a long wait is still a wait.
import Simulation
import System

enum Waiting {
    private static let quietSeconds = 2.0

    /// Lets this thread rest.
    static func pause(seconds: Double) {
        _ = Monitor(false).wait(timeoutSeconds: seconds) { _ in nil as Bool? }
    }

    /// Runs `work` on this thread; after two seconds another thread counts the seconds on the live line.
    static func show<Result>(
        _ text: String, _ console: Console, _ work: () throws(CommandFailure) -> Result
    ) throws(CommandFailure) -> Result {
        let isDone = Monitor(false)
        let clock = WorkerThread(name: "waiting") {
            var seconds = quietSeconds
            if isDone.wait(timeoutSeconds: seconds, until: { $0 ? true : nil }) != nil { return }
            while true {
                console.live("\(text) … \(ProgressBar.clock(seconds))")
                if isDone.wait(timeoutSeconds: 1, until: { $0 ? true : nil }) != nil { break }
                seconds += 1
            }
            console.live("")
        }
        defer {
            isDone.update { $0 = true }
            clock.join()
        }
        return try work()
    }
}
