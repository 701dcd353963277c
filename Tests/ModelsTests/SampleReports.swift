// Reports for tests, all invented, and the real flight data beside the repository.

import Foundation
import JSON
import Models

enum SampleReports {
    /// Word for word the example of the contract, §1.
    static let contract = """
        {
          "drone_id": "pw-000123",
          "boot": "6f1c",
          "seq": 4711,
          "observed_at": "2026-11-20T05:00:00.123Z",
          "location": {"lat": 48.8566, "lon": 2.3522, "alt_m": 80.0},
          "citizens": [{"name": "Ada Martin", "peacescore": 12.5, "confidence": 0.93}],
          "words": ["market", "rain"],
          "readings": {"battery_pct": 78, "ground_speed_mps": 4.1, "gps_satellites": 11},
          "media": [{"uri": "s3://media/ab12.jpg", "sha256": "…", "bytes": 52311, "type": "image/jpeg"}]
        }
        """

    /// A usual report: 8 citizens, 40 words, 1.4 KB.
    static let usual: String = {
        let citizens = (0..<8).map {
            #"{"name":"Ada Martin \#($0)","peacescore":\#($0 * 11).25,"confidence":0.9\#($0)}"#
        }
        let words = (0..<40).map { #""word\#($0)""# }
        return """
            {"drone_id":"pw-000123","boot":"6f1c","seq":4711,"observed_at":"2026-11-20T05:00:00.123Z",\
            "location":{"lat":48.8566,"lon":2.3522,"alt_m":80.0},"citizens":[\(citizens.joined(separator: ","))],\
            "words":[\(words.joined(separator: ","))],"readings":{"battery_pct":78,"ground_speed_mps":4.1,\
            "gps_satellites":11,"heading_deg":271.5,"battery_voltage_v":23.349},\
            "media":[{"uri":"s3://media/ab12.jpg","sha256":\
            "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08","bytes":52311,"type":"image/jpeg"}]}
            """
    }()

    /// The shortest valid report with `members` added: `report(#""seq":1"#)`.
    static func report(_ members: String...) -> String {
        let all = [#""drone_id":"pw-1""#, #""location":{"lat":48.8,"lon":2.3}"#] + members
        return "{" + all.joined(separator: ",") + "}"
    }

    static let dataDirectory = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appending(path: "../shared/data").standardized.path

    static var hasData: Bool { FileManager.default.fileExists(atPath: dataDirectory + "/flights.ndjson") }

    static func lines(of file: String) throws -> [[UInt8]] {
        let data = try Data(contentsOf: URL(filePath: dataDirectory + "/" + file))
        return data.split(separator: 0x0a).map { [UInt8]($0) }
    }
}

/// What a parse gave, without the view's lifetime: enough to compare.
enum ParseOutcome: Equatable {
    case accepted
    case refused(status: Int, code: String, field: String?)
}

extension ReportParser {
    func outcome(_ text: String) -> ParseOutcome { outcome(Array(text.utf8)) }

    func outcome(_ bytes: [UInt8]) -> ParseOutcome {
        bytes.withUnsafeBytes { buffer in
            do throws(Problem) {
                _ = try parse(buffer)
                return .accepted
            } catch {
                return .refused(status: error.status, code: error.code, field: error.field)
            }
        }
    }

    func with<Result>(_ text: String, _ body: (ParsedReport) throws -> Result) throws -> Result {
        try Array(text.utf8).withUnsafeBytes { try body(try parse($0)) }
    }
}
