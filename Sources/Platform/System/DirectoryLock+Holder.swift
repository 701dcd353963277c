// Who owns a data directory, for tools that look at it and must not take the lock themselves, not even for a moment.

import Glibc

extension DirectoryLock {
    /// The process that holds the directory's lock now; nil if none does. Reads `/proc/locks` and touches nothing.
    package static func holder(of directory: String) -> Int32? {
        var status = stat()
        guard stat(directory + "/lock", &status) == 0, let table = try? FileSystem.read("/proc/locks") else {
            return nil
        }
        let inode = String(status.st_ino)
        // «1: FLOCK  ADVISORY  WRITE 1234 fe:00:5678 0 EOF»
        for line in table.split(separator: UInt8(ascii: "\n")) {
            let fields = String(decoding: line, as: UTF8.self).split(separator: " ")
            guard fields.count > 5, fields[1] == "FLOCK", fields[3] == "WRITE",
                fields[5].split(separator: ":").last.map(String.init) == inode
            else { continue }
            return Int32(fields[4])
        }
        return nil
    }
}
