// An S3 bucket, or a folder in it, as an object store; objects that other programs must open are fetched into a cache.
//
// What the rest of Columba relies on, and how it is kept:
//
// - `put` is whole or not at all: S3 shows an object when its last byte has come. Repeating it changes nothing.
// - `putIfAbsent` has one winner: `If-None-Match: *`, which the server decides. A writer whose answer is lost asks who
//   wrote the object: each call puts a random token beside its bytes (`x-amz-meta-columba-writer`), so its own object
//   is
//   recognised and never taken for another's, even one with the same bytes. Where nobody answers any more the call
//   throws `undecided`: whoever commits reads the log again before anything else (`DeltaTable`).
// - What is written has its SHA-256 beside it and is held against it when it is read.
// - `list` and `get` see what was acknowledged (S3 since 2020, SeaweedFS, MinIO, Ceph).
//
// A server that ignores `If-None-Match` would make two winners: `check` finds that out before anything is written.

import Crypto
import Glibc
import Models
import System

package final class S3ObjectStore: ObjectStore {
    package let location: S3Location
    let client: S3Client
    let cache: ObjectCache
    /// Tells this store's entries in the cache from another's.
    private let cacheName: String

    static let writerHeader = "x-amz-meta-columba-writer"
    static let digestHeader = "x-amz-meta-columba-sha256"
    /// Files fetched at the same time.
    private static let fetchThreads = 4
    /// A group of `withLocalFiles` takes this part of the cache: others need room beside it.
    private static let groupsPerCache = 4

    /// - Parameter cacheName: a plain name; `lake`, `vault`.
    package init(_ location: S3Location, client: S3Client, cache: ObjectCache, cacheName: String) {
        self.location = location
        self.client = client
        self.cache = cache
        self.cacheName = cacheName
    }

    package var counts: S3Counts { client.counts }
    package var cacheCounts: ObjectCache.Counts { cache.counts }

    // MARK: - Writing

    package func put(_ key: String, _ bytes: [UInt8]) throws {
        try ObjectKey.validate(key)
        defer { cache.drop(entry(key)) }
        let digest = SHA256.hash(bytes).hex
        if bytes.count > client.settings.partBytes {
            let source = S3PartSource(bytes: bytes.count) { part in try part(bytes) }
            return try S3Upload(store: self, key: key, digest: digest).run(source)
        }
        _ = try client.perform(putCall(key, bytes, digest: digest))
    }

    package func putFile(_ key: String, fromPath path: String) throws {
        try ObjectKey.validate(key)
        guard let size = FileSystem.fileSize(path) else {
            throw SystemError(operation: "upload", path: path, errno: ENOENT)
        }
        var hasher = SHA256()
        try FileSystem.readPieces(path, bytes: 1 << 20) { hasher.update($0) }
        let digest = hasher.finalize().hex
        if size > client.settings.partBytes {
            let source = S3PartSource(bytes: size) { part in
                try FileSystem.readPieces(path, bytes: 1 << 20) { try part(Array($0)) }
            }
            try S3Upload(store: self, key: key, digest: digest).run(source)
        } else {
            _ = try client.perform(putCall(key, try FileSystem.read(path), digest: digest))
        }
        // Who has written a file reads it soon: compaction, queries.
        try cache.adopt(entry(key), path: path, bytes: size, sha256: digest)
    }

    package func putIfAbsent(_ key: String, _ bytes: [UInt8]) throws -> Bool {
        try ObjectKey.validate(key)
        let token = Random.hex(bytes: 16)
        var call = putCall(key, bytes, digest: SHA256.hash(bytes).hex, token: token)
        call.headers.append(("if-none-match", "*"))
        let start = SystemTime().monotonicNanoseconds()
        var attempt = 1
        while true {
            // Nothing is known yet, or the object was not there after a lost answer.
            if let isWon = try decide(call, token) { return isWon }
            guard client.mayRepeat(attempt: attempt, since: start) else {
                client.count { $0.failures += 1 }
                throw S3Error(.undecided, "PUT", key, detail: "no answer after \(attempt) attempts")
            }
            client.rest(afterAttempt: attempt)
            attempt += 1
        }
    }

    /// One attempt: true and false are certain; nil: ask again.
    private func decide(_ call: S3Call, _ token: String) throws(S3Error) -> Bool? {
        do throws(S3Error) {
            _ = try client.checked(call)
            return true
        } catch {
            let isTaken = error.status == 412
            guard isTaken || error.isTransient else { throw error }
            do throws(S3Error) {
                guard let found = try head(call.key) else {
                    // 412 and gone: somebody else's, removed since. Never written again: the name has been used.
                    return isTaken ? false : nil
                }
                if found.writer == token { client.count { $0.recognised += 1 } }
                return found.writer == token
            } catch {
                guard error.isTransient else { throw error }
                return nil
            }
        }
    }

    package func remove(_ key: String) throws {
        try ObjectKey.validate(key)
        cache.drop(entry(key))
        do throws(S3Error) {
            _ = try client.perform(S3Call("DELETE", key: key, name: name(key)))
        } catch {
            guard error.kind == .missing else { throw error }
        }
    }

    // MARK: - Reading

    package func get(_ key: String) throws -> [UInt8]? {
        try ObjectKey.validate(key)
        return try client.repeating { () throws(S3Error) -> [UInt8]? in
            var call = S3Call("GET", key: key, name: name(key))
            call.maxBytes = client.settings.maxObjectBytes
            let answer: S3Answer
            do throws(S3Error) {
                answer = try client.checked(call)
            } catch {
                guard error.kind == .missing else { throw error }
                return nil
            }
            if let recorded = answer.header(Self.digestHeader), recorded != SHA256.hash(answer.body).hex {
                throw S3Error(.damaged, "GET", key, detail: "other bytes than were written (SHA-256)")
            }
            return answer.body
        }
    }

    package func list(_ prefix: String) throws -> [ObjectInfo] {
        var found: [ObjectInfo] = []
        try eachPage(of: prefix, delimiter: nil) { page in
            for entry in page.all("Contents") {
                guard let key = entry["Key"].flatMap(self.key), !key.hasSuffix("/"),
                    let bytes = entry["Size"].flatMap({ Int($0) }),
                    let modified = entry["LastModified"].flatMap({ Timestamp(rfc3339: $0) })
                else { continue }
                found.append(ObjectInfo(key: key, bytes: bytes, modifiedMicroseconds: modified.microseconds))
            }
        }
        return found.sorted { $0.key < $1.key }
    }

    package func folders(_ prefix: String) throws -> [String] {
        var found: Set<String> = []
        try eachPage(of: prefix, delimiter: "/") { page in
            for entry in page.all("CommonPrefixes") {
                guard let text = entry["Prefix"], let key = self.key(text) else { continue }
                if let last = key.split(separator: "/").last { found.insert(String(last)) }
            }
        }
        return found.sorted()
    }

    private func eachPage(of prefix: String, delimiter: String?, _ body: (S3Element) -> Void) throws {
        var folder = prefix
        while folder.hasSuffix("/") { folder.removeLast() }
        if !folder.isEmpty { try ObjectKey.validate(folder) }
        let start = location.name(of: folder)
        var token: String?
        for _ in 0..<S3Settings.maxPages {
            var call = S3Call("GET", key: folder, name: location.bucket)
            call.query = [
                ("list-type", "2"), ("max-keys", String(S3Settings.keysPerPage)),
                ("prefix", start.isEmpty ? "" : "\(start)/"),
            ]
            if let delimiter { call.query.append(("delimiter", delimiter)) }
            if let token { call.query.append(("continuation-token", token)) }
            let answer = try client.perform(call)
            guard let root = S3XMLReader.root(of: answer.body), root.name == "ListBucketResult" else {
                throw S3Error(.badAnswer, "LIST", folder, status: answer.status)
            }
            body(root)
            guard root["IsTruncated"] == "true" else { return }
            guard let next = root["NextContinuationToken"], next != token else {
                throw S3Error(.badAnswer, "LIST", folder, detail: "a list that does not go on")
            }
            token = next
        }
        throw S3Error(.badAnswer, "LIST", folder, detail: "a list without an end")
    }

    // MARK: - Files

    package func localPath(_ key: String) -> String? { try? localFile(key) }

    package func localFile(_ key: String) throws -> String {
        try ObjectKey.validate(key)
        return try cache.file(entry(key)) { path, room in try self.fetch(key, to: path, room) }
    }

    package func localFiles(_ keys: [String]) throws -> [String] {
        for key in keys { try ObjectKey.validate(key) }
        let missing = keys.filter { cache.known(entry($0)) == nil }
        // Threads of our own, and few: a fetch waits on a socket.
        let work = Monitor((next: 0, failure: (any Error)?.none))
        let threads = (0..<min(Self.fetchThreads, missing.count)).map { index in
            WorkerThread(name: "s3-fetch-\(index)") {
                while let index = Self.take(work, missing.count) {
                    do {
                        _ = try self.localFile(missing[index])
                    } catch {
                        work.withLock { $0.failure = $0.failure ?? error }
                    }
                }
            }
        }
        for thread in threads { thread.join() }
        if let failure = work.withLock({ $0.failure }) { throw failure }
        // What was there or came just now stays for minutes.
        return keys.map { cache.path(entry($0)) }
    }

    private static func take(_ work: Monitor<(next: Int, failure: (any Error)?)>, _ count: Int) -> Int? {
        work.withLock { state in
            guard state.failure == nil, state.next < count else { return nil }
            state.next += 1
            return state.next - 1
        }
    }

    package func lease(_ keys: [String]) -> FileLease? { cache.lease(keys.map(entry)) }

    package func withLocalFiles(_ objects: [SizedKey], _ body: ([String]) throws -> Void) throws {
        var rest = objects[...]
        while !rest.isEmpty {
            var bytes = 0
            let group = rest.prefix { object in
                defer { bytes += object.bytes }
                return bytes == 0 || bytes + object.bytes <= cache.maxBytes / Self.groupsPerCache
            }
            let keys = group.map(\.key)
            try body(try localFiles(keys))
            release(keys)
            rest = rest.dropFirst(keys.count)
        }
    }

    package var localBytesLimit: Int? { cache.maxBytes }

    package func freshFile(_ key: String) throws -> String? {
        cache.drop(entry(key))
        do {
            return try localFile(key)
        } catch let error as S3Error where error.kind == .missing {
            return nil
        }
    }

    package func release(_ keys: [String]) { cache.release(keys.map(entry)) }

    private func fetch(_ key: String, to path: String, _ room: (Int) throws -> Void) throws -> ObjectCache.Fetched {
        guard let object = try client.repeating({ () throws(S3Error) in try head(key) }) else {
            throw S3Error(.missing, "GET", key, status: 404)
        }
        try room(object.bytes)
        var fetched: ObjectCache.Fetched?
        var diskFailure: (any Error)?
        do throws(S3Error) {
            try client.repeating { () throws(S3Error) in
                do {
                    fetched = try download(key, to: path, expectedBytes: object.bytes)
                } catch let error as S3Error {
                    throw error
                } catch {
                    // The cache's disk is no matter of the network's: not tried again.
                    diskFailure = error
                    throw S3Error(.refused, "GET", key)
                }
            }
        } catch {
            throw diskFailure ?? error
        }
        guard let fetched else { preconditionFailure("a download without an error has a result") }
        return fetched
    }

    private func download(_ key: String, to path: String, expectedBytes: Int) throws -> ObjectCache.Fetched {
        let file = try DownloadFile(path: path)
        var call = S3Call("GET", key: key, name: name(key))
        call.expectedBytes = expectedBytes
        call.sink = { file.append($0) }
        let answer = try client.checked(call)
        let fetched = try file.finish()
        let length = answer.header("content-length").flatMap { Int($0) } ?? fetched.bytes
        let digest = answer.header(Self.digestHeader) ?? fetched.sha256
        guard fetched.bytes == length, fetched.sha256 == digest else {
            throw S3Error(.damaged, "GET", key, detail: "other bytes than were written (length or SHA-256)")
        }
        return fetched
    }

    // MARK: - Requests

    struct Head {
        var bytes: Int
        var writer: String?
        var digest: String?
    }

    /// nil if there is no such object. One exchange.
    func head(_ key: String) throws(S3Error) -> Head? {
        do throws(S3Error) {
            let answer = try client.checked(S3Call("HEAD", key: key, name: name(key)))
            guard let bytes = answer.header("content-length").flatMap({ Int($0) }) else {
                throw S3Error(.badAnswer, "HEAD", key, status: answer.status, detail: "no length")
            }
            return Head(
                bytes: bytes, writer: answer.header(Self.writerHeader), digest: answer.header(Self.digestHeader))
        } catch {
            guard error.kind == .missing else { throw error }
            return nil
        }
    }

    private func putCall(_ key: String, _ bytes: [UInt8], digest: String, token: String? = nil) -> S3Call {
        var call = S3Call("PUT", key: key, name: name(key))
        call.body = bytes
        call.headers = [(Self.digestHeader, digest)]
        if let token { call.headers.append((Self.writerHeader, token)) }
        return call
    }

    /// Bucket and all.
    func name(_ key: String) -> String { "\(location.bucket)/\(location.name(of: key))" }

    func entry(_ key: String) -> String { "\(cacheName)/\(key)" }

    /// The store's key of a server's name; nil if it lies elsewhere.
    func key(_ name: String) -> String? {
        guard !location.prefix.isEmpty else { return name }
        return name.hasPrefix("\(location.prefix)/") ? String(name.dropFirst(location.prefix.utf8.count + 1)) : nil
    }
}
