// What Columba notes with a data file in the `tags` of its add action, beside what Delta asks for. Other engines carry
// tags along and ignore them; a file without them (of an older version of Columba, or written by somebody else) is read
// all the same.

package struct FileTags: Hashable, Sendable {
    /// Hex SHA-256 of the file as it was written: what `columba-central verify` holds it against.
    package var sha256: String?
    /// The stream positions of the archive calls whose rows are in the file. One call's file has the same twice; a
    /// compacted file has the smallest and the largest of what it replaces.
    package var firstPosition: Int64?
    package var lastPosition: Int64?
    /// Which drones' rows it may hold; nil if any.
    package var partition: DronePartition?

    private static let sha256Key = "columba.sha256"
    private static let firstPositionKey = "columba.first_position"
    private static let lastPositionKey = "columba.last_position"
    private static let partitionKey = "columba.partition"

    package init() {}

    /// A call's own file.
    package init(position: Int64, sha256: String?, partition: DronePartition?) {
        firstPosition = position
        lastPosition = position
        self.sha256 = sha256
        self.partition = partition
    }

    init(_ tags: [String: String?]?) {
        guard let tags else { return }
        func text(_ key: String) -> String? { tags[key] ?? nil }
        sha256 = text(Self.sha256Key)
        firstPosition = text(Self.firstPositionKey).flatMap { Int64($0) }
        lastPosition = text(Self.lastPositionKey).flatMap { Int64($0) }
        partition = text(Self.partitionKey).flatMap { DronePartition(text: $0) }
    }

    /// nil if there is nothing to note.
    var dictionary: [String: String?]? {
        var tags: [String: String?] = [:]
        if let sha256 { tags[Self.sha256Key] = sha256 }
        if let firstPosition { tags[Self.firstPositionKey] = String(firstPosition) }
        if let lastPosition { tags[Self.lastPositionKey] = String(lastPosition) }
        if let partition { tags[Self.partitionKey] = partition.text }
        return tags.isEmpty ? nil : tags
    }
}
