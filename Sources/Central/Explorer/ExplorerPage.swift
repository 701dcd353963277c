// The analyst's page at `/`: what it needs of the distribution, and what stands in for it where that is missing.

import HTTPServer
import Log
import PageFiles

struct ExplorerPage: Sendable {
    private let files: PageFiles

    /// The map and the SQL editor; the rest is ours.
    private static let libraries = ["leaflet", "codemirror"]
    private static let needs = [
        "shared/theme.css", "shared/map.js", "vendor/leaflet/leaflet.js", "vendor/codemirror/codemirror.js",
    ]

    init(map: MapSettings?, log: Log) {
        files = PageFiles(page: "central", libraries: Self.libraries, needs: Self.needs, map: map)
        if !files.isComplete { log.warning("explorer_page_incomplete", ["hint": .string(files.hint)]) }
    }

    static func serves(_ path: String) -> Bool { PageFiles.serves(path) }

    /// The page or one of its files; `standIn` for `/` without them.
    func answer(_ exchange: HTTPExchange, standIn: (String) -> [UInt8]) -> HTTPResponse {
        if let answer = files.answer(exchange) { return answer }
        guard exchange.path == "/" else { return CentralRoutes.notFound }
        var answer = HTTPResponse(
            status: 200, headers: PageHeaders.all(), body: standIn("The explorer is not here: " + files.hint + "."))
        answer.headers.append(("Content-Type", "text/html; charset=utf-8"))
        return answer
    }
}
