// The cache's folders, one for each process, and what the file system tells of the copies in them.

import Glibc
package import System

extension ObjectCache {
    /// The first folder `<directory>/<number>` that no other process has.
    package static func open(
        in directory: String, maxBytes: Int, time: any TimeSource = SystemTime()
    ) throws -> ObjectCache {
        let most = 16
        for number in 0..<most {
            do {
                return try ObjectCache(directory: "\(directory)/\(number)", maxBytes: maxBytes, time: time)
            } catch let error as SystemError where error.errno == EWOULDBLOCK && number < most - 1 {
                continue
            }
        }
        throw SystemError(
            operation: "open", path: directory, errno: EBUSY, detail: "\(most) processes have a cache here")
    }

    static func forgetReads(_ path: String) {
        // UTIME_OMIT of <fcntl.h>: the time of change stays.
        let omitted = timespec(tv_sec: 0, tv_nsec: (1 << 30) - 2)
        // Where it is refused, copies go in the order in which they came.
        _ = utimensat(AT_FDCWD, path, [timespec(tv_sec: 0, tv_nsec: 0), omitted], 0)
    }
}
