// A directory as an object store. `put` is temporary file + fsync + rename + fsync of the folder; `putIfAbsent` is
// temporary file + fsync + link(2), which fails if the name is taken, whoever took it. Temporary names end in `.tmp`
// and are never listed.

import Glibc
import System

package final class LocalObjectStore: ObjectStore {
    package let directory: String

    /// Creates the directory if it is missing.
    package init(directory: String) throws {
        var trimmed = directory
        while trimmed.count > 1 && trimmed.hasSuffix("/") { trimmed.removeLast() }
        self.directory = trimmed
        try FileSystem.makeDirectories(trimmed)
    }

    package func put(_ key: String, _ bytes: [UInt8]) throws {
        try FileSystem.writeAtomically(try pathWithFolder(key), bytes)
    }

    package func putFile(_ key: String, fromPath source: String) throws {
        let target = try pathWithFolder(key)
        try FileSystem.syncFile(source)
        do {
            try FileSystem.rename(source, to: target)
        } catch let error as SystemError where error.errno == EXDEV {
            // Another file system: nothing but a copy is left.
            try FileSystem.writeAtomically(target, FileSystem.read(source))
            try FileSystem.remove(source)
        }
        try FileSystem.syncDirectory(FileSystem.parent(of: target))
    }

    package func putIfAbsent(_ key: String, _ bytes: [UInt8]) throws -> Bool {
        try FileSystem.createExclusively(try pathWithFolder(key), bytes)
    }

    package func get(_ key: String) throws -> [UInt8]? {
        try ObjectKey.validate(key)
        do {
            return try FileSystem.read("\(directory)/\(key)")
        } catch let error as SystemError where error.errno == ENOENT {
            return nil
        }
    }

    package func list(_ prefix: String) throws -> [ObjectInfo] {
        var folder = prefix
        while folder.hasSuffix("/") { folder.removeLast() }
        if !folder.isEmpty { try ObjectKey.validate(folder) }
        var found: [ObjectInfo] = []
        try collect(folder, into: &found)
        return found.sorted { $0.key < $1.key }
    }

    package func remove(_ key: String) throws {
        try ObjectKey.validate(key)
        guard FileSystem.exists("\(directory)/\(key)") else { return }
        try FileSystem.remove("\(directory)/\(key)")
    }

    package func localPath(_ key: String) -> String? {
        key.isEmpty ? directory : "\(directory)/\(key)"
    }

    package func folders(_ prefix: String) throws -> [String] {
        let path = prefix.isEmpty ? directory : "\(directory)/\(prefix)"
        guard FileSystem.isDirectory(path) else { return [] }
        return try FileSystem.list(path).filter { FileSystem.isDirectory("\(path)/\($0)") }
    }

    // MARK: - Inside

    private func pathWithFolder(_ key: String) throws -> String {
        try ObjectKey.validate(key)
        let path = "\(directory)/\(key)"
        let folder = FileSystem.parent(of: path)
        if !FileSystem.exists(folder) { try makeFolder(folder) }
        return path
    }

    /// A new folder's own name must survive a power cut too, so every parent up to the store's directory is synced.
    private func makeFolder(_ folder: String) throws {
        try FileSystem.makeDirectories(folder)
        var parent = FileSystem.parent(of: folder)
        while parent.utf8.count >= directory.utf8.count {
            try FileSystem.syncDirectory(parent)
            guard parent != directory else { break }
            parent = FileSystem.parent(of: parent)
        }
    }

    private func collect(_ folder: String, into found: inout [ObjectInfo]) throws {
        let path = folder.isEmpty ? directory : "\(directory)/\(folder)"
        guard FileSystem.isDirectory(path) else { return }
        for name in try FileSystem.list(path) where !name.hasSuffix(".tmp") {
            let key = folder.isEmpty ? name : "\(folder)/\(name)"
            var status = stat()
            // A file that vanished between listing and looking is simply not there.
            guard lstat("\(directory)/\(key)", &status) == 0 else { continue }
            if status.st_mode & S_IFMT == S_IFDIR {
                try collect(key, into: &found)
            } else if status.st_mode & S_IFMT == S_IFREG {
                let modified = Int64(status.st_mtim.tv_sec) * 1_000_000 + Int64(status.st_mtim.tv_nsec) / 1000
                found.append(ObjectInfo(key: key, bytes: Int(status.st_size), modifiedMicroseconds: modified))
            }
        }
    }
}
