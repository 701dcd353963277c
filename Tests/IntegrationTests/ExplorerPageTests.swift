// The explorer's addresses as a browser and other programs see them: page, headers, data twins, refusals.

import Foundation
import HTTPClient
import System
import TestSupport
import Testing

@Suite("the explorer over HTTP", .serialized)
final class ExplorerPageTests {
    private let station: Station

    init() throws {
        station = try Station()
        try station.start()
    }

    deinit { station.end() }

    private func ask(
        _ path: String, method: String = "GET", headers: [(String, String)] = [], body: String? = nil
    ) throws -> HTTPClientResponse {
        var request = HTTPClientRequest(
            method: method, url: station.central.address + path, headers: headers, timeoutSeconds: 60)
        if let body { request.body = Array(body.utf8) }
        return try HTTPClient().perform(request)
    }

    private func text(_ response: HTTPClientResponse) -> String { String(decoding: response.body, as: UTF8.self) }

    /// Words and a name that would be markup, a formula, a script.
    private func send() throws {
        let extra =
            #","words":["<img src=x onerror=alert(1)>","=1+1","market"],"#
            + #""citizens":[{"name":"<b>Ada</b>","peacescore":5}]"#
        for seq in 1...8 {
            #expect(try Requests.post(station.relay, Requests.report(seq: seq, extra: extra)).status == 202)
        }
        #expect(station.waitUntilArchived())
    }

    @Test("each view has its twin as JSON, CSV and SQL, and the SQL asked by hand gives as many rows")
    func twins() throws {
        try send()
        let views = [
            ("histogram", "words=market"), ("bins", "length=6"), ("points", "limit=8"), ("fields", ""),
            ("values", "field=words"), ("chart", "x=word"), ("archive", ""), ("schema", ""),
        ]
        for (view, items) in views {
            let path = "/v1/explore/\(view)?\(items)\(items.isEmpty ? "" : "&")format="
            let json = try ask(path + "json")
            #expect(json.status == 200 && json.header("content-type") == "application/json", "\(view): \(text(json))")
            let rows = try #require(Requests.object(json)["row_count"] as? Int, "\(view)")
            #expect(rows > 0, "\(view)")
            let csv = try ask(path + "csv")
            #expect(csv.header("content-type")?.hasPrefix("text/csv") == true && csv.header("x-row-count") == "\(rows)")
            let sql = try ask(path + "sql")
            #expect(sql.status == 200 && sql.header("content-type")?.hasPrefix("application/sql") == true, "\(view)")
            let statement = try JSONSerialization.data(withJSONObject: ["sql": text(sql)])
            let byHand = try ask(
                "/v1/sql", method: "POST", headers: [("Content-Type", "application/json")],
                body: String(decoding: statement, as: UTF8.self))
            #expect(Requests.object(byHand)["row_count"] as? Int == rows, "\(view): \(text(byHand))")
        }
        let table = try ask("/v1/reports?rule=low-peacescore&words=m*&format=sql")
        #expect(text(table).contains("starts_with(w, 'm')") && text(table).contains("rule = 'low-peacescore'"))
        let days = try ask("/v1/explore/days?format=csv")
        #expect(text(days).hasPrefix("date,reports,files,bytes\n") && text(days).contains(",8,"))
        // What looks like a formula is none in CSV; JSON has it as it was.
        let words = "/v1/explore/values?field=words&format="
        let (csv, json) = (text(try ask(words + "csv")), text(try ask(words + "json")))
        #expect(csv.contains("'=1+1") && json.contains(#""=1+1""#))
        for (path, head, row) in [
            ("/v1/live", "time,reports,late,alerts", ",8,0,"), ("/v1/relays", "relay_id,state,", "north-0,"),
            ("/v1/completeness", "relay_id,state,complete_through,", "north-0,"),
            ("/v1/alerts", "alert_id,rule,", ",low-peacescore,3,critical,raised,d-1,b,"),
        ] {
            let csv = try ask(path + "?format=csv")
            #expect(csv.header("content-type")?.hasPrefix("text/csv") == true && text(csv).hasPrefix(head), "\(path)")
            #expect(text(csv).contains(row) && !text(csv).contains("Ada"), "\(path): \(text(csv))")
            #expect(try ask(path + "?format=xls").status == 422, "\(path)")
        }
        #expect(try ask("/v1/explore/nothing").status == 404 && ask("/v1/explore/bins?zoom=3").status == 422)
    }

    @Test("a write from another site is refused before it is done; programs and the page itself are not")
    func origins() throws {
        let statement = #"{"sql":"select 1 as one"}"#
        func post(_ headers: [(String, String)]) throws -> Int {
            try ask(
                "/v1/sql", method: "POST", headers: [("Content-Type", "application/json")] + headers, body: statement
            ).status
        }
        let own = station.central.address
        #expect(try post([]) == 200)
        #expect(try post([("Origin", own), ("Sec-Fetch-Site", "same-origin")]) == 200)
        #expect(try post([("Origin", own)]) == 200)
        #expect(try post([("Origin", "https://elsewhere.example")]) == 403)
        #expect(try post([("Origin", "null")]) == 403)
        #expect(try post([("Sec-Fetch-Site", "cross-site")]) == 403)
        // Another port of the same machine is another site's page too.
        #expect(try post([("Origin", "http://127.0.0.1:1")]) == 403)
        let refused = try ask(
            "/v1/rules", method: "PUT", headers: [("Origin", "https://elsewhere.example")], body: "{}")
        #expect(refused.status == 403 && text(refused).contains("cross_site_request"))
    }

    @Test("the page comes with a policy that lets nothing but its own files run")
    func page() throws {
        let page = try ask("/")
        #expect(page.status == 200 && page.header("content-type")?.hasPrefix("text/html") == true)
        let policy = try #require(page.header("content-security-policy"))
        #expect(policy.contains("default-src 'none'") && policy.contains("script-src 'self';"))
        #expect(!policy.contains("unsafe-inline") && !policy.contains("unsafe-eval"))
        #expect(page.header("x-content-type-options") == "nosniff" && page.header("referrer-policy") == "no-referrer")
        #expect(try ask("/", method: "POST", body: "").status == 405)
        #expect(try ask("/pages/../central.json5").status == 404 && ask("/pages/central/nothing.js").status == 404)
        guard text(page).contains("/pages/central/main.js") else {
            #expect(text(page).contains("make deps"), "without the distribution's files the page says what to do")
            return
        }
        for file in [
            "central/main.js", "central/central.css", "shared/dom.js", "vendor/leaflet/leaflet.js", "settings.json",
        ] {
            #expect(try ask("/pages/\(file)").status == 200, "\(file)")
        }
    }
}
