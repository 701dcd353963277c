// Requests as an integrator would type them, and a look into files.

import Foundation
import HTTPClient
import System

enum Requests {
    static func report(drone: String = "d-1", boot: String = "b", seq: Int, extra: String = "") -> String {
        #"{"drone_id":"\#(drone)","boot":"\#(boot)","seq":\#(seq),"location":{"lat":48.85,"lon":2.35}\#(extra)}"#
    }

    static func post(
        _ server: Server, _ body: String, type: String = "application/json", headers: [(String, String)] = []
    ) throws -> HTTPClientResponse {
        try HTTPClient().perform(
            HTTPClientRequest(
                method: "POST", url: server.address + "/v1/reports", headers: [("Content-Type", type)] + headers,
                body: Array(body.utf8)))
    }

    static func object(_ response: HTTPClientResponse) -> [String: Any] {
        (try? JSONSerialization.jsonObject(with: Data(response.body)) as? [String: Any]) ?? [:]
    }

    /// The `status` of each report in an answer.
    static func statuses(_ response: HTTPClientResponse) -> [String] {
        ((object(response)["results"] as? [[String: Any]]) ?? []).compactMap { $0["status"] as? String }
    }
}

enum Files {
    /// Files below a folder whose bytes hold a text.
    static func containing(_ text: String, below folder: String) throws -> [String] {
        let needle = Data(text.utf8)
        guard let files = FileManager.default.enumerator(atPath: folder) else { return [] }
        return files.compactMap { $0 as? String }.filter { file in
            guard let data = FileManager.default.contents(atPath: "\(folder)/\(file)") else { return false }
            return data.range(of: needle) != nil
        }
    }
}

extension Programs {
    /// The Python of `make deps`, which has the package deltalake; nil where it was not installed.
    static var python: String? {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().path
        let path = "\(root)/.tools/python/bin/python3"
        return FileSystem.isExecutable(path) ? path : nil
    }
}
