// The answer to POST /v1/reports: `{"relay_id","results":[{"drone_id","boot","seq","status"}]}`, one result a report.

import HTTPServer
import Models

struct IngestAnswer {
    private var output: [UInt8] = []
    private var isFirst = true

    init(relayID: String) {
        output.reserveCapacity(192)
        output.append(contentsOf: #"{"relay_id":""#.utf8)
        output.append(contentsOf: relayID.utf8)
        output.append(contentsOf: #"","results":["#.utf8)
    }

    private mutating func separate() {
        if !isFirst { output.append(UInt8(ascii: ",")) }
        isFirst = false
    }

    /// Identifiers need no escaping: they were validated.
    mutating func append(_ identity: ReportIdentity, _ verdict: RecentIdentities.Verdict) {
        separate()
        output.append(contentsOf: #"{"drone_id":""#.utf8)
        output.append(contentsOf: identity.droneID.utf8)
        output.append(contentsOf: #"","boot":""#.utf8)
        output.append(contentsOf: identity.boot.utf8)
        output.append(contentsOf: #"","seq":"#.utf8)
        JSONText.appendInteger(identity.seq, to: &output)
        switch verdict {
        case .stored: output.append(contentsOf: #","status":"stored"}"#.utf8)
        case .duplicate: output.append(contentsOf: #","status":"duplicate"}"#.utf8)
        case .conflict: output.append(contentsOf: #","status":"conflict"}"#.utf8)
        }
    }

    /// A line of a request that was refused; `line` counts from 1, empty lines not counted.
    mutating func append(line: Int, _ problem: Problem) {
        separate()
        output.append(contentsOf: #"{"line":"#.utf8)
        JSONText.appendInteger(Int64(line), to: &output)
        output.append(contentsOf: #","status":"rejected","error":"#.utf8)
        problem.appendJSON(to: &output)
        output.append(UInt8(ascii: "}"))
    }

    consuming func finish() -> [UInt8] {
        output.append(contentsOf: "]}".utf8)
        return output
    }
}
