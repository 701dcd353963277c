// Standard output carries data, standard error carries messages; colour and live lines appear only on a terminal.
import Glibc
import System

package struct Console: Sendable {
    /// Whether a live line and colour may go to standard error.
    package let isInteractive: Bool
    package let hasColour: Bool
    package let outputIsTerminal: Bool

    package init(environment: [String: String] = Environment.variables) {
        let isPlain = environment["TERM"] == "dumb"
        isInteractive = Environment.isTerminal(2) && !isPlain
        outputIsTerminal = Environment.isTerminal(1)
        let refused = environment["NO_COLOR"].map { !$0.isEmpty } ?? false
        hasColour = Environment.isTerminal(1) && !isPlain && !refused
    }

    /// A line of data.
    package func data(_ line: String) { Self.write(Array((line + "\n").utf8), to: 1) }

    package func data(_ bytes: [UInt8]) { Self.write(bytes, to: 1) }

    /// A line for the person who reads along.
    package func message(_ line: String) {
        Self.write(Array(((isInteractive ? "\r\u{1B}[K" : "") + line + "\n").utf8), to: 2)
    }

    /// Replaces the live line; nothing where standard error is not a terminal. An empty text removes it.
    package func live(_ text: String) {
        guard isInteractive else { return }
        Self.write(Array(("\r\u{1B}[K" + text).utf8), to: 2)
    }

    /// The terminal's columns; 80 where that is unknown.
    package var columns: Int {
        var size = winsize()
        guard ioctl(2, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
        return Int(size.ws_col)
    }

    package func coloured(_ text: String, _ colour: Colour) -> String {
        hasColour ? "\u{1B}[\(colour.rawValue)m\(text)\u{1B}[0m" : text
    }

    package enum Colour: String, Sendable {
        case red = "31"
        case yellow = "33"
        case dim = "2"
    }

    private static func write(_ bytes: [UInt8], to descriptor: Int32) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0 {
                if errno == EINTR { continue }
                // Whoever read our data has gone (`| head`): no one is left to work for. A full disk is a failure.
                if descriptor == 1 { exit(errno == EPIPE ? 0 : 1) }
                return
            }
            rest = rest.dropFirst(count)
        }
    }
}
