// Where the archive lives: named byte objects, written whole and never changed. A directory (`LocalObjectStore`) or S3
// (`S3ObjectStore`); the protocol holds no more than S3 can do, so that the same code runs on both.
//
// The one operation everything rests on is `putIfAbsent`: of several writers of one key exactly one is told it won. A
// Delta commit is that and nothing else (I10).

package import Models
import System

package struct ObjectInfo: Hashable, Sendable {
    package var key: String
    package var bytes: Int
    /// When it was last written, microseconds since 1970.
    package var modifiedMicroseconds: Int64

    package init(key: String, bytes: Int, modifiedMicroseconds: Int64) {
        self.key = key
        self.bytes = bytes
        self.modifiedMicroseconds = modifiedMicroseconds
    }
}

/// A key is a relative path: parts joined by `/`, none empty, none `.` or `..`. Everything written is durable on
/// return.
package protocol ObjectStore: Sendable {
    /// Writes or replaces an object; a reader sees the old bytes or the new ones.
    func put(_ key: String, _ bytes: [UInt8]) throws
    /// Moves a finished local file into the store (the file is gone afterwards).
    func putFile(_ key: String, fromPath path: String) throws
    /// False if the key is taken, by whomever.
    func putIfAbsent(_ key: String, _ bytes: [UInt8]) throws -> Bool
    /// nil if there is no such object.
    func get(_ key: String) throws -> [UInt8]?
    /// Every object whose key starts with the folder `prefix` (`""`: all), sorted by key. Unfinished writes are left
    /// out.
    func list(_ prefix: String) throws -> [ObjectInfo]
    /// Removing what is not there is not an error.
    func remove(_ key: String) throws
    /// As `localFile`, with nil for any error; of a directory also for what does not exist (`""`: the directory
    /// itself).
    func localPath(_ key: String) -> String?
    /// Where another program on this machine can open the object. In a directory it lies there anyway, and nobody looks
    /// whether it does; from elsewhere it is fetched first, stays for 15 minutes, and must never be written to.
    func localFile(_ key: String) throws -> String
    /// In the same order.
    func localFiles(_ keys: [String]) throws -> [String]
    /// As `localFiles`, if all are on this machine already; they stay as long as the lease is held.
    func lease(_ keys: [String]) -> FileLease?
    /// As `localFile`, with the bytes as they lie in the store now, for whoever checks them; nil if there is none.
    func freshFile(_ key: String) throws -> String?
    /// Lends the local files of many large objects to `body`, in groups where they would not fit on this machine
    /// together; once, with all of them, where they lie here anyway.
    func withLocalFiles(_ objects: [SizedKey], _ body: ([String]) throws -> Void) throws
    /// How much of the store may be on this machine at once; nil: all of it.
    var localBytesLimit: Int? { get }
    /// The caller does not need the local files any more.
    func release(_ keys: [String])
    /// The folders right below `prefix`, by name.
    func folders(_ prefix: String) throws -> [String]
    /// Removes what writes that were never finished have left, if they began longer ago than this; how many.
    func removeUnfinished(olderThanSeconds: Double, now: Timestamp) throws -> Int
}

/// Stores whose objects other programs can open where they are.
extension ObjectStore {
    package func localFile(_ key: String) throws -> String {
        guard let path = localPath(key) else { throw NotALocalObject(key: key) }
        return path
    }

    package func localFiles(_ keys: [String]) throws -> [String] { try keys.map { try localFile($0) } }

    package func lease(_ keys: [String]) -> FileLease? { (try? localFiles(keys)).map { FileLease(paths: $0) } }

    package func freshFile(_ key: String) throws -> String? {
        let path = try localFile(key)
        return FileSystem.exists(path) ? path : nil
    }

    package func withLocalFiles(_ objects: [SizedKey], _ body: ([String]) throws -> Void) throws {
        try body(try localFiles(objects.map(\.key)))
    }

    package var localBytesLimit: Int? { nil }

    package func release(_ keys: [String]) {}

    package func folders(_ prefix: String) throws -> [String] {
        let start = prefix.isEmpty ? 0 : prefix.utf8.count + 1
        let names = try list(prefix).compactMap { object -> String? in
            let parts = object.key.utf8.dropFirst(start).split(separator: UInt8(ascii: "/"), maxSplits: 1)
            return parts.count == 2 ? String(parts[0]) : nil
        }
        return Set(names).sorted()
    }

    package func removeUnfinished(olderThanSeconds: Double, now: Timestamp) throws -> Int { 0 }
}

/// Files of this machine that stay while somebody holds this.
package final class FileLease: Sendable {
    package let paths: [String]
    private let end: @Sendable () -> Void

    package init(paths: [String], end: @escaping @Sendable () -> Void = {}) {
        self.paths = paths
        self.end = end
    }

    deinit { end() }
}

/// An object whose size is known.
package struct SizedKey: Hashable, Sendable {
    package var key: String
    package var bytes: Int

    package init(key: String, bytes: Int) {
        self.key = key
        self.bytes = bytes
    }
}

package struct NotALocalObject: Error, Hashable, Sendable, CustomStringConvertible {
    package var key: String

    package var description: String { "object \(key) cannot be opened as a file of this machine" }
}

/// A key no store accepts: our own mistake or a path made of somebody's text.
package struct InvalidObjectKey: Error, Hashable, Sendable, CustomStringConvertible {
    package var key: String

    package var description: String {
        "object key \(key.debugDescription) is not a relative path; use parts of letters, digits and ._=- joined by /"
    }
}

enum ObjectKey {
    static func validate(_ key: String) throws(InvalidObjectKey) {
        let parts = key.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        for part in parts {
            let isDots = part.elementsEqual(".".utf8) || part.elementsEqual("..".utf8)
            guard !part.isEmpty, !isDots, !part.contains(0) else { throw InvalidObjectKey(key: key) }
        }
    }
}
