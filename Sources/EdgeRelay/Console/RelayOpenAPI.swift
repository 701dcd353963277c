// The relay's interface as OpenAPI 3.1 (contract §2), served at /openapi.json. Written by hand: it is the promise, not a
// mirror of the code; a test holds the routes against it.

enum RelayOpenAPI {
    static let document = """
        {"openapi":"3.1.0","info":{"title":"Columba relay","version":"\(EdgeRelayService.version)",\
        "summary":"Takes reports of drones, raises alerts, forwards everything to central.",\
        "license":{"name":"Apache-2.0","identifier":"Apache-2.0"}},\
        "servers":[{"url":"/"}],"paths":{\(paths)},"components":{"schemas":{\(schemas)},"responses":{\(responses)}}}
        """

    private static let problems = #""default":{"$ref":"#/components/responses/Problem"}"#

    private static func get(_ summary: String, _ mediaType: String, _ parameters: String = "") -> String {
        #"{"get":{"summary":"\#(summary)","parameters":[\#(parameters)],"responses":{"200":{"description":"\#(summary)","#
            + #""content":{"\#(mediaType)":{}}},\#(problems)}}}"#
    }

    private static func query(_ name: String, _ schema: String) -> String {
        #"{"name":"\#(name)","in":"query","schema":\#(schema)}"#
    }

    private static let alertQuery = [
        query("state", #"{"enum":["raised","acknowledged","shelved","closed"]}"#),
        query("since", #"{"type":"string","format":"date-time"}"#),
        query("limit", #"{"type":"integer","minimum":1,"maximum":10000,"default":100}"#),
    ].joined(separator: ",")

    private static func change(_ summary: String) -> String {
        #"{"post":{"summary":"\#(summary)","parameters":[{"name":"alert_id","in":"path","required":true,"#
            + #""schema":{"type":"string","pattern":"^[0-9a-f]{32}$"}}],"requestBody":{"required":true,"content":"#
            + ##"{"application/json":{"schema":{"$ref":"#/components/schemas/AlertChange"}}}},"##
            + ##""responses":{"200":{"description":"The alert as it is now, on disk","content":{"application/json":"##
            + ##"{"schema":{"$ref":"#/components/schemas/Alert"}}}},\##(problems)}}}"##
    }

    private static let report =
        ##"{"post":{"summary":"Send reports. Resending the same bytes is always safe.","requestBody":{"required":true,"##
        + ##""content":{"application/json":{"schema":{"$ref":"#/components/schemas/Report"}},"application/x-ndjson":{}}},"##
        + ##""responses":{"202":{"description":"All are on the relay's disk","content":{"application/json":{"schema":"##
        + ##"{"$ref":"#/components/schemas/Results"}}}},"207":{"description":"Some lines were rejected","content":"##
        + ##"{"application/json":{"schema":{"$ref":"#/components/schemas/Results"}}}},\##(problems)}}}"##

    private static let paths = [
        #""/v1/reports":\#(report)"#,
        #""/v1/alerts":\#(get("Alerts, newest first", "application/json", alertQuery))"#,
        #""/v1/alerts/stream":\#(get("Alerts as Server-Sent Events; resumes with Last-Event-ID", "text/event-stream"))"#,
        #""/v1/alerts/{alert_id}/ack":\#(change("Acknowledge"))"#,
        #""/v1/alerts/{alert_id}/shelve":\#(change("Put aside for now"))"#,
        #""/v1/alerts/{alert_id}/close":\#(change("Close with an outcome"))"#,
        #""/v1/drones":\#(get("Last report of each drone", "application/json"))"#,
        #""/v1/status":\#(get("Buffer, uplink, counters", "application/json"))"#,
        #""/metrics":\#(get("Prometheus text", "text/plain"))"#,
        #""/livez":\#(get("The process runs", "text/plain"))"#,
        #""/readyz":\#(get("The buffer can be written", "text/plain"))"#,
    ].joined(separator: ",")

    private static let schemas =
        ##""Report":{"type":"object","required":["drone_id","location"],"properties":{"drone_id":{"type":"string","##
        + ##""pattern":"^[A-Za-z0-9._-]{1,64}$"},"boot":{"type":"string","pattern":"^[A-Za-z0-9._-]{1,32}$"},"##
        + ##""seq":{"type":"integer","minimum":1},"observed_at":{"type":"string","format":"date-time"},"##
        + ##""location":{"type":"object","required":["lat","lon"],"properties":{"lat":{"type":"number","minimum":-90,"##
        + ##""maximum":90},"lon":{"type":"number","minimum":-180,"maximum":180},"alt_m":{"type":"number"}}},"##
        + ##""citizens":{"type":"array","maxItems":1000,"items":{"type":"object","required":["name","peacescore"],"##
        + ##""properties":{"name":{"type":"string","minLength":1,"maxLength":256},"peacescore":{"type":"number"},"##
        + ##""confidence":{"type":"number","minimum":0,"maximum":1}}}},"words":{"type":"array","maxItems":10000,"##
        + ##""items":{"type":"string","maxLength":256}},"readings":{"type":"object","maxProperties":256,"##
        + ##""additionalProperties":{"type":"number"}},"media":{"type":"array","maxItems":64}}},"##
        + ##""Results":{"type":"object","required":["relay_id","results"]},"Alert":{"type":"object","##
        + ##""required":["alert_id","rule","severity","state","drone_id"]},"AlertChange":{"type":"object","##
        + ##""required":["by"],"properties":{"by":{"type":"string","minLength":1,"maxLength":128},"note":{"type":"string","##
        + ##""maxLength":4000},"outcome":{"enum":["confirmed","false_alarm","unknown"]}}},"##
        + ##""Problem":{"type":"object","required":["status","code","detail"],"properties":{"status":{"type":"integer"},"##
        + ##""code":{"type":"string"},"detail":{"type":"string"},"field":{"type":"string"}}}"##

    private static let responses =
        ##""Problem":{"description":"What is wrong and what would be right (RFC 9457)","content":"##
        + ##"{"application/problem+json":{"schema":{"$ref":"#/components/schemas/Problem"}}}}"##
}
