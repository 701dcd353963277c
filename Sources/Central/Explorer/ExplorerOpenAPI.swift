// The explorer's addresses in the interface description.

extension CentralOpenAPI {
    private static let moreFilters = [
        item(
            "words", #"{"type":"string","maxLength":1000}"#,
            #"Words a report has: all of them; a* begins so, -a is not there, \"a b\" holds a blank"#),
        item("rule", #"{"type":"string","maxLength":128}"#, "Only reports that raised an alert of this rule"),
        choice("late", ["true", "false"], "Only those that came late, or in time"),
        choice("time_suspect", ["true", "false"], "Only those of a suspect clock, or the others"),
    ].joined(separator: ",")

    static let selection = filters + "," + moreFilters

    private static func bins(_ initial: Int) -> String {
        item(
            "bins", #"{"type":"integer","minimum":3,"maximum":2000,"default":\#(initial)}"#,
            "At most so many intervals; their length is one that people count in")
    }

    private static func top(_ maximum: Int, _ initial: Int) -> String {
        item("top", #"{"type":"integer","minimum":1,"maximum":\#(maximum),"default":\#(initial)}"#, "At most so many")
    }

    private static func explore(_ path: ExplorerPath, _ summary: String, _ parameters: [String] = []) -> String {
        let formats = choice("format", path.formats.map(\.rawValue), "json unless said otherwise; sql: what would run")
        let types = [
            "application/json", "text/csv", "application/vnd.apache.parquet", "application/geo+json", "application/sql",
        ]
        return get(path.path, summary, parameters + [formats], answers: types)
    }

    static let explorerPaths = [
        explore(
            .histogram, "Reports over time, by relay, with the late ones",
            [selection, bins(240), choice("by", ["relay_id", "none"], "Split by relay, or not")]),
        explore(
            .bins, "Reports by geohash cell",
            [
                selection,
                item(
                    "length", #"{"type":"integer","minimum":1,"maximum":9,"default":5}"#, "Characters of the geohash"),
                choice(
                    "measure", ["reports", "peacescore"], "peacescore: its mean, without cells about too few people"),
            ]),
        explore(
            .points, "Places of reports, newest first",
            [
                selection,
                item("limit", #"{"type":"integer","minimum":1,"maximum":50000,"default":5000}"#, "At most so many"),
            ]),
        explore(.fields, "Columns: how often empty, how many different values, smallest and largest", [selection]),
        explore(
            .values, "A column's most frequent values, or its distribution",
            [
                selection,
                #"{"name":"field","in":"query","required":true,"schema":{"type":"string","examples":["words","#
                    + #""readings.battery_pct"]},"description":"A column, rule, or a reading as readings.NAME"}"#,
                top(1_000, 10),
            ]),
        explore(
            .chart, "A measure over a dimension, split into series",
            [
                selection, choice("x", ChartQuestion.Dimension.allCases.map(\.rawValue), "The dimension"),
                choice("y", ChartQuestion.Measure.allCases.map(\.rawValue), "The measure"),
                choice("by", ChartQuestion.Series.allCases.map(\.rawValue), "The series"),
                item("reading", #"{"type":"string","maxLength":128}"#, "Of x=reading and y=reading_…"), bins(120),
                top(200, 25),
            ]),
        explore(.archive, "By relay: reports, oldest, newest, waiting, complete through", [selection]),
        explore(.schema, "Views with their columns, and macros"),
        explore(.days, "The days the archive has, from its log alone: reports, files, bytes"),
    ].joined(separator: ",\n")
}
