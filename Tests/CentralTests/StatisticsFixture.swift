// The built-in statistics over sample data whose values Swift knows.

import Central
import Foundation
import Models
import System
import Testing

final class StatisticsFixture {
    let sample: SampleArchive
    let library: StatisticsLibrary
    let folder: String

    /// The folder `queries` of this checkout.
    static let builtIn = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appendingPathComponent("queries").path

    init(count: Int = 300, seed: UInt64 = UInt64.random(in: 1...999_999)) throws {
        sample = try SampleArchive(count: count, seed: seed)
        folder = "\(sample.archive.directory)/statistics"
        try FileSystem.makeDirectories(folder)
        library = StatisticsLibrary(builtIn: Self.builtIn, folders: [folder], queries: sample.service)
    }

    /// Within these times everything happened.
    static let period = ["from": "2026-11-20", "to": "2026-11-22T05:00:00Z"]

    func answer(
        _ name: String, _ parameters: [String: String] = [:], format: QueryFormat = .json
    ) throws -> QueryAnswer {
        let statistic = try library.statistic(name)
        let resolved = try statistic.resolved(
            Self.period.merging(parameters) { $1 }, now: SampleArchive.now, smallestGroup: sample.service.smallestGroup)
        var request = QueryRequest(sql: resolved.sql, format: format)
        request.people = statistic.people
        return try sample.service.run(request)
    }

    func rows(_ name: String, _ parameters: [String: String] = [:]) throws -> [OrderedRow] {
        try OrderedRow.all(answer(name, parameters).body)
    }

    func write(_ file: String, _ sql: String) throws {
        try FileSystem.writeAtomically("\(folder)/\(file)", Array(sql.utf8))
    }
}

/// As DuckDB's `quantile_cont`: linear between the neighbours.
func quantile(_ values: [Double], _ share: Double) -> Double {
    let sorted = values.sorted()
    guard let last = sorted.last else { return .nan }
    let place = share * Double(sorted.count - 1)
    let low = Int(place)
    guard low + 1 < sorted.count else { return last }
    return sorted[low] + (sorted[low + 1] - sorted[low]) * (place - Double(low))
}
