// `GET /v1/explore/archive` and `/v1/explore/schema`: the state of the archive by relay, and what a statement can ask.

import Models

extension ExplorerQuestion {
    /// Items: the filters of `/v1/reports`.
    static func archive(_ query: inout AnalystQuery, within period: LakePeriod?) throws(Problem) -> ExplorerQuestion {
        let chosen = try ExplorerSelection(&query, within: period)
        var question = ExplorerQuestion(
            """
            select relay_id, coalesce(reports, 0) as reports, first_report, newest_report, newest_archived,
                coalesce(late, 0) as late, coalesce(time_suspect, 0) as time_suspect, waiting, duplicates, rejected,
                last_contact, complete_through
            from (
              select relay_id, count(*) as reports, min(\(ReportSelection.time)) as first_report,
                  max(\(ReportSelection.time)) as newest_report, max(archived_at) as newest_archived,
                  count(*) filter (where late) as late, count(*) filter (where time_suspect) as time_suspect
              from reports
              where \(chosen.condition)
              group by relay_id
            ) full join (select * exclude (received, archived) from relays) using (relay_id)
            order by relay_id
            """)
        question.tell(chosen)
        return question
    }

    /// The columns of every view, then the macros with their parameters as type.
    static var schema: ExplorerQuestion {
        ExplorerQuestion(
            """
            select "view", "column", type
            from (
              select case schema_name when 'main' then '' else schema_name || '.' end || table_name as "view",
                  column_name as "column", data_type as type, column_index as place
              from duckdb_columns()
              where not internal and database_name = current_database()
              union all
              select 'macros', function_name, '(' || array_to_string(any_value(parameters), ', ') || ')', 0
              from duckdb_functions()
              where not internal and function_type = 'macro' and not starts_with(function_name, 'geohash_')
                  and function_name <> 'haversine_m'
              group by function_name
            )
            order by "view" = 'macros', "view" <> 'reports', "view", place, "column"
            """)
    }
}
