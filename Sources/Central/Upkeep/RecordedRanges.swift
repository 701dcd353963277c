// The ranges in a log's `stats`, to be held against what a file really has.

import FoundationEssentials
import Models

struct RecordedRanges: Decodable {
    private enum Value: Decodable {
        case number(Double)
        case text(String)
        case other

        init(from decoder: any Decoder) throws {
            let value = try decoder.singleValueContainer()
            if let number = try? value.decode(Double.self) {
                self = .number(number)
            } else if let text = try? value.decode(String.self) {
                self = .text(text)
            } else {
                self = .other
            }
        }
    }

    private var minValues: [String: Value]?
    private var maxValues: [String: Value]?

    init?(json: String) {
        guard let read = try? JSONDecoder().decode(RecordedRanges.self, from: Data(json.utf8)) else { return nil }
        self = read
    }

    /// A column that has values outside its range; columns that either side knows nothing of are fine.
    func columnThatDoesNotCover(_ found: FileStatistics) -> String? {
        for (column, range) in found.strings {
            if let low = text(minValues, column), let smallest = range.smallest, smallest < low { return column }
            if let high = text(maxValues, column), let largest = range.largest, largest > high { return column }
        }
        for (column, range) in found.integers {
            if let low = number(minValues, column), let smallest = range.smallest, Double(smallest) < low {
                return column
            }
            if let high = number(maxValues, column), let largest = range.largest, Double(largest) > high {
                return column
            }
        }
        for (column, range) in found.numbers {
            if let low = number(minValues, column), let smallest = range.smallest, smallest < low { return column }
            if let high = number(maxValues, column), let largest = range.largest, largest > high { return column }
        }
        for (column, range) in found.timestamps {
            if let low = time(minValues, column), let smallest = range.smallest, smallest < low { return column }
            if let high = time(maxValues, column), let largest = range.largest, largest > high { return column }
        }
        return nil
    }

    private func text(_ values: [String: Value]?, _ column: String) -> String? {
        if case .text(let text)? = values?[column] { text } else { nil }
    }

    private func number(_ values: [String: Value]?, _ column: String) -> Double? {
        if case .number(let number)? = values?[column] { number } else { nil }
    }

    private func time(_ values: [String: Value]?, _ column: String) -> Int64? {
        text(values, column).flatMap { Timestamp(rfc3339: $0)?.microseconds }
    }
}
