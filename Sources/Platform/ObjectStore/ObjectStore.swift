// Where the archive lives: named byte objects, written whole and never changed. A directory today; the protocol holds
// no more than S3 can do, so that the same code runs on both.
//
// The one operation everything rests on is `putIfAbsent`: of several writers of one key exactly one is told it won. A
// Delta commit is that and nothing else (I10).

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
    /// Where another program on this machine can open the object; nil if the store is not local. The object need not
    /// exist.
    func localPath(_ key: String) -> String?
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
