// Central's answer to a batch, to the letter of contract §4.

import Foundation
import SyncProtocol
import Testing
import TestSupport

@Suite("An acknowledgement")
struct AcknowledgementTests {
    static let sample = Acknowledgement(
        received: IntervalSet([1...5000]), archived: IntervalSet([1...4200, 4301...4301]),
        rejected: [RejectedRecord(n: 17, code: "invalid_json")], credit: Credit(maxBytes: 1_048_576, maxInFlight: 4),
        rulesVersion: 3, digest: "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:")

    @Test("is written exactly as in the contract")
    func exactBytes() {
        #expect(
            String(decoding: Self.sample.json(), as: UTF8.self)
                == #"{"received":[[1,5000]],"archived":[[1,4200],[4301,4301]],"#
                + #""rejected":[{"n":17,"code":"invalid_json"}],"#
                + #""credit":{"max_bytes":1048576,"max_in_flight":4},"rules_version":3,"#
                + #""digest":"sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:"}"#)
        let empty = Acknowledgement(received: IntervalSet(), archived: IntervalSet())
        #expect(
            String(decoding: empty.json(), as: UTF8.self)
                == #"{"received":[],"archived":[],"rejected":[],"credit":{"max_bytes":1048576,"max_in_flight":4},"#
                + #""rules_version":0}"#
        )
    }

    @Test("reads back what it writes, by hand or by Codable")
    func roundTrip() throws {
        let decoder = JSONDecoder()
        #expect(try decoder.decode(Acknowledgement.self, from: Data(Self.sample.json())) == Self.sample)
        #expect(try decoder.decode(Acknowledgement.self, from: JSONEncoder().encode(Self.sample)) == Self.sample)
        let keys = try JSONSerialization.jsonObject(with: JSONEncoder().encode(Self.sample)) as? [String: Any]
        #expect(
            keys?.keys.sorted() == ["archived", "credit", "digest", "received", "rejected", "rules_version", "wanted"])
        let least = try decoder.decode(
            Acknowledgement.self, from: Data(#"{"received":[[5,9],[1,4]],"archived":[]}"#.utf8))
        #expect(least.received.ranges == [1...9] && least.rejected.isEmpty && least.digest == nil)
    }

    @Test(
        "with broken ranges is no acknowledgement",
        arguments: [
            #"{"received":[[2,1]],"archived":[]}"#, #"{"received":[[1]],"archived":[]}"#,
            #"{"received":[[1,2,3]],"archived":[]}"#,
            #"{"received":[1],"archived":[]}"#, #"{"received":[[1,1.5]],"archived":[]}"#, #"{"received":[]}"#, "[]", "",
            #"{"received":[[1,9223372036854775808]],"archived":[]}"#,
        ])
    func broken(text: String) {
        #expect(throws: (any Error).self) { try JSONDecoder().decode(Acknowledgement.self, from: Data(text.utf8)) }
    }

    @Test("names its batch by a digest that has one form")
    func digest() {
        // RFC 9530, appendix B; and SHA-256 of nothing.
        let empty: [UInt8] = [
            0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27, 0xae,
            0x41, 0xe4,
            0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
        ]
        let header = "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:"
        #expect(ContentDigest.format(empty) == header)
        #expect(ContentDigest.parse(header) == empty)
        #expect(ContentDigest.parse("sha-512=:AAAA:, \(header)\t") == empty)
        for bad in [
            "", "sha-256=", "sha-256=::", header + "x", String(header.dropLast()), "SHA-256=:47DE:",
            "\(header),\(header)",
            header.replacingOccurrences(of: "FU=", with: "FV="), header.replacingOccurrences(of: "=:47", with: "=:_7"),
            header.replacingOccurrences(of: "U=:", with: "U:"), "md5=:AAAA:",
            header.replacingOccurrences(of: "47", with: "4"),
        ] {
            #expect(ContentDigest.parse(bad) == nil, "\(bad)")
        }
        var random = SeededGenerator(seed: 7)
        for _ in 0..<500 {
            let bytes = (0..<32).map { _ in UInt8.random(in: 0 ... .max, using: &random) }
            #expect(ContentDigest.parse(ContentDigest.format(bytes)) == bytes)
        }
    }

    @Test("with very many gaps it stays small, names what it was asked about, and says where it is complete")
    func limited() throws {
        // Alerts of a backlog: 30,000 ranges, then the live reports.
        var all = Acknowledgement(
            received: IntervalSet((1...30_000).map { Int64($0) * 100...Int64($0) * 100 } + [3_100_000...3_200_000]),
            archived: IntervalSet((1...30_000).map { Int64($0) * 100...Int64($0) * 100 }))
        #expect(all.json().count > 500_000)
        let toBatch = all.limited(toBatch: 1_000_000...1_050_000)
        #expect(toBatch.received.intersection(IntervalSet(1_000_000...1_050_000)).count == 501)
        #expect(toBatch.received.max == 3_200_000 && toBatch.received.min == 100)
        #expect(toBatch.json().count < 20_000)
        // Questions that follow each other tell all of it.
        var (from, told, asked) = (Int64(1), IntervalSet(), 0)
        while asked < 1_000 {
            let answer = try JSONDecoder().decode(Acknowledgement.self, from: Data(all.limited(from: from).json()))
            #expect(answer.received.subtracting(all.received).isEmpty && answer.json().count < 10_000)
            told.formUnion(answer.received)
            asked += 1
            guard let complete = answer.complete, complete.upperBound < 3_200_000 else { break }
            #expect(complete.lowerBound == from)
            let inside = IntervalSet(complete)
            #expect(answer.received.intersection(inside) == all.received.intersection(inside))
            #expect(answer.archived.intersection(inside) == all.archived.intersection(inside))
            from = complete.upperBound + 1
        }
        #expect(told == all.received && asked > 100)
        // Few gaps: nothing is left out, and nothing is said about it.
        all.received = IntervalSet(1...4_000)
        all.archived = IntervalSet([1...10, 20...30])
        #expect(all.limited(from: 7) == all && all.limited(toBatch: 5...6) == all)
    }
}
