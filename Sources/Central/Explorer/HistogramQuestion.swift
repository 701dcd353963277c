// `GET /v1/explore/histogram`: reports over time, by relay, with those that came late or with a suspect clock.

import Models

extension ExplorerQuestion {
    private enum Split: String, CaseIterable { case relay_id, none }

    /// Items: the filters of `/v1/reports`, `bins`, `by`.
    static func histogram(_ query: inout AnalystQuery, within period: LakePeriod?) throws(Problem) -> ExplorerQuestion {
        ExplorerLimits.check()
        let chosen = try ExplorerSelection(&query, within: period)
        let bins = try query.integer("bins", in: 3...ExplorerLimits.bins) ?? ExplorerLimits.defaultBins
        let split = try query.choice("by", of: Split.allCases) ?? .relay_id
        let width = ExplorerSelection.width(seconds: chosen.seconds, bins: bins)
        let counts = """
            count(*) as reports,
                count(*) filter (where late) as late, count(*) filter (where time_suspect) as time_suspect
            """
        let time = "bucket('\(width) seconds', \(ReportSelection.time)) as time"
        var question = ExplorerQuestion(
            split == .none
                ? """
                select \(time), \(counts)
                from reports
                where \(chosen.condition)
                group by 1
                order by 1
                """
                : """
                with counted as (
                  select \(time), relay_id, \(counts)
                  from reports
                  where \(chosen.condition)
                  group by 1, 2
                ), ranked as (
                  select relay_id, row_number() over (order by sum(reports) desc, relay_id) as place
                  from counted
                  group by relay_id
                )
                select time, case when place <= \(ExplorerLimits.relays) then relay_id else '(other)' end as relay_id,
                    sum(reports)::BIGINT as reports, sum(late)::BIGINT as late,
                    sum(time_suspect)::BIGINT as time_suspect
                from counted join ranked using (relay_id)
                group by 1, 2
                order by 1, 2
                """)
        question.tell(chosen)
        question.tell("bucket_s", .integer(width))
        return question
    }
}
