// Every rule of the contract's §1, at its edge.

import Foundation
import JSON
import Models
import Testing

@Suite("A report")
struct ReportRulesTests {
    let parser = ReportParser()

    @Test("as in the contract is accepted, with every field")
    func contractSample() throws {
        try parser.with(SampleReports.contract) { report in
            #expect(report.identity == ReportIdentity(droneID: "pw-000123", boot: "6f1c", seq: 4711))
            #expect(report.observedAt?.rfc3339 == "2026-11-20T05:00:00.123Z")
            #expect((report.latitude, report.longitude) == (48.8566, 2.3522))
            #expect(report.altitude == 80)
            #expect(report.citizenCount == 1)
            #expect(report.citizen(at: 0).name.string == "Ada Martin")
            #expect(report.citizen(at: 0).peacescore == 12.5)
            #expect(report.citizen(at: 0).confidence == 0.93)
            #expect(report.lowestPeacescore == 12.5)
            #expect((0..<report.wordCount).map { report.word(at: $0).string } == ["market", "rain"])
            #expect(report.reading(named: "ground_speed_mps") == 4.1)
            #expect(report.reading(named: "battery_pct") == 78)
            #expect(report.reading(named: "no_such") == nil)
            #expect(report.mediaCount == 1)
            let medium = report.medium(at: 0)
            #expect(medium.uri.string == "s3://media/ab12.jpg" && medium.sha256?.string == "…")
            #expect(medium.bytes == 52311 && medium.type?.string == "image/jpeg")
            #expect(medium.object.first == 0x7b && medium.object.last == 0x7d)
            #expect(report.extraCount == 0)
            #expect(report.body.elementsEqual(SampleReports.contract.utf8))
        }
    }

    @Test(
        "of a real flight is accepted",
        .enabled(if: SampleReports.hasData, "needs ../shared/data/flights.ndjson beside the repository"))
    func realFlights() throws {
        let lines = try SampleReports.lines(of: "flights.ndjson")
        #expect(lines.count == 805)
        for line in lines {
            try line.withUnsafeBytes { buffer in
                let report = try parser.parse(buffer)
                #expect(report.identity != nil && report.observedAt != nil && report.readingCount > 0)
                #expect(report.extraCount == 0)
            }
        }
    }

    @Test(
        "in its shortest form is accepted",
        .enabled(if: SampleReports.hasData, "needs ../shared/data/minimal.ndjson beside the repository"))
    func minimal() throws {
        let lines = try SampleReports.lines(of: "minimal.ndjson")
        #expect(lines.count == 100)
        for line in lines {
            try line.withUnsafeBytes { buffer in
                let report = try parser.parse(buffer)
                #expect(report.seq == nil && report.boot == "0" && report.observedAt == nil)
                let read = try JSONSerialization.jsonObject(with: Data(line)) as? [String: Any]
                let citizens = read?["citizens"] as? [[String: Any]] ?? []
                #expect(report.citizenCount == citizens.count)
                for (index, citizen) in citizens.enumerated() {
                    #expect(report.citizen(at: index).name.string == citizen["name"] as? String)
                    #expect(report.citizen(at: index).peacescore == citizen["peacescore"] as? Double)
                }
                #expect((0..<report.wordCount).map { report.word(at: $0).string } == read?["words"] as? [String])
            }
        }
    }

