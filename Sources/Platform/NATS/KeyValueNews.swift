// What is new in a bucket: the entries written after a position, in the order of writing. A bucket is a stream with one
// message for each key, so that reading on from a sequence gives exactly the keys that were written since; a reader
// that follows pays for what changes, not for what is there.
//
// A bucket that was lost is made anew, and read as a whole: another stream has another time of creation, and one that
// was restored from an older copy ends before the position.

package struct KeyValuePosition: Sendable, Hashable {
    /// When this bucket was made: another time is another bucket, with revisions of its own.
    package let created: String
    package let revision: UInt64

    package init(created: String, revision: UInt64) {
        self.created = created
        self.revision = revision
    }
}

package struct KeyValueNews: Sendable {
    /// By revision.
    package let entries: [KeyValueEntry]
    /// To read on from.
    package let position: KeyValuePosition
    /// They are all that there is, not only what came after a position.
    package let isWhole: Bool

    package init(entries: [KeyValueEntry], position: KeyValuePosition, isWhole: Bool) {
        self.entries = entries
        self.position = position
        self.isWhole = isWhole
    }
}

extension KeyValueBucket {
    /// What was written after `position`; nil: everything. A server that has not caught up tells less: the rest comes
    /// with a later call. A key that was removed is not told.
    package func news(after position: KeyValuePosition?) throws -> KeyValueNews {
        let info = try ensure()
        let known = position.flatMap {
            $0.created == info.created && $0.revision <= info.state.lastSequence ? $0 : nil
        }
        var revision = known?.revision ?? 0
        var entries: [KeyValueEntry] = []
        while revision < info.state.lastSequence {
            let messages = try page(from: revision + 1)
            guard let last = messages.last else { break }
            entries += messages.compactMap(entry)
            revision = last.sequence
        }
        return KeyValueNews(
            entries: entries, position: KeyValuePosition(created: info.created, revision: revision),
            isWhole: known == nil)
    }
}
