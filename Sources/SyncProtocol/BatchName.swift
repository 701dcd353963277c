// The path of a batch: whose records, of which life, from which number to which (contract §4). Read strictly: each
// batch has exactly one name, so that "the same range again" is the same path.

import Models

package struct BatchName: Hashable, Sendable {
    package let relayID: String
    package let epoch: String
    /// The relay's record numbers, 1 ≤ first ≤ last.
    package let first: Int64
    package let last: Int64

    package init(relayID: String, epoch: String, first: Int64, last: Int64) {
        precondition(Identifier.isValidRelayID(relayID), "a batch's relay id is valid")
        precondition(Identifier.isValidEpoch(epoch), "a batch's epoch is 32 lowercase hexadecimal digits")
        precondition(first >= 1 && first <= last, "a batch's record numbers start at 1 and ascend")
        self.relayID = relayID
        self.epoch = epoch
        self.first = first
        self.last = last
    }

    /// Nil unless `path` is, to the byte, what `path` would give.
    package init?(path: String) {
        let parts = path.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 8, parts[0].isEmpty, parts[1] == "v1", parts[2] == "relays", parts[4] == "epochs",
            parts[6] == "batches"
        else { return nil }
        let numbers = parts[7].split(separator: "-", omittingEmptySubsequences: false)
        guard numbers.count == 2, let first = Self.number(numbers[0]), let last = Self.number(numbers[1]),
            first <= last, Identifier.isValidRelayID(String(parts[3])), Identifier.isValidEpoch(String(parts[5]))
        else { return nil }
        self.init(relayID: String(parts[3]), epoch: String(parts[5]), first: first, last: last)
    }

    package var range: ClosedRange<Int64> { first...last }

    package var path: String { Self.epochPath(relayID: relayID, epoch: epoch) + "/batches/\(first)-\(last)" }

    /// Where central answers what it has of an epoch.
    package static func acknowledgementsPath(relayID: String, epoch: String) -> String {
        epochPath(relayID: relayID, epoch: epoch) + "/acks"
    }

    /// Relay and epoch of an acknowledgements path; nil for any other path.
    package static func parseAcknowledgementsPath(_ path: String) -> (relayID: String, epoch: String)? {
        let parts = path.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 7, Identifier.isValidRelayID(parts[3]), Identifier.isValidEpoch(parts[5]),
            path == acknowledgementsPath(relayID: parts[3], epoch: parts[5])
        else { return nil }
        return (parts[3], parts[5])
    }

    private static func epochPath(relayID: String, epoch: String) -> String {
        "/v1/relays/\(relayID)/epochs/\(epoch)"
    }

    /// A whole number ≥ 1 without sign or leading zero.
    private static func number(_ text: Substring) -> Int64? {
        guard let start = text.utf8.first, (0x31...0x39).contains(start) else { return nil }
        return Int64(text)
    }
}