    @Test("without lists is the same as with empty ones")
    func emptyLists() throws {
        for text in [
            SampleReports.report(),
            SampleReports.report(#""citizens":[]"#, #""words":[]"#, #""readings":{}"#, #""media":[]"#),
        ] {
            try parser.with(text) { report in
                #expect(report.citizenCount == 0 && report.wordCount == 0 && report.readingCount == 0)
                #expect(report.mediaCount == 0 && report.lowestPeacescore == nil && report.extraCount == 0)
            }
        }
    }

    @Test("is taken apart from the white space around it")
    func whiteSpace() throws {
        let text = SampleReports.report()
        try parser.with(" \r\n\t" + text + "\n \t\r\n") { report in
            #expect(report.body.elementsEqual(text.utf8))
            #expect(report.droneID == "pw-1" && report.latitude == 48.8)
        }
    }

    @Test("that misses or breaks a field is refused 422, naming the field", arguments: faultCases)
    func faults(text: String, code: String, field: String?) {
        #expect(parser.outcome(text) == .refused(status: 422, code: code, field: field))
    }

    static let faultCases: [(String, String, String?)] = [
        ("[]", "not_an_object", nil), ("5", "not_an_object", nil), ("null", "not_an_object", nil),
        (#""text""#, "not_an_object", nil), ("{}", "missing_field", "drone_id"),
        (#"{"drone_id":"a"}"#, "missing_field", "location"),
        (#"{"location":{"lat":1,"lon":1}}"#, "missing_field", "drone_id"),
        (#"{"drone_id":"","location":{"lat":1,"lon":1}}"#, "invalid_field", "drone_id"),
        (#"{"drone_id":5,"location":{"lat":1,"lon":1}}"#, "invalid_field", "drone_id"),
        (#"{"drone_id":null,"location":{"lat":1,"lon":1}}"#, "invalid_field", "drone_id"),
        (#"{"drone_id":"a b","location":{"lat":1,"lon":1}}"#, "invalid_field", "drone_id"),
        (#"{"drone_id":"ä","location":{"lat":1,"lon":1}}"#, "invalid_field", "drone_id"),
        (#"{"drone_id":"a\u0000","location":{"lat":1,"lon":1}}"#, "invalid_field", "drone_id"),
        (#"{"drone_id":"a","location":5}"#, "invalid_field", "location"),
        (#"{"drone_id":"a","location":[1,2]}"#, "invalid_field", "location"),
        (#"{"drone_id":"a","location":null}"#, "invalid_field", "location"),
        (#"{"drone_id":"a","location":{}}"#, "missing_field", "location.lat"),
        (#"{"drone_id":"a","location":{"lat":1}}"#, "missing_field", "location.lon"),
        (#"{"drone_id":"a","location":{"lat":"1","lon":1}}"#, "invalid_field", "location.lat"),
        (#"{"drone_id":"a","location":{"lat":1,"lon":null}}"#, "invalid_field", "location.lon"),
        (#"{"drone_id":"a","location":{"lat":1,"lon":1,"alt_m":"80"}}"#, "invalid_field", "location.alt_m"),
        (SampleReports.report(#""boot":"""#), "invalid_field", "boot"),
        (SampleReports.report(#""boot":7"#), "invalid_field", "boot"),
        (SampleReports.report(#""seq":0"#), "invalid_field", "seq"),
        (SampleReports.report(#""seq":-1"#), "invalid_field", "seq"),
        (SampleReports.report(#""seq":1.5"#), "invalid_field", "seq"),
        (SampleReports.report(#""seq":1e3"#), "invalid_field", "seq"),
        (SampleReports.report(#""seq":"1""#), "invalid_field", "seq"),
        (SampleReports.report(#""seq":null"#), "invalid_field", "seq"),
        (SampleReports.report(#""seq":9223372036854775808"#), "invalid_field", "seq"),
        (SampleReports.report(#""seq":18446744073709551617"#), "invalid_field", "seq"),
        (SampleReports.report(#""observed_at":5"#), "invalid_field", "observed_at"),
        (SampleReports.report(#""observed_at":"yesterday""#), "invalid_field", "observed_at"),
        (SampleReports.report(#""observed_at":"2026-11-20T05:00:00""#), "invalid_field", "observed_at"),
        (SampleReports.report(#""observed_at":null"#), "invalid_field", "observed_at"),
        (SampleReports.report(#""citizens":{}"#), "invalid_field", "citizens"),
        (SampleReports.report(#""citizens":null"#), "invalid_field", "citizens"),
        (SampleReports.report(#""citizens":["Ada"]"#), "invalid_field", "citizens[0]"),
        (SampleReports.report(#""citizens":[{"name":"A"}]"#), "missing_field", "citizens[0].peacescore"),
        (SampleReports.report(#""citizens":[{"peacescore":1}]"#), "missing_field", "citizens[0].name"),
        (SampleReports.report(#""citizens":[{"name":"","peacescore":1}]"#), "invalid_field", "citizens[0].name"),
        (SampleReports.report(#""citizens":[{"name":1,"peacescore":1}]"#), "invalid_field", "citizens[0].name"),
        (
            SampleReports.report(#""citizens":[{"name":"A","peacescore":1},{"name":"A","peacescore":"nan"}]"#),
            "invalid_field", "citizens[1].peacescore"
        ),
        (
            SampleReports.report(#""citizens":[{"name":"A","peacescore":1,"confidence":1.0001}]"#), "invalid_field",
            "citizens[0].confidence"
        ),
        (
            SampleReports.report(#""citizens":[{"name":"A","peacescore":1,"confidence":-1e-9}]"#), "invalid_field",
            "citizens[0].confidence"
        ),
        (SampleReports.report(#""words":"rain""#), "invalid_field", "words"),
        (SampleReports.report(#""words":["rain",5]"#), "invalid_field", "words[1]"),
        (SampleReports.report(#""readings":[]"#), "invalid_field", "readings"),
        (SampleReports.report(#""readings":{"battery_pct":"78"}"#), "invalid_field", "readings.battery_pct"),
        (SampleReports.report(#""readings":{"Ada Martin":"78"}"#), "invalid_field", "readings[0]"),
        (SampleReports.report(#""readings":{"":78}"#), "invalid_field", "readings[0]"),
        (SampleReports.report(#""media":{}"#), "invalid_field", "media"),
        (SampleReports.report(#""media":["s3://x"]"#), "invalid_field", "media[0]"),
        (SampleReports.report(#""media":[{}]"#), "missing_field", "media[0].uri"),
        (SampleReports.report(#""media":[{"uri":""}]"#), "invalid_field", "media[0].uri"),
        (SampleReports.report(#""media":[{"uri":"a","bytes":-1}]"#), "invalid_field", "media[0].bytes"),
        (SampleReports.report(#""media":[{"uri":"a","bytes":1.5}]"#), "invalid_field", "media[0].bytes"),
        (SampleReports.report(#""media":[{"uri":"a","sha256":5}]"#), "invalid_field", "media[0].sha256"),
        (SampleReports.report(#""media":[{"uri":"a","type":null}]"#), "invalid_field", "media[0].type"),
    ]

    @Test("may reach each limit and not pass it", arguments: limitCases)
    func limits(limit: Int, field: String, code: String, make: @Sendable (Int) -> String) {
        #expect(parser.outcome(make(limit - 1)) == .accepted)
        #expect(parser.outcome(make(limit)) == .accepted)
        #expect(parser.outcome(make(limit + 1)) == .refused(status: 422, code: code, field: field))
    }

    static func list(_ count: Int, _ item: (Int) -> String) -> String {
        (0..<count).map(item).joined(separator: ",")
    }

    static func text(_ count: Int, _ character: String = "a") -> String { String(repeating: character, count: count) }

    static let limitCases: [(Int, String, String, @Sendable (Int) -> String)] = [
        (64, "drone_id", "invalid_field", { #"{"drone_id":"\#(text($0))","location":{"lat":1,"lon":2}}"# }),
        (32, "boot", "invalid_field", { SampleReports.report(#""boot":"\#(text($0))""#) }),
        (
            1000, "citizens", "too_many_items",
            {
                SampleReports.report(#""citizens":[\#(list($0) { #"{"name":"A\#($0)","peacescore":\#($0)}"# })]"#)
            }
        ),
        (10_000, "words", "too_many_items", { SampleReports.report(#""words":[\#(list($0) { #""w\#($0)""# })]"#) }),
        (
            256, "readings", "too_many_items",
            { SampleReports.report(#""readings":{\#(list($0) { #""r\#($0)":1"# })}"#) }
        ),
        (64, "media", "too_many_items", { SampleReports.report(#""media":[\#(list($0) { #"{"uri":"u\#($0)"}"# })]"#) }),
        (
            256, "citizens[0].name", "invalid_field",
            {
                SampleReports.report(#""citizens":[{"name":"\#(text($0))","peacescore":1}]"#)
            }
        ),
        (
            256, "citizens[0].name", "invalid_field",
            {
                SampleReports.report(#""citizens":[{"name":"\#(text($0, "é"))","peacescore":1}]"#)
            }
        ),
        (
            256, "citizens[0].name", "invalid_field",
            {
                SampleReports.report(#""citizens":[{"name":"\#(text($0, #"\ud83d\udd4a"#))","peacescore":1}]"#)
            }
        ),
        (256, "words[0]", "invalid_field", { SampleReports.report(#""words":["\#(text($0, "🕊"))"]"#) }),
        (256, "words[0]", "invalid_field", { SampleReports.report(#""words":["\#(text($0, #"\n"#))"]"#) }),
        (128, "readings[0]", "invalid_field", { SampleReports.report(#""readings":{"\#(text($0))":1}"#) }),
        (2048, "media[0].uri", "invalid_field", { SampleReports.report(#""media":[{"uri":"\#(text($0))"}]"#) }),
        (
            128, "media[0].sha256", "invalid_field",
            {
                SampleReports.report(#""media":[{"uri":"a","sha256":"\#(text($0))"}]"#)
            }
        ),
        (
            128, "media[0].type", "invalid_field",
            {
                SampleReports.report(#""media":[{"uri":"a","type":"\#(text($0, "ü"))"}]"#)
            }
        ),
    ]

    @Test("lies on the Earth, its edges included")
    func earth() {
        for (latitude, longitude, accepted) in [
            ("90", "180", true), ("-90", "-180", true), ("-0", "0.0e0", true), ("90.0000000000001", "0", false),
            ("-90.00000000001", "0", false), ("0", "180.0000000001", false), ("0", "-181", false), ("1e2", "0", false),
        ] {
            let outcome = parser.outcome(#"{"drone_id":"a","location":{"lat":\#(latitude),"lon":\#(longitude)}}"#)
            #expect((outcome == .accepted) == accepted, "\(latitude) \(longitude)")
        }
    }

    @Test("may have the largest seq, an ancient time, a boundary confidence, any finite peacescore")
    func extremes() throws {
        try parser.with(
            SampleReports.report(
                #""seq":9223372036854775807"#, #""observed_at":"0001-01-01T00:00:00Z""#,
                #""citizens":[{"name":"A","peacescore":-1.7976931348623157e308,"confidence":0},"#
                    + #"{"name":"B","peacescore":1e308,"confidence":1}]"#)
        ) { report in
            #expect(report.seq == .max)
            #expect(report.observedAt == .earliest)
            #expect(report.lowestPeacescore == -Double.greatestFiniteMagnitude)
            #expect(report.citizen(at: 1).confidence == 1)
        }
    }

    @Test("keeps what the contract does not know, as it came")
    func extra() throws {
        let text = #"""
            {"z" : {"deep": [1, {"a":null}]}, "drone_id":"a","location":{"lat":1,"heading":[2 ],"lon":2},
            "citizens":[{"name":"A","peacescore":1,"age": 5}],"media":[{"uri":"u","w":1.50},{"uri":"v","w":2}],
            "\u0061\"":"\u00e9"}
            """#
        try parser.with(text) { report in
            #expect(report.extraCount == 6)
            var json: [UInt8] = []
            report.appendExtraJSON(to: &json)
            #expect(
                String(decoding: json, as: UTF8.self)
                    == #"{"z":{"deep": [1, {"a":null}]},"location.heading":[2 ],"citizens[0].age":5,"media[0].w":1.50,"#
                    + #""media[1].w":2,"\u0061\"":"\u00e9"}"#)
        }
        try parser.with(SampleReports.report()) { report in
            var json: [UInt8] = []
            report.appendExtraJSON(to: &json)
            #expect(json == Array("{}".utf8))
        }
    }

    @Test("may be written with escapes, in keys as well")
    func escapes() throws {
        let text = #"""
            {"\u0064rone_id":"p\u0077-1","b\u006fot":"\u0062","seq":3,"observed_at":"\u0032026-11-20T05:00:00Z",
            "location":{"l\u0061t":1,"lon":2},"readings":{"a\/b":1},
            "citizens":[{"name":"\ud83d\ude00 \"J\u00e9\" \\ \b\f\n\r\t\u0000","peacescore":1}]}
            """#
        try parser.with(text) { report in
            #expect(report.identity == ReportIdentity(droneID: "pw-1", boot: "b", seq: 3))
            #expect(report.observedAt?.utcDay == "2026-11-20")
            #expect(report.latitude == 1)
            #expect(report.citizen(at: 0).name.string == "😀 \"Jé\" \\ \u{8}\u{c}\n\r\t\0")
            #expect(report.reading(named: "a/b") == 1)
        }
    }

    @Test("is refused with an error that repeats nothing of it (I9)")
    func noEcho() {
        let marker = "Zaphod"
        for text in Self.faultCases.map(\.0) + [
            SampleReports.report(#""citizens":[{"name":"\#(marker)","peacescore":"\#(marker)"}]"#),
            SampleReports.report(#""words":["\#(marker)",{"\#(marker)":1}]"#),
            SampleReports.report(#""\#(marker)":1,"\#(marker)":2"#), #"{"\#(marker)":"#,
        ] {
            Array(text.utf8).withUnsafeBytes { buffer in
                do throws(Problem) {
                    _ = try parser.parse(buffer)
                    Issue.record("this report is to be refused")
                } catch {
                    #expect(!String(decoding: error.json(), as: UTF8.self).contains(marker))
                    #expect(error.detail.utf8.count > 10)
                }
            }
        }
    }
}
