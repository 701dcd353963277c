// Numbers come out of the archive as the doubles that the drone's text means, however it was written.

import Central
import Foundation
import JSON
import Models
import TestSupport
import Testing

@Suite("numbers in the archive") struct NumberArchivingTests {
    @Test("every way to write a number is stored as the nearest double")
    func exact() throws {
        let seed = UInt64.random(in: 1...999_999)
        var random = SeededGenerator(seed: seed)
        var texts = [
            "1.50", "-0.0", "-0", "0", "1e3", "1E-7", "-12.25", "0.1", "999999999999999", "9999999999999999",
            "123456789012345678", "12345678901234567890123", "0.1000000000000000055511151231257827", "5e-324", "1e-400",
            "1.7976931348623157e308", "9007199254740993", "0.30000000000000004", "100000000000000.5", "1.0E+2",
        ]
        for _ in 0..<200 {
            let whole = String(Int64.random(in: -999_999...999_999, using: &random))
            let digits = (0..<Int.random(in: 1...12, using: &random)).map { _ in
                String(Int.random(in: 0...9, using: &random))
            }
            texts.append(whole + "." + digits.joined())
        }
        let readings = texts.enumerated().map { #""r\#($0)":\#($1)"# }.joined(separator: ",")
        let body =
            #"{"drone_id":"pw-1","boot":"b","seq":1,"location":{"lat":48.85660,"lon":-2.3522000000000000001,"#
            + #""alt_m":8e1},"citizens":[{"name":"A","peacescore":12.50,"confidence":1.0},"#
            + #"{"name":"B","peacescore":-1e2}],"readings":{\#(readings)}}"#
        let fixture = try ArchiveFixture()
        var maker = BatchMaker()
        maker.add(1, body)
        _ = try fixture.archiver().archive([maker.batch(at: 1)])
        // As text with 17 digits, which tell every double from its neighbours.
        let rows = try fixture.rows(
            .reports,
            "select key as k, printf('%.17g', value) as v from (select unnest(map_entries(readings), "
                + "recursive := true) from t)")
        #expect(rows.count == texts.count, "seed \(seed)")
        struct Row: Decodable { var k: String; var v: String }
        for line in rows {
            let row = try JSONDecoder().decode(Row.self, from: Data(line.utf8))
            let text = texts[try #require(Int(row.k.dropFirst()))]
            #expect(Double(row.v) == Double(text), "\(text) became \(row.v), seed \(seed)")
        }
        let others = try fixture.rows(
            .reports,
            "select lat = 48.8566 and lon = -2.3522 and alt_m = 80 and citizens[1].peacescore = 12.5 and "
                + "citizens[1].confidence = 1 and citizens[2].peacescore = -100 as ok from t")
        #expect(others == [#"{"ok":true}"#])
    }
}
