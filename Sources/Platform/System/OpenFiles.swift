// How many files and sockets this process may have open.

import CPosix

package enum OpenFiles {
    /// Raises the soft limit towards `wanted`, at most to the hard limit. Returns the limit now in force.
    @discardableResult
    package static func raiseLimit(to wanted: Int) -> Int {
        Int(clamping: columba_raise_open_files(UInt64(max(0, wanted))))
    }
}
