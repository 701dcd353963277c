// What can go wrong with a script, sorted into what the caller can do about it.

package struct DuckDBError: Error, Hashable, Sendable, CustomStringConvertible {
    package enum Kind: Hashable, Sendable {
        /// The program is missing, of another version or cannot be started.
        case unavailable
        /// The data or the statement is at fault: the same input fails again.
        case rejected
        /// The disk, the file system or the object store.
        case storage
        /// The memory limit (DuckDB's or the kernel's).
        case memory
        case timedOut
        case cancelled
        /// More output than allowed.
        case tooMuchOutput
        /// It ended in a way that says nothing.
        case crashed
    }

    package var kind: Kind
    /// DuckDB's own first error, with its type: `Binder Error: …`. May quote values of the data: not for logs (I9).
    package var message: String
    package var hint: String

    package init(kind: Kind, message: String, hint: String = "") {
        self.kind = kind
        self.message = message
        self.hint = hint
    }

    package var description: String { hint.isEmpty ? message : "\(message); \(hint)" }

    /// The type of DuckDB's error (`Binder Error`), which never holds a value.
    package var type: String {
        guard let colon = message.firstIndex(of: ":") else { return "Error" }
        return String(message[..<colon])
    }

    /// Sorts what DuckDB wrote on standard error.
    package static func classify(_ message: String) -> Kind {
        let starts: [(String, Kind)] = [
            ("Out of Memory Error", .memory), ("IO Error", .storage), ("HTTP Error", .storage),
            ("FATAL Error", .crashed), ("INTERNAL Error", .crashed), ("Internal Error", .crashed),
        ]
        if message.contains("bad_alloc") || message.contains("failed to allocate") { return .memory }
        if let known = starts.first(where: { message.hasPrefix($0.0) }) { return known.1 }
        // Only what has one of DuckDB's types is about the input. A program that cannot load a library, or ends without
        // a word, says nothing about it: its rows are not at fault.
        let type = message.prefix { $0 != ":" && $0 != "\n" }
        return type.hasSuffix(" Error") ? .rejected : .crashed
    }
}
