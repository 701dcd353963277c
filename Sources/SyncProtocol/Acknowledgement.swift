// Central's answer to a batch (contract §4): what is safe, what was refused, how much more it would take.

import Models

package struct Acknowledgement: Hashable, Sendable {
    /// Durable at central (I4).
    package var received: IntervalSet
    /// In a committed archive version: only these may a relay forget, after its hold time (I2).
    package var archived: IntervalSet
    package var rejected: [RejectedRecord]
    package var credit: Credit
    /// The version of the rule set that central wants on this relay; 0: none.
    package var rulesVersion: Int
    /// Numbers of this epoch that central misses although it has later ones, or lost after saying `received`. The relay
    /// sends them again unless they are archived, under way, or missing there too. At most
    /// `SyncLimits.wantedRanges`.
    package var wanted: IntervalSet
    /// The batch's `Content-Digest`, echoed: without it the answer acknowledges nothing. Nil in answers to `GET
    /// …/acks`.
    package var digest: String?

    /// Where the two sets are complete: what is missing there, central does not have. Nil: everywhere. See `limited`.
    package var complete: ClosedRange<Int64>?

    package init(
        received: IntervalSet, archived: IntervalSet, rejected: [RejectedRecord] = [], credit: Credit = .standard,
        rulesVersion: Int = 0, digest: String? = nil, wanted: IntervalSet = IntervalSet()
    ) {
        self.received = received
        self.archived = archived
        self.rejected = rejected
        self.credit = credit
        self.rulesVersion = rulesVersion
        self.digest = digest
        self.wanted = wanted
    }

    /// The body of the answer, in the contract's order of members.
    package func json() -> [UInt8] {
        var output: [UInt8] = []
        output.append(contentsOf: #"{"received":"#.utf8)
        received.appendJSON(to: &output)
        output.append(contentsOf: #","archived":"#.utf8)
        archived.appendJSON(to: &output)
        output.append(contentsOf: #","rejected":["#.utf8)
        for (index, record) in rejected.enumerated() {
            if index > 0 { output.append(0x2c) }
            output.append(contentsOf: #"{"n":"#.utf8)
            JSONText.appendInteger(record.n, to: &output)
            output.append(contentsOf: #","code":"#.utf8)
            JSONText.appendString(record.code, to: &output)
            output.append(0x7d)
        }
        output.append(contentsOf: #"],"credit":{"max_bytes":"#.utf8)
        JSONText.appendInteger(Int64(credit.maxBytes), to: &output)
        output.append(contentsOf: #","max_in_flight":"#.utf8)
        JSONText.appendInteger(Int64(credit.maxInFlight), to: &output)
        output.append(contentsOf: #"},"rules_version":"#.utf8)
        JSONText.appendInteger(Int64(rulesVersion), to: &output)
        if !wanted.isEmpty {
            output.append(contentsOf: #","wanted":"#.utf8)
            wanted.appendJSON(to: &output)
        }
        if let complete {
            output.append(contentsOf: #","complete":"#.utf8)
            IntervalSet(complete).appendJSON(to: &output)
        }
        if let digest {
            output.append(contentsOf: #","digest":"#.utf8)
            JSONText.appendString(digest, to: &output)
        }
        output.append(0x7d)
        return output
    }
}

/// A record central could not read and keeps in quarantine; `code` is a `Problem`'s.
package struct RejectedRecord: Hashable, Codable, Sendable {
    package var n: Int64
    package var code: String

    package init(n: Int64, code: String) {
        self.n = n
        self.code = code
    }
}

/// How much a relay may have under way: central's brake.
package struct Credit: Hashable, Codable, Sendable {
    /// Of one batch, compressed.
    package var maxBytes: Int
    /// Batches sent and not yet answered.
    package var maxInFlight: Int

    package static let standard = Credit(maxBytes: 1024 * 1024, maxInFlight: 4)

    package init(maxBytes: Int, maxInFlight: Int) {
        self.maxBytes = maxBytes
        self.maxInFlight = maxInFlight
    }

    private enum CodingKeys: String, CodingKey {
        case maxBytes = "max_bytes"
        case maxInFlight = "max_in_flight"
    }
}

extension Acknowledgement: Codable {
    private enum CodingKeys: String, CodingKey {
        case received, archived, rejected, credit, digest, wanted, complete
        case rulesVersion = "rules_version"
    }

    /// The two sets are required; the rest may be absent.
    package init(from decoder: any Decoder) throws {
        let members = try decoder.container(keyedBy: CodingKeys.self)
        self.init(
            received: try members.decode(IntervalSet.self, forKey: .received),
            archived: try members.decode(IntervalSet.self, forKey: .archived),
            rejected: try members.decodeIfPresent([RejectedRecord].self, forKey: .rejected) ?? [],
            credit: try members.decodeIfPresent(Credit.self, forKey: .credit) ?? .standard,
            rulesVersion: try members.decodeIfPresent(Int.self, forKey: .rulesVersion) ?? 0,
            digest: try members.decodeIfPresent(String.self, forKey: .digest),
            wanted: try members.decodeIfPresent(IntervalSet.self, forKey: .wanted) ?? IntervalSet())
        // Anything but one range says that nothing can be concluded from what is missing.
        complete = try members.decodeIfPresent(IntervalSet.self, forKey: .complete).map {
            $0.rangeCount == 1 ? $0.range(at: 0) : 0...0
        }
    }
}
