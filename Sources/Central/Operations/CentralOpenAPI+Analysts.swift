// The analysts' addresses in the interface description: reports, exports, statistics, what is live.

extension CentralOpenAPI {
    static let filters = [
        item("from", time, "Beginning, included: a time, a day, now, or a time before now such as -24h"),
        item("to", time, "End, not included"),
        item("bbox", #"{"type":"string"}"#, "west,south,east,north in degrees; west may lie beyond east"),
        item("drone_id", identifier, "Only this drone's"), item("relay_id", identifier, "Only this relay's"),
        item("word", #"{"type":"string"}"#, "Only reports with this word"),
        item("person_id", #"{"type":"string","pattern":"^[0-9a-f]{32}$"}"#, "Only reports that saw this person"),
        item("cell", #"{"type":"string","pattern":"^[0-9b-hjkmnp-z]{1,7}$"}"#, "Only cells that begin so"),
    ].joined(separator: ",")

    private static let time =
        #"{"type":"string","examples":["2026-11-20T05:00:00Z","2026-11-20","-24h","now"]}"#
    private static let identifier = #"{"type":"string","pattern":"^[A-Za-z0-9._-]{1,64}$"}"#

    static func item(_ name: String, _ schema: String, _ description: String) -> String {
        #"{"name":"\#(name)","in":"query","schema":\#(schema),"description":"\#(description)"}"#
    }

    private static func limit(_ maximum: Int, _ initial: Int) -> String {
        item(
            "limit", #"{"type":"integer","minimum":1,"maximum":\#(maximum),"default":\#(initial)}"#, "At most so many")
    }

    static func choice(_ name: String, _ values: [String], _ description: String) -> String {
        let list = values.map { "\"\($0)\"" }.joined(separator: ",")
        return item(name, #"{"enum":[\#(list)]}"#, description)
    }

    static func get(
        _ path: String, _ summary: String, _ parameters: [String] = [], answers types: [String] = ["application/json"]
    ) -> String {
        let content = types.map { "\"\($0)\":{}" }.joined(separator: ",")
        return #"""
            "\#(path)": {
              "get": {
                "summary": "\#(summary)",
                "parameters": [\#(parameters.joined(separator: ","))],
                "responses": {
                  "200": {"description":"\#(summary)","content":{\#(content)}},
                  "default": {"$ref":"#/components/responses/Problem"}
                }
              }
            }
            """#
    }

    private static let twin = choice("format", ["json", "csv"], "json unless said otherwise")

    private static let tables = [
        "application/json", "text/csv", "application/vnd.apache.parquet", "application/x-ndjson",
        "application/geo+json",
    ]

    static let analystPaths = [
        get(
            "/v1/reports", "Reports by time and identity, a page at a time",
            [
                selection, limit(10_000, 100), choice("order", ["newest", "oldest"], "newest unless said otherwise"),
                choice(
                    "format", ["json", "csv", "parquet", "ndjson", "geojson", "sql"],
                    "json unless said otherwise; sql: what would run"),
                item("cursor", #"{"type":"string"}"#, "The next_cursor (X-Next-Cursor) of the page before"),
            ], answers: tables),
        get(
            "/v1/export", "All reports that fit, as one file, or with estimate how many and how large",
            [
                selection, choice("format", ["parquet", "csv", "geojson", "ndjson"], "parquet unless said otherwise"),
                item("where", #"{"type":"string"}"#, "An SQL condition over the columns of reports"),
                choice("estimate", ["true", "false"], "true: only the number of reports and about how many bytes"),
            ], answers: tables),
        get("/v1/sql/helpers", "The views and macros of statements, as SQL", answers: ["application/sql"]),
        get("/v1/stats", "The prepared statistics, their parameters and columns"),
        get(
            "/v1/stats/{name}", "A statistic; its own parameters are further query items",
            [
                #"{"name":"name","in":"path","required":true,"schema":{"type":"string","pattern":"^[a-z0-9-]{1,64}$","#
                    + #""examples":["top-words"]}}"#,
                choice("format", ["json", "csv", "parquet", "sql"], "json unless said otherwise; sql: what would run"),
                limit(10_000_000, 100_000),
            ], answers: tables + ["application/sql"]),
        get("/v1/live", "Running figures of the last hour; as CSV its minutes", [twin], answers: tables),
        get("/v1/live/stream", "The running figures as Server-Sent Events", answers: ["text/event-stream"]),
        get(
            "/v1/alerts", "Alerts of all relays with their states, newest first, persons by person_id",
            [
                choice("state", ["raised", "acknowledged", "shelved", "closed"], "Only these"),
                choice("severity", ["info", "warning", "critical"], "Only these"),
                item("since", time, "Only those raised since then"), item("relay_id", identifier, "Only this relay's"),
                limit(10_000, 100), twin,
            ], answers: tables),
        get(
            "/v1/alerts/stream", "Alerts and their changes as Server-Sent Events",
            [
                #"{"name":"Last-Event-ID","in":"header","schema":{"type":"string"},"#
                    + #""description":"The last event seen: what came after it is sent first"}"#
            ], answers: ["text/event-stream"]),
    ].joined(separator: ",\n")
}
