// `GET /v1/explore/chart`: one measure of the selected reports over one dimension, split into series. What is beyond
// the largest series is counted together as `(other)`.

import DuckDB
import Models

/// `x` is a time, a number or a text; with `y=peacescore` a row says how many persons it is about, and rows about too
/// few are left out.
struct ChartQuestion {
    enum Dimension: String, CaseIterable {
        case time, hour, weekday, relay_id, drone_id, cell, word, rule, reading

        /// Only the largest values of a text are shown.
        var isText: Bool {
            switch self {
            case .relay_id, .drone_id, .cell, .word, .rule: true
            case .time, .hour, .weekday, .reading: false
            }
        }
    }

    enum Measure: String, CaseIterable {
        case reports, drones, late_share, delay_p50, delay_p95, reading_mean, reading_min, reading_max, peacescore

        var needsReading: Bool { rawValue.hasPrefix("reading") }
    }

    enum Series: String, CaseIterable { case none, relay_id, drone_id, cell, late }

    private let chosen: ExplorerSelection
    private let dimension: Dimension
    private let measure: Measure
    private let series: Series
    private let reading: String?
    private let top: Int
    private let width: Int

    init(_ query: inout AnalystQuery, within period: LakePeriod?) throws(Problem) {
        ExplorerLimits.check()
        chosen = try ExplorerSelection(&query, within: period)
        dimension = try query.choice("x", of: Dimension.allCases) ?? .time
        measure = try query.choice("y", of: Measure.allCases) ?? .reports
        series = try query.choice("by", of: Series.allCases) ?? .none
        let bins = try query.integer("bins", in: 3...ExplorerLimits.bins) ?? 120
        top = try query.integer("top", in: 1...200) ?? 25
        width = ExplorerSelection.width(seconds: chosen.seconds, bins: bins)
        reading = query.text("reading")
        if let reading {
            guard reading.utf8.count <= 128, !reading.utf8.contains(0) else {
                throw AnalystQuery.invalid("reading has at most 128 bytes and no NUL", "reading")
            }
        } else if dimension == .reading || measure.needsReading {
            throw AnalystQuery.invalid("reading is the name of one, such as battery_pct", "reading")
        }
    }

    private var readingValue: String { "readings[\(SQLText.literal(reading ?? ""))]" }

    private var x: String {
        switch dimension {
        case .time: "bucket('\(width) seconds', \(ReportSelection.time))"
        // On the plain number of microseconds: with a time zone it is far slower.
        case .hour: "(epoch_us(\(ReportSelection.time)) // 3600000000) % 24"
        case .weekday: "(epoch_us(\(ReportSelection.time)) // 86400000000 + 3) % 7 + 1"
        case .relay_id: "relay_id"
        case .drone_id: "drone_id"
        case .cell: "left(cell, 5)"
        case .word: "word"
        case .rule: "rule"
        case .reading: "floor(\(readingValue) / bands.width) * bands.width"
        }
    }

    private var seriesValue: String {
        switch series {
        case .none: "'all'"
        case .relay_id: "relay_id"
        case .drone_id: "drone_id"
        case .cell: "left(cell, 4)"
        case .late: "case when late then 'late' else 'in time' end"
        }
    }

    /// The columns that the measure needs, and how it comes from them.
    private var measured: (columns: String, aggregate: String) {
        switch measure {
        case .reports: ("", "count(*)")
        case .drones: (", drone_id", "count(distinct drone_id)")
        case .late_share: (", late", "count(*) filter (where late) / count(*)")
        case .delay_p50: (", delay_s(observed_at, received_at) as delay", "quantile_cont(delay, 0.5)")
        case .delay_p95: (", delay_s(observed_at, received_at) as delay", "quantile_cont(delay, 0.95)")
        case .reading_mean: (", \(readingValue) as reading", "avg(reading)")
        case .reading_min: (", \(readingValue) as reading", "min(reading)")
        case .reading_max: (", \(readingValue) as reading", "max(reading)")
        case .peacescore: (", citizens", "avg(citizen.peacescore)")
        }
    }

    private var source: String {
        switch dimension {
        case .word: "(select *, unnest(list_distinct(words)) as word from reports where \(chosen.condition)) as reports"
        case .rule:
            "reports join (select distinct drone_id, boot, seq, rule from alerts where kind = 'alert') "
                + "using (drone_id, boot, seq)"
        default: "reports"
        }
    }

    /// A length that people count in, for about as many bands as there is room for.
    private var bands: String {
        guard dimension == .reading else { return "" }
        return """
            bands as (
              select coalesce(nullif(pow(10, ceil(log10(
                  greatest(max(value) - min(value), 1e-9) / \(min(top, 50))))), 0),
                  1) as width
              from (select \(readingValue) as value from reports where \(chosen.condition))
              where isfinite(value)
            ),
            """ + " "
    }

    var question: ExplorerQuestion {
        let (columns, aggregate) = measured
        let fromBands = dimension == .reading ? ", bands" : ""
        let isPresent = dimension == .reading ? "\n    and isfinite(\(readingValue))" : ""
        let isAmongTop = dimension.isText ? "where x in (select x from largest)\n" : ""
        let isAboutPeople = measure == .peacescore
        let rows =
            isAboutPeople ? "(select x, series, unnest(citizens) as citizen from chosen)" : "chosen"
        let persons = isAboutPeople ? ", count(distinct citizen.person_id) as persons" : ""
        let seriesColumn =
            series == .none || series == .late
            ? "series" : "case when series in (select series from most) then series else '(other)' end as series"
        var question = ExplorerQuestion(
            """
            with \(bands)chosen as (
              select \(x) as x, \(seriesValue) as series\(columns)
              from \(source)\(fromBands)
              where \(chosen.condition)\(isPresent)
            ), largest as (
              select x from chosen group by x order by count(*) desc, x limit \(top)
            ), most as (
              select series from chosen group by series order by count(*) desc, series limit \(ExplorerLimits.series)
            )
            select x, \(seriesColumn), \(aggregate) as y\(persons)
            from \(rows)
            \(isAmongTop)group by 1, 2
            order by 1, 2
            """)
        if isAboutPeople { question.people = "persons" }
        question.tell(chosen)
        question.tell("x_is", .text(dimension.rawValue))
        question.tell("y_is", .text(measure.rawValue))
        if dimension == .time { question.tell("bucket_s", .integer(width)) }
        return question
    }
}

extension ExplorerQuestion {
    /// Items: the filters of `/v1/reports`, `x`, `y`, `by`, `reading`, `bins`, `top`.
    static func chart(_ query: inout AnalystQuery, within period: LakePeriod?) throws(Problem) -> ExplorerQuestion {
        try ChartQuestion(&query, within: period).question
    }
}
