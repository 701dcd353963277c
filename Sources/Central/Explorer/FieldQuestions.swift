// `GET /v1/explore/fields` and `/v1/explore/values`: what the columns of the selected reports hold. The first says of
// every column how often it is empty and how far it reaches; the second, asked when somebody opens a field, its most
// frequent values or its distribution.
//
// Lists are long: they are unfolded for about `ExplorerLimits.sampledReports` reports, picked evenly by a hash of their
// identity, and `sample_share` says which part of the selection that is. Scores are about persons: bands about too few
// of them are left out (`QueryRequest.people`).

import DuckDB
import Models

extension ExplorerQuestion {
    /// How a column's values are looked at.
    private enum Kind {
        /// Counted one by one; the SQL that gives the value.
        case value(String)
        /// A list or map: the SQL that gives the list of values of a report.
        case list(String)
        /// Bands between the smallest and the largest.
        case number(String)
        case scores
    }

    private struct Field {
        var name: String
        var type: String
        /// SQL that is NULL where the field says nothing.
        var presence: String
        var kind: Kind?
        var isCountable = false

        init(_ name: String, _ type: String, _ kind: Kind?, presence: String? = nil, countable: Bool = false) {
            self.name = name
            self.type = type
            self.kind = kind
            self.presence = presence ?? name
            isCountable = countable
        }
    }

