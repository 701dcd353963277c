// How a command ends (contract §7).

package enum CommandResult: Int32, Sendable {
    case ok = 0
    case failed = 1
    case usage = 2
}

/// A command could not do its work: one line for a person, exit status 1.
package struct CommandFailure: Error, Sendable {
    package let message: String

    package init(_ message: String) { self.message = message }
}
