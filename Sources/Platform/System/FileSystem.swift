// Files and directories, with the fsyncs that make a change survive a power cut: a file's bytes by fsync of the file,
// its name by fsync of the directory.

import CPosix
import Glibc

package enum FileSystem {
    /// Creates the directory and all missing parents.
    package static func makeDirectories(_ path: String) throws {
        if mkdir(path, 0o755) == 0 { return }
        switch errno {
        case EEXIST:
            guard isDirectory(path) else {
                throw SystemError(operation: "create directory", path: path, errno: ENOTDIR)
            }
        case ENOENT:
            guard let slash = path.lastIndex(of: "/"), slash != path.startIndex else {
                throw SystemError(operation: "create directory", path: path, errno: ENOENT)
            }
            try makeDirectories(String(path[..<slash]))
            guard mkdir(path, 0o755) == 0 || errno == EEXIST else {
                throw SystemError(operation: "create directory", path: path, errno: errno)
            }
        case let error: throw SystemError(operation: "create directory", path: path, errno: error)
        }
    }

    /// Makes creations, renames and removals in a directory durable.
    package static func syncDirectory(_ path: String) throws {
        try withDescriptor(path, O_RDONLY | O_DIRECTORY, operation: "open directory") { descriptor in
            guard fsync(descriptor) == 0 else {
                throw SystemError(operation: "sync directory", path: path, errno: errno)
            }
        }
    }

    /// Makes a file's bytes durable.
    package static func syncFile(_ path: String) throws {
        try withDescriptor(path, O_RDONLY, operation: "open") { descriptor in
            guard fsync(descriptor) == 0 else { throw SystemError(operation: "sync", path: path, errno: errno) }
        }
    }

    /// Replaces a file as a whole: afterwards it has either the old or the new bytes, also after a power cut.
    package static func writeAtomically(_ path: String, _ bytes: [UInt8], mode: UInt32 = 0o644) throws {
        let temporary = temporaryName(beside: path)
        try writeDurably(temporary, bytes, mode: mode)
        guard Glibc.rename(temporary, path) == 0 else {
            let error = errno
            unlink(temporary)
            throw SystemError(operation: "replace", path: path, errno: error)
        }
        try syncDirectory(parent(of: path))
    }

    /// Creates a file with these bytes only if none has the name; false if one has. The file appears complete or not
    /// at all, and of several writers exactly one gets true.
    package static func createExclusively(_ path: String, _ bytes: [UInt8], mode: UInt32 = 0o644) throws -> Bool {
        let temporary = temporaryName(beside: path)
        try writeDurably(temporary, bytes, mode: mode)
        defer { unlink(temporary) }
        guard link(temporary, path) == 0 else {
            if errno == EEXIST { return false }
            throw SystemError(operation: "create", path: path, errno: errno)
        }
        try syncDirectory(parent(of: path))
        return true
    }

    /// The whole file.
    package static func read(_ path: String) throws -> [UInt8] {
        try withDescriptor(path, O_RDONLY, operation: "open") { descriptor in
            var status = stat()
            guard fstat(descriptor, &status) == 0 else {
                throw SystemError(operation: "read", path: path, errno: errno)
            }
            // Files of /proc say 0 and are read until their end; others usually need two calls.
            var bytes: [UInt8] = []
            var capacity = max(Int(status.st_size) + 1, 4_096)
            while true {
                let chunk = try [UInt8](unsafeUninitializedCapacity: capacity) { buffer, count in
                    count = try retrying("read", path) { Glibc.read(descriptor, buffer.baseAddress, buffer.count) }
                }
                if chunk.isEmpty { return bytes }
                if bytes.isEmpty { bytes = chunk } else { bytes += chunk }
                capacity = 65_536
            }
        }
    }

    /// Removes a file; a missing file is fine.
    package static func remove(_ path: String) throws {
        guard unlink(path) == 0 || errno == ENOENT else {
            throw SystemError(operation: "remove", path: path, errno: errno)
        }
    }

    /// Removes a directory with all it holds; follows no symbolic link; a missing one is fine.
    package static func removeTree(_ path: String) throws {
        if isDirectory(path, followingLinks: false) {
            for name in try list(path) { try removeTree(path + "/" + name) }
            guard rmdir(path) == 0 || errno == ENOENT else {
                throw SystemError(operation: "remove directory", path: path, errno: errno)
            }
        } else {
            try remove(path)
        }
    }

    package static func rename(_ source: String, to target: String) throws {
        guard Glibc.rename(source, target) == 0 else {
            throw SystemError(operation: "rename", path: source, errno: errno)
        }
    }

    /// The names in a directory, sorted, without `.` and `..`.
    package static func list(_ path: String) throws -> [String] {
        guard let directory = opendir(path) else {
            throw SystemError(operation: "list", path: path, errno: errno)
        }
        defer { closedir(directory) }
        var names: [String] = []
        while true {
            errno = 0
            guard let entry = readdir(directory) else {
                guard errno == 0 else { throw SystemError(operation: "list", path: path, errno: errno) }
                return names.sorted()
            }
            let capacity = MemoryLayout.size(ofValue: entry.pointee.d_name)
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: capacity) { String(cString: $0) }
            }
            if name != "." && name != ".." { names.append(name) }
        }
    }

    /// The size of a file; nil if there is none.
    package static func fileSize(_ path: String) -> Int? {
        var status = stat()
        return stat(path, &status) == 0 ? Int(status.st_size) : nil
    }

    /// Differs if a file was written or replaced in between; nil if there is none.
    package static func changeMark(_ path: String) -> [Int]? {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        return [Int(status.st_ino), Int(status.st_size), status.st_mtim.tv_sec, status.st_mtim.tv_nsec]
    }

    package static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }
    package static func isExecutable(_ path: String) -> Bool { access(path, X_OK) == 0 && !isDirectory(path) }

    /// Whether this process may write the file, or make files in the directory.
    package static func isWritable(_ path: String) -> Bool {
        access(path, isDirectory(path) ? W_OK | X_OK : W_OK) == 0
    }

    package static func isDirectory(_ path: String, followingLinks: Bool = true) -> Bool {
        var status = stat()
        guard (followingLinks ? stat(path, &status) : lstat(path, &status)) == 0 else { return false }
        return status.st_mode & S_IFMT == S_IFDIR
    }

    /// Bytes an unprivileged process can still write to the disk that holds `path`.
    package static func freeBytes(at path: String) throws -> Int {
        var status = statvfs()
        guard statvfs(path, &status) == 0 else {
            throw SystemError(operation: "ask for free space", path: path, errno: errno)
        }
        return Int(status.f_bavail) * Int(status.f_frsize)
    }

    /// A fresh directory only this user can enter, in `parent` (else `TMPDIR`, else `/tmp`); the caller removes it.
    package static func makeTemporaryDirectory(prefix: String, in parent: String? = nil) throws -> String {
        let parent = parent ?? Environment.variable("TMPDIR") ?? "/tmp"
        var template = Array("\(parent)/\(prefix).XXXXXX".utf8CString)
        guard let made = mkdtemp(&template) else {
            throw SystemError(operation: "create a temporary directory", path: prefix, errno: errno)
        }
        return String(cString: made)
    }

    /// The folder a file lies in, as an absolute path: what relative paths written in that file start from.
    package static func folder(of path: String) throws -> String {
        guard let folder = canonicalPath(parent(of: path)) else {
            throw SystemError(operation: "find the folder of", path: path, errno: errno)
        }
        return folder
    }

    /// The absolute path without links, `.` and `..`; nil where nothing is there.
    package static func canonicalPath(_ path: String) -> String? {
        guard let resolved = realpath(path, nil) else { return nil }
        defer { free(resolved) }
        return String(cString: resolved)
    }

    /// The directory part of a path; "." if it has none.
    package static func parent(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    // MARK: - Inside

    private static func temporaryName(beside path: String) -> String {
        let unique = String(UInt64.random(in: 0 ... .max), radix: 16)
        return "\(path).\(unique).tmp"
    }

    /// Writes a new file and syncs it; leaves nothing behind on an error.
    package static func writeDurably(_ path: String, _ bytes: [UInt8], mode: UInt32 = 0o644) throws {
        do {
            try withDescriptor(path, O_WRONLY | O_CREAT | O_EXCL, mode: mode, operation: "create") { descriptor in
                var written = 0
                while written < bytes.count {
                    written += try bytes.withUnsafeBytes { buffer in
                        try retrying("write", path) {
                            Glibc.write(descriptor, buffer.baseAddress.map { $0 + written }, bytes.count - written)
                        }
                    }
                }
                guard fsync(descriptor) == 0 else { throw SystemError(operation: "sync", path: path, errno: errno) }
            }
        } catch let error as SystemError {
            if error.errno != EEXIST { unlink(path) }
            throw error
        }
    }

    private static func withDescriptor<Result>(
        _ path: String, _ flags: Int32, mode: UInt32 = 0o644, operation: String, _ body: (Int32) throws -> Result
    ) throws -> Result {
        let descriptor = columba_open(path, flags, mode)
        guard descriptor >= 0 else { throw SystemError(operation: operation, path: path, errno: errno) }
        defer { close(descriptor) }
        return try body(descriptor)
    }

    private static func retrying(_ operation: String, _ path: String, _ call: () -> Int) throws -> Int {
        while true {
            let result = call()
            if result >= 0 { return result }
            if errno != EINTR { throw SystemError(operation: operation, path: path, errno: errno) }
        }
    }
}