    private static let columns: [Field] = [
        Field("observed_at", "TIMESTAMPTZ", nil), Field("received_at", "TIMESTAMPTZ", nil),
        Field("archived_at", "TIMESTAMPTZ", nil), Field("date", "DATE", .value("date::VARCHAR")),
        Field("relay_id", "VARCHAR", .value("relay_id"), countable: true),
        Field("drone_id", "VARCHAR", .value("drone_id"), countable: true),
        Field("boot", "VARCHAR", .value("boot"), countable: true), Field("seq", "BIGINT", .number("seq")),
        Field("cell", "VARCHAR", .value("left(cell, 5)"), countable: true), Field("lat", "DOUBLE", .number("lat")),
        Field("lon", "DOUBLE", .number("lon")), Field("alt_m", "DOUBLE", .number("alt_m")),
        Field("words", "LIST", .list("list_distinct(words)"), presence: emptyAsNull("words")),
        Field("citizens", "LIST", .scores, presence: emptyAsNull("citizens")),
        Field("readings", "MAP", .list("map_keys(readings)"), presence: "nullif(cardinality(readings), 0)"),
        Field(
            "media", "LIST", .list(#"list_distinct(list_transform(media, lambda m: m."type"))"#),
            presence: emptyAsNull("media")),
        Field("extra", "JSON", .list("json_keys(extra)"), presence: "nullif(extra, '{}')"),
        Field("late", "BOOLEAN", .value("late::VARCHAR")),
        Field("time_suspect", "BOOLEAN", .value("time_suspect::VARCHAR")),
        Field("epoch", "VARCHAR", .value("epoch"), countable: true),
        Field("relay_seq", "BIGINT", .number("relay_seq")),
    ]

    private static func emptyAsNull(_ list: String) -> String { "nullif(len(\(list)), 0)" }

    /// Items: the filters of `/v1/reports`.
    static func fields(_ query: inout AnalystQuery, within period: LakePeriod?) throws(Problem) -> ExplorerQuestion {
        let chosen = try ExplorerSelection(&query, within: period)
        let rows = columns.map { field in
            let isTime = field.type == "TIMESTAMPTZ"
            let isPlain = field.type != "LIST" && field.type != "MAP" && field.type != "JSON"
            func text(_ aggregate: String) -> String {
                guard isPlain else { return "null::VARCHAR" }
                let value = "\(aggregate)(\(field.name))"
                return isTime ? "strftime(\(value)::TIMESTAMP, '%Y-%m-%dT%H:%M:%S.%fZ')" : "\(value)::VARCHAR"
            }
            let different = field.isCountable ? "approx_count_distinct(\(field.name))" : "null::BIGINT"
            return "{field: '\(field.name)', type: '\(field.type)', reports: count(*), "
                + "present: count(\(field.presence)), different: \(different), "
                + "smallest: \(text("min")), largest: \(text("max"))}"
        }
        var question = ExplorerQuestion(
            """
            select field, type, reports, present, 1 - present / nullif(reports, 0) as null_share,
                different as different_about, smallest, largest
            from (
              select unnest(fields, recursive := true)
              from (
                select [
                  \(rows.joined(separator: ",\n      "))
                ] as fields
                from reports
                where \(chosen.condition)
              )
            )
            """)
        question.tell(chosen)
        return question
    }

    /// Items: the filters of `/v1/reports`, `field`, `top`.
    static func values(_ query: inout AnalystQuery, within period: LakePeriod?) throws(Problem) -> ExplorerQuestion {
        let chosen = try ExplorerSelection(&query, within: period)
        let name = query.text("field")
        let top = try query.integer("top", in: 1...1_000) ?? 10
        let kind = try kind(of: name)
        var question: ExplorerQuestion
        switch kind {
        case .value(let value): question = topValues(value, chosen.condition, top)
        case .list(let list): question = topOfLists(list, chosen.condition, top)
        case .number(let number): question = bands(number, chosen.condition, top)
        case .scores: question = scores(chosen.condition)
        }
        question.tell(chosen)
        if let name { question.tell("field", .text(name)) }
        return question
    }

    private static func kind(of name: String?) throws(Problem) -> Kind {
        guard let name else { throw AnalystQuery.invalid("field is the name of a column, or readings.NAME", "field") }
        if let kind = columns.first(where: { $0.name == name })?.kind { return kind }
        if name == "rule" { return .value("rule") }
        if name.hasPrefix("readings."), name.utf8.count <= 137, !name.utf8.contains(0) {
            return .number("readings[\(SQLText.literal(String(name.dropFirst(9))))]")
        }
        let names = columns.filter { $0.kind != nil }.map(\.name)
        throw AnalystQuery.invalid(
            "field is one of \(names.joined(separator: ", ")), rule, or a reading such as readings.battery_pct", "field"
        )
    }

    private static func topValues(_ value: String, _ condition: String, _ top: Int) -> ExplorerQuestion {
        // A report may raise several alerts of a rule: it is counted once.
        let source =
            value == "rule"
            ? """
            from reports join (select distinct drone_id, boot, seq, rule from alerts where kind = 'alert')
                using (drone_id, boot, seq)
            """ : "from reports"
        return ExplorerQuestion(
            """
            select \(value) as value, count(*) as reports,
                count(*) / (select count(*) from reports where \(condition)) as share, 1.0::DOUBLE as sample_share
            \(source)
            where \(condition)
            group by 1
            order by reports desc, value
            limit \(top)
            """)
    }

    /// `step`: every so manieth report.
    private static func sampled(_ value: String, _ condition: String) -> String {
        """
        with step as (
          select greatest(1, count(*) // \(ExplorerLimits.sampledReports)) as step
          from reports
          where \(condition)
        ), chosen as (
          select \(value)
          from reports
          where \(condition)
            and hash(drone_id, boot, seq) % (select step from step) = 0
        )
        """
    }

    private static func topOfLists(_ list: String, _ condition: String, _ top: Int) -> ExplorerQuestion {
        ExplorerQuestion(
            """
            \(sampled("\(list) as list", condition))
            select value, count(*) as reports, count(*) / (select count(*) from chosen) as share,
                1 / (select step from step) as sample_share
            from (select unnest(list) as value from chosen)
            where value is not null
            group by 1
            order by reports desc, value
            limit \(top)
            """)
    }

    private static func bands(_ number: String, _ condition: String, _ top: Int) -> ExplorerQuestion {
        ExplorerQuestion(
            """
            with chosen as (
              select \(number) as value
              from reports
              where \(condition)
            ), range as (
              select min(value)::DOUBLE as low, greatest(max(value)::DOUBLE - min(value)::DOUBLE, 1e-9) as span,
                  count(*) as reports
              from chosen
              where isfinite(value::DOUBLE)
            )
            select low + band * span / \(top) as value_from, low + (band + 1) * span / \(top) as value_to,
                count(*) as reports, count(*) / any_value(all_reports) as share, 1.0::DOUBLE as sample_share
            from (
              select low, span, reports as all_reports,
                  least(floor((value - low) / span * \(top))::BIGINT, \(top - 1)) as band
              from chosen, range
              where isfinite(value::DOUBLE)
            )
            group by band, low, span
            order by 1
            """)
    }

    private static func scores(_ condition: String) -> ExplorerQuestion {
        var question = ExplorerQuestion(
            """
            \(sampled("citizens", condition))
            select floor(c.peacescore / 10) * 10 as value_from, (floor(c.peacescore / 10) + 1) * 10 as value_to,
                count(*) as sightings, count(distinct c.person_id) as persons,
                count(*) / sum(count(*)) over () as share, 1 / (select step from step) as sample_share
            from (select unnest(citizens) as c from chosen)
            where isfinite(c.peacescore)
            group by 1, 2
            order by 1
            """)
        question.people = "persons"
        return question
    }
}
