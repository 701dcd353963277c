// IntervalSet as JSON: `[[1,4200],[4301,5000]]` (contract §4).

import Models

extension IntervalSet: Codable {
    package init(from decoder: any Decoder) throws {
        var list = try decoder.unkeyedContainer()
        var ranges: [ClosedRange<Int64>] = []
        while !list.isAtEnd {
            var pair = try list.nestedUnkeyedContainer()
            let lower = try pair.decode(Int64.self)
            let upper = try pair.decode(Int64.self)
            guard lower <= upper, pair.isAtEnd else {
                throw DecodingError.dataCorruptedError(
                    in: list, debugDescription: "a range is a pair [first,last] with first ≤ last")
            }
            ranges.append(lower...upper)
        }
        self.init(ranges)
    }

    package func encode(to encoder: any Encoder) throws {
        var list = encoder.unkeyedContainer()
        try forEachRange { range in
            var pair = list.nestedUnkeyedContainer()
            try pair.encode(range.lowerBound)
            try pair.encode(range.upperBound)
        }
    }

    package func appendJSON(to output: inout [UInt8]) {
        output.append(0x5b)
        var isFirst = true
        forEachRange { range in
            if !isFirst { output.append(0x2c) }
            isFirst = false
            output.append(0x5b)
            JSONText.appendInteger(range.lowerBound, to: &output)
            output.append(0x2c)
            JSONText.appendInteger(range.upperBound, to: &output)
            output.append(0x5d)
        }
        output.append(0x5d)
    }
}
