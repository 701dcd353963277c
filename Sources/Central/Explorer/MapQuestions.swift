// `GET /v1/explore/bins` and `/v1/explore/points`: where reports are. Reports are grouped by whole numbers that stand
// for geohash cells, and only the groups get their geohash: six times as fast as encoding each report.
//
// A place of exactly 0/0 is a receiver without a fix: it is counted everywhere, and drawn nowhere.

import Models

extension ExplorerQuestion {
    private enum Measure: String, CaseIterable { case reports, peacescore }

    private static let isPlace = "lat is not null and lon is not null and not (lat = 0 and lon = 0)"

    /// Items: the filters of `/v1/reports`, `length`, `measure`.
    static func bins(_ query: inout AnalystQuery, within period: LakePeriod?) throws(Problem) -> ExplorerQuestion {
        let chosen = try ExplorerSelection(&query, within: period)
        let length = try query.integer("length", in: 1...9) ?? 5
        let measure = try query.choice("measure", of: Measure.allCases) ?? .reports
        // A geohash of n characters has 5n bits, taken in turn from the longitude and the latitude.
        let (columns, rows) = ((5 * length + 1) / 2, 5 * length / 2)
        let x = "geohash_step(lon, -180, 180) >> \(30 - columns) as x"
        let y = "geohash_step(lat, -90, 90) >> \(30 - rows) as y"
        let cells =
            measure == .reports
            ? """
              select \(x), \(y), count(*) as reports, count(*) filter (where late) as late
              from reports
              where \(chosen.condition)
                and \(isPlace)
              group by 1, 2
            """
            : """
              select x, y, count(*) as sightings, count(distinct c.person_id) as persons, avg(c.peacescore) as mean
              from (
                select \(x), \(y), unnest(citizens) as c
                from reports
                where \(chosen.condition)
                  and \(isPlace)
              )
              group by 1, 2
            """
        let (tall, wide) = ("\(180 / Double(1 << rows))::DOUBLE", "\(360 / Double(1 << columns))::DOUBLE")
        let (values, order) =
            measure == .reports ? ("reports, late", "reports") : ("sightings, persons, mean", "sightings")
        var question = ExplorerQuestion(
            """
            with cells as (
            \(cells)
            )
            select geohash_text(x << \(30 - columns), y << \(30 - rows), \(length)) as cell,
                -90 + y * \(tall) as south, -180 + x * \(wide) as west, -90 + (y + 1) * \(tall) as north,
                -180 + (x + 1) * \(wide) as east,
                \(values)
            from cells
            order by \(order) desc, cell
            limit \(ExplorerLimits.points + 1)
            """)
        if measure == .peacescore { question.people = "persons" }
        question.tell(chosen)
        question.tell("length", .integer(length))
        return question
    }

    /// Items: the filters of `/v1/reports`, `limit`.
    static func points(_ query: inout AnalystQuery, within period: LakePeriod?) throws(Problem) -> ExplorerQuestion {
        let chosen = try ExplorerSelection(&query, within: period)
        let limit = try query.integer("limit", in: 1...ExplorerLimits.points) ?? 5_000
        var question = ExplorerQuestion(
            """
            select drone_id, boot, seq, \(ReportSelection.time) as time, relay_id, lat, lon, alt_m, late, time_suspect
            from reports
            where \(chosen.condition)
              and \(isPlace)
            order by time desc, drone_id, boot, seq
            limit \(limit + 1)
            """)
        question.limit = limit
        question.tell(chosen)
        return question
    }
}
