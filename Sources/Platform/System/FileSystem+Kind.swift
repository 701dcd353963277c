// What a disk promises: whether its file system keeps what fsync says (F45), and space set aside beforehand.

import CPosix
import Glibc

extension FileSystem {
    /// A file system by the promise that matters: that synced bytes survive a power cut.
    package enum Durability: Sendable, Equatable {
        /// On this machine's own disk.
        case local
        /// In memory, a container's layer, or another machine's disk: fsync says less than it should.
        case doubtful(name: String)
    }

    /// File systems whose fsync does not mean "on this machine's disk" (`statfs(2)`, linux/magic.h).
    private static let doubtful: [UInt32: String] = [
        0x0102_1994: "tmpfs", 0x8584_58f6: "ramfs", 0x794c_7630: "overlayfs", 0x0000_6969: "nfs",
        0xff53_4d42: "cifs", 0xfe53_4d42: "smb", 0x0000_517b: "smb", 0x0102_1997: "9p", 0x6573_5546: "fuse",
        0x00c3_6400: "ceph", 0x5346_414f: "afs", 0x7461_636f: "ocfs2", 0x6163_6673: "acfs",
    ]

    /// What the file system under `path` promises.
    package static func durability(at path: String) throws -> Durability {
        let magic = columba_filesystem_magic(path)
        guard magic >= 0 else { throw SystemError(operation: "ask for the file system of", path: path, errno: errno) }
        return doubtful[UInt32(truncatingIfNeeded: magic)].map { .doubtful(name: $0) } ?? .local
    }

    /// Makes a file whose blocks are taken from the disk without being written. False where the file system cannot.
    package static func allocate(_ path: String, bytes: Int) throws -> Bool {
        precondition(bytes > 0, "an allocation has a size")
        let descriptor = columba_open(path, O_RDWR | O_CREAT, 0o600)
        guard descriptor >= 0 else { throw SystemError(operation: "create", path: path, errno: errno) }
        defer { close(descriptor) }
        // Not posix_fallocate: where the kernel cannot, that one would write every block.
        if columba_allocate(descriptor, UInt64(bytes)) == 0 { return true }
        let error = errno
        unlink(path)
        if error == EOPNOTSUPP || error == ENOSYS { return false }
        throw SystemError(operation: "allocate", path: path, errno: error)
    }

    /// Bytes that a file takes from the disk; nil if there is none. A sparse file takes fewer than its size says.
    package static func allocatedBytes(_ path: String) -> Int? {
        var status = stat()
        let blockBytes = 512
        return stat(path, &status) == 0 ? Int(status.st_blocks) * blockBytes : nil
    }
}
