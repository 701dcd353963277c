// Rows of a JSON answer, to be asked for values by name.

import Foundation

struct OrderedRow {
    let values: [String: Any]

    static func all(_ answer: [UInt8]) throws -> [OrderedRow] {
        let object = try JSONSerialization.jsonObject(with: Data(answer)) as? [String: Any]
        return (object?["rows"] as? [[String: Any]] ?? []).map { OrderedRow(values: $0) }
    }

    func text(_ name: String) -> String { values[name] as? String ?? "" }
    func integer(_ name: String) -> Int { (values[name] as? NSNumber)?.intValue ?? Int.min }
    func number(_ name: String) -> Double { (values[name] as? NSNumber)?.doubleValue ?? .nan }
    func isNull(_ name: String) -> Bool { values[name] is NSNull }
}

/// Equal but for the last digits, which Foundation's JSON reader does not keep.
func isNear(_ left: Double, _ right: Double) -> Bool { abs(left - right) <= 1e-12 * max(1, abs(right)) }
