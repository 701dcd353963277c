// `GET /v1/explore/days`: which days the archive has, from the table's log alone. No data file is opened, so a first
// look at years of reports is there at once; `from` and `to` of the other questions default to it.

import JSON
package import Models

package struct LakeDays: Sendable {
    package struct Day: Hashable, Sendable {
        package var date: String
        package var reports = 0
        package var files = 0
        package var bytes = 0
    }

    package private(set) var days: [Day] = []
    /// Every report's time is within, as closely as the log knows.
    package private(set) var period: LakePeriod?
    package private(set) var version: Int64
    /// When the newest of the compacted files was written.
    package private(set) var lastCompaction: Timestamp?

    init(_ snapshot: DeltaSnapshot) {
        version = snapshot.version
        var found: [String: Day] = [:]
        var newest: Int64?
        for file in snapshot.files.values where Timestamp(rfc3339: file.day + "T00:00:00Z") != nil {
            var day = found[file.day] ?? Day(date: file.day)
            day.reports += file.rows
            day.files += 1
            day.bytes += file.bytes
            found[file.day] = day
            if file.isCompacted { newest = max(newest ?? 0, file.modificationTime) }
        }
        days = found.values.sorted { $0.date < $1.date }
        lastCompaction = newest.map { Timestamp(microseconds: $0 * 1_000) }
        period = days.isEmpty ? nil : LakePeriod(snapshot.files.values)
    }

    package func json(now: Timestamp) -> [UInt8] {
        var json = JSONWriter(reservedBytes: 4_096)
        json.object { json in
            json.member("now", now)
            json.member("version", version)
            json.member("files", days.reduce(0) { $0 + $1.files })
            json.member("bytes", days.reduce(0) { $0 + $1.bytes })
            json.member("reports", days.reduce(0) { $0 + $1.reports })
            json.member("last_compaction", lastCompaction)
            json.key("columns")
            json.array { json in
                for (name, type) in [("date", "DATE"), ("reports", "BIGINT"), ("files", "BIGINT"), ("bytes", "BIGINT")]
                {
                    json.object { json in
                        json.member("name", name)
                        json.member("type", type)
                    }
                }
            }
            json.key("rows")
            json.array { json in
                for day in days {
                    json.object { json in
                        json.member("date", day.date)
                        json.member("reports", day.reports)
                        json.member("files", day.files)
                        json.member("bytes", day.bytes)
                    }
                }
            }
            json.member("row_count", days.count)
        }
        return json.bytes
    }

    package var csv: [UInt8] {
        let lines = days.map { "\($0.date),\($0.reports),\($0.files),\($0.bytes)\n" }
        return Array(("date,reports,files,bytes\n" + lines.joined()).utf8)
    }
}

package struct LakePeriod: Hashable, Sendable {
    package var from: Timestamp
    /// Not included.
    package var to: Timestamp

    package init(from: Timestamp, to: Timestamp) {
        self.from = from
        self.to = to
    }

    /// A report's time is when it was observed or when it was received, and within the day of its file.
    fileprivate init?(_ files: some Sequence<DeltaFile>) {
        let day: Int64 = 86_400_000_000
        var (first, last) = (Int64.max, Int64.min)
        for file in files {
            guard let start = Timestamp(rfc3339: file.day + "T00:00:00Z")?.microseconds else { continue }
            let (low, high) = (file.statistics?.minValues, file.statistics?.maxValues)
            let earliest = [low?.observedAt, low?.receivedAt].compactMap(\.self).min() ?? start
            let latest = [high?.observedAt, high?.receivedAt].compactMap(\.self).max() ?? start + day
            first = min(first, min(max(earliest, start), start + day))
            last = max(last, max(min(latest + 1, start + day), start))
        }
        guard first < last else { return nil }
        self.init(from: Timestamp(microseconds: first), to: Timestamp(microseconds: last))
    }
}

extension DeltaFile {
    /// The compactor's files are named so (`Compactor`).
    var isCompacted: Bool { path.split(separator: "/").last?.hasPrefix("compact-") ?? false }
}
