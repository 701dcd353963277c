// Copies of objects on this machine's disk, for programs that open files: a folder with a size limit.
//
//   <directory>/objects/<store>/<key>   the copies; a key keeps its folders, `date=2026-11-20` among them
//   <directory>/incoming/               copies on their way
//   <directory>/index                   a line for each copy: SHA-256, bytes, name
//   <directory>/lock                    one process has a folder; another takes the next one (`open`)
//
// Objects never change (I10), so a copy is good for ever: it goes when room is needed, the least recently used first,
// and never within 15 minutes of its last use (reading it counts as one), or while a query holds a lease. So there may
// be nothing to evict: then the call fails and says which setting to raise; nothing waits, and the limit holds. After a
// start every copy is held against the index when it is first asked for: a power cut may have left it short or empty,
// for nothing here is synced. A copy without a line goes at the start. The cache may be deleted whenever nobody runs.

import Crypto
import Glibc
package import System

package final class ObjectCache: Sendable {
    package struct Fetched: Sendable, Equatable {
        package var bytes: Int
        package var sha256: String
    }

    package struct Counts: Sendable, Equatable {
        package var files = 0
        package var bytes = 0
        package var hits = 0
        package var fetches = 0
        package var evictions = 0
        /// Copies that were not what they had been.
        package var damaged = 0
    }

    /// More is asked for at once than the cache may hold.
    package struct Full: Error, Sendable, CustomStringConvertible {
        package var wantedBytes: Int
        package var maxBytes: Int

        package var description: String {
            "the cache of objects is full: \(wantedBytes) bytes more, and all of its \(maxBytes) were used within "
                + "15 minutes; raise s3.cache_bytes"
        }
    }

    private struct Entry {
        var fetched: Fetched
        /// 0: not in this life, or by nobody who needs it still.
        var lastUsed: UInt64
        var uses = 1
        /// Held against the index, or written, in this life.
        var isTrusted: Bool
    }

    private struct State {
        var entries: [String: Entry] = [:]
        /// How many queries may open the copy of that name.
        var leases: [String: Int] = [:]
        /// Being fetched, checked or removed: whoever wants one of these waits.
        var underWay: Set<String> = []
        /// Taken by copies on their way.
        var reserved = 0
        var counts = Counts()
        var indexLines = 0
        var used: Int { entries.values.reduce(reserved) { $0 + $1.fetched.bytes } }
    }

    package let directory: String
    package let maxBytes: Int
    private let keepNanoseconds: UInt64
    private let time: any TimeSource
    private let lock: DirectoryLock
    private let state = Monitor(State())
    package static let keepSeconds = 900.0

    /// Throws `SystemError` with `EWOULDBLOCK` if another process has the folder.
    package init(
        directory: String, maxBytes: Int, keepSeconds: Double = ObjectCache.keepSeconds,
        time: any TimeSource = SystemTime()
    ) throws {
        precondition(maxBytes > 0 && keepSeconds >= 0, "a cache has room, and a time that is not negative")
        try FileSystem.makeDirectories(directory)
        // Copies of the vault hold names: for this user alone.
        guard chmod(directory, 0o700) == 0 else {
            throw SystemError(operation: "protect", path: directory, errno: errno)
        }
        // The query sandbox compares paths after links are resolved.
        self.directory = FileSystem.canonicalPath(directory) ?? directory
        self.maxBytes = maxBytes
        keepNanoseconds = UInt64(keepSeconds * 1e9)
        self.time = time
        lock = try DirectoryLock(self.directory)
        try FileSystem.removeTree("\(self.directory)/incoming")
        try FileSystem.makeDirectories("\(self.directory)/incoming")
        try FileSystem.makeDirectories("\(self.directory)/objects")
        try recover()
    }

    package var counts: Counts {
        state.withLock { state in
            var counts = state.counts
            counts.files = state.entries.count
            counts.bytes = state.entries.values.reduce(0) { $0 + $1.fetched.bytes }
            return counts
        }
    }

    /// Where the copy is, if there is one.
    package func path(_ name: String) -> String { "\(directory)/objects/\(name)" }

    // MARK: - Use

    /// The copy's path. `fetch` writes the object to the path it is given and must call `room` with its size first;
    /// it runs once however many threads ask for the same name.
    package func file(
        _ name: String, fetch: (_ path: String, _ room: (Int) throws -> Void) throws -> Fetched
    ) throws -> String {
        enum Turn { case hit(Fetched), verify(Fetched), fetch }
        let path = path(name)
        while true {
            let turn = state.wait { state -> Turn? in
                guard !state.underWay.contains(name) else { return nil }
                if let entry = state.entries[name], entry.isTrusted {
                    state.entries[name]?.lastUsed = time.monotonicNanoseconds()
                    state.entries[name]?.uses += 1
                    return .hit(entry.fetched)
                }
                state.underWay.insert(name)
                return state.entries[name].map { .verify($0.fetched) } ?? .fetch
            }
            switch turn {
            case .hit(let fetched)?:
                // Whoever deletes files under us, or cuts them, costs a fetch.
                if FileSystem.fileSize(path) == fetched.bytes {
                    state.withLock { $0.counts.hits += 1 }
                    return path
                }
                state.withLock { $0.counts.damaged += 1 }
                drop(name)
            case .verify(let fetched)?:
                let isGood = (try? Self.measure(path)) == fetched
                state.update { state in
                    state.underWay.remove(name)
                    if isGood { state.entries[name]?.isTrusted = true } else { state.counts.damaged += 1 }
                    if isGood { state.entries[name]?.uses = 0 }
                }
                if !isGood { drop(name) }
            case .fetch?:
                try take(name, to: path, fetch)
                return path
            case nil: preconditionFailure("a wait without a time limit ends with a turn")
            }
        }
    }

    private func take(
        _ name: String, to path: String, _ fetch: (String, (Int) throws -> Void) throws -> Fetched
    ) throws {
        let incoming = "\(directory)/incoming/\(Random.hex(bytes: 8))"
        var reserved = 0
        defer {
            state.update { state in
                state.underWay.remove(name)
                state.reserved -= reserved
            }
        }
        do {
            let fetched = try fetch(incoming) { bytes in
                try makeRoom(bytes)
                reserved += bytes
            }
            try enter(name, incoming, fetched)
            state.withLock { $0.counts.fetches += 1 }
        } catch {
            try? FileSystem.remove(incoming)
            throw error
        }
    }

    /// Takes over a file whose bytes are known to be the object's; without room for it, it is removed.
    package func adopt(_ name: String, path source: String, bytes: Int, sha256: String) throws {
        do {
            try makeRoom(bytes)
        } catch is Full {
            drop(name)
            return try FileSystem.remove(source)
        }
        defer { state.update { $0.reserved -= bytes } }
        do {
            try enter(name, source, Fetched(bytes: bytes, sha256: sha256))
        } catch let error as SystemError where error.errno == EXDEV {
            // On another disk: a copy would cost more than a fetch that may never come.
            drop(name)
            try FileSystem.remove(source)
        }
    }

    /// The copy's path if there is one that may be used without asking the store; a use.
    package func known(_ name: String) -> String? {
        let bytes = state.withLock { state -> Int? in
            guard let entry = state.entries[name], entry.isTrusted else { return nil }
            state.entries[name]?.lastUsed = time.monotonicNanoseconds()
            state.entries[name]?.uses += 1
            state.counts.hits += 1
            return entry.fetched.bytes
        }
        guard let bytes, FileSystem.fileSize(path(name)) == bytes else { return nil }
        return path(name)
    }

    /// All of these copies, to stay as long as the lease; nil unless all are here. No use: whoever holds a lease may
    /// open some of them or none.
    package func lease(_ names: [String]) -> FileLease? {
        let bytes = state.withLock { state -> [Int]? in
            guard names.allSatisfy({ state.entries[$0]?.isTrusted ?? false }) else { return nil }
            return names.map { name in
                state.leases[name, default: 0] += 1
                return state.entries[name]?.fetched.bytes ?? 0
            }
        }
        guard let bytes else { return nil }
        let lease = FileLease(paths: names.map(path)) { [state] in
            state.withLock { state in
                for name in names {
                    let left = (state.leases[name] ?? 1) - 1
                    state.leases[name] = left == 0 ? nil : left
                }
            }
        }
        let isWhole = zip(lease.paths, bytes).allSatisfy { FileSystem.fileSize($0) == $1 }
        return isWhole ? lease : nil
    }

    /// May go when room is needed, where whoever fetched it was the only one to use it.
    package func release(_ names: [String]) {
        let released = state.withLock { state in
            let own = names.filter { state.entries[$0]?.uses == 1 }
            for name in own { state.entries[name]?.lastUsed = 0 }
            return own
        }
        // What the caller itself has read is no reason to keep it.
        for name in released { Self.forgetReads(path(name)) }
    }

    /// The object is another one now, or none.
    package func drop(_ name: String) {
        let isThere = state.wait { state -> Bool? in
            guard !state.underWay.contains(name) else { return nil }
            guard state.entries.removeValue(forKey: name) != nil else { return false }
            state.underWay.insert(name)
            return true
        }
        guard isThere == true else { return }
        // A file that cannot be removed is replaced by the next fetch.
        try? FileSystem.remove(path(name))
        state.update { _ = $0.underWay.remove(name) }
    }

    // MARK: - Room

    /// Evicts until there is room, and reserves it.
    private func makeRoom(_ bytes: Int) throws {
        if state.withLock({ state in state.used + bytes > maxBytes }) { noteReads() }
        let now = time.monotonicNanoseconds()
        let evicted: [String]? = state.withLock { state in
            var used = state.used
            var victims: [String] = []
            if used + bytes > maxBytes {
                let old = state.entries
                    .filter { name, entry in
                        guard !state.underWay.contains(name), state.leases[name] == nil else { return false }
                        return entry.lastUsed == 0 || now - min(now, entry.lastUsed) >= keepNanoseconds
                    }
                    .sorted { ($0.value.lastUsed, $0.key) < ($1.value.lastUsed, $1.key) }
                for (name, entry) in old where used + bytes > maxBytes {
                    victims.append(name)
                    used -= entry.fetched.bytes
                }
            }
            guard used + bytes <= maxBytes else { return nil }
            for name in victims { state.entries[name] = nil }
            state.underWay.formUnion(victims)
            state.counts.evictions += victims.count
            state.reserved += bytes
            return victims
        }
        guard let evicted else { throw Full(wantedBytes: bytes, maxBytes: maxBytes) }
        defer { state.update { $0.underWay.subtract(evicted) } }
        for name in evicted { try FileSystem.remove(path(name)) }
    }

    /// Who opens a copy through a path, as queries do, leaves a trace only in the file's time of access. The kernel
    /// writes that (`relatime`) where it is older than the last change: so each is set back once it has been noted.
    private func noteReads() {
        let wall = time.wallMicroseconds()
        let now = time.monotonicNanoseconds()
        for name in state.withLock({ Array($0.entries.keys) }) {
            var status = stat()
            guard stat(path(name), &status) == 0, status.st_atim.tv_sec > 0 else { continue }
            let read = Int64(status.st_atim.tv_sec) * 1_000_000 + Int64(status.st_atim.tv_nsec) / 1000
            let age = UInt64(max(0, wall - read)) * 1000
            state.withLock { state in
                guard let entry = state.entries[name] else { return }
                state.entries[name]?.lastUsed = max(entry.lastUsed, now - min(now, age))
            }
            Self.forgetReads(path(name))
        }
    }

    private func enter(_ name: String, _ source: String, _ fetched: Fetched) throws {
        let path = path(name)
        try FileSystem.makeDirectories(FileSystem.parent(of: path))
        try FileSystem.rename(source, to: path)
        Self.forgetReads(path)
        state.withLock { state in
            state.entries[name] = Entry(fetched: fetched, lastUsed: time.monotonicNanoseconds(), isTrusted: true)
        }
        try note(name, fetched)
    }

    // MARK: - Across starts

    private var indexPath: String { "\(directory)/index" }

    private static func line(_ name: String, _ fetched: Fetched) -> String {
        "\(fetched.sha256) \(fetched.bytes) \(name)\n"
    }

    private func note(_ name: String, _ fetched: Fetched) throws {
        // Written anew when most of its lines are of copies that went.
        let lines = state.withLock { state -> [String]? in
            state.indexLines += 1
            guard state.indexLines > 2 * state.entries.count + 1000 else { return nil }
            state.indexLines = state.entries.count
            return state.entries.map { Self.line($0.key, $0.value.fetched) }
        }
        if let lines {
            try FileSystem.writeAtomically(indexPath, Array(lines.joined().utf8), mode: 0o600)
        } else {
            try FileSystem.append(Array(Self.line(name, fetched).utf8), to: indexPath, mode: 0o600)
        }
    }

    private func recover() throws {
        var known: [String: Fetched] = [:]
        let index = FileSystem.exists(indexPath) ? try FileSystem.read(indexPath) : []
        for line in index.split(separator: 0x0a) {
            let parts = String(decoding: line, as: UTF8.self).split(separator: " ", maxSplits: 2)
            guard parts.count == 3, let bytes = Int(parts[1]) else { continue }
            known[String(parts[2])] = Fetched(bytes: bytes, sha256: String(parts[0]))
        }
        var found: [String: Entry] = [:]
        try walk("") { name, bytes in
            guard let fetched = known[name], fetched.bytes == bytes else { return false }
            found[name] = Entry(fetched: fetched, lastUsed: 0, isTrusted: false)
            return true
        }
        let lines = found.map { Self.line($0.key, $0.value.fetched) }
        try FileSystem.writeAtomically(indexPath, Array(lines.joined().utf8), mode: 0o600)
        state.withLock { [found] state in
            state.entries = found
            state.indexLines = found.count
        }
    }

    /// Every file; those that `keeps` refuses go, and folders that are empty then.
    private func walk(_ folder: String, _ keeps: (_ name: String, _ bytes: Int) -> Bool) throws {
        for part in try FileSystem.list(path(folder)) {
            let name = folder.isEmpty ? part : "\(folder)/\(part)"
            if FileSystem.isDirectory(path(name), followingLinks: false) {
                try walk(name, keeps)
                if try FileSystem.list(path(name)).isEmpty { try FileSystem.removeTree(path(name)) }
            } else if !keeps(name, FileSystem.fileSize(path(name)) ?? -1) {
                try FileSystem.remove(path(name))
            }
        }
    }

    package static func measure(_ path: String) throws -> Fetched {
        var hasher = SHA256()
        var bytes = 0
        try FileSystem.readPieces(path, bytes: 1 << 20) { piece in
            hasher.update(piece)
            bytes += piece.count
        }
        return Fetched(bytes: bytes, sha256: hasher.finalize().hex)
    }
}
