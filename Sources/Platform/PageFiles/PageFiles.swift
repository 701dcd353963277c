// A page's files, read into memory once when the server starts, and served from there: `/` is the page, its files are
// at `/pages/<folder>/<name>`. What is served is fixed from then on: a request can name nothing else on the disk.
//
// Limits (I7): so many files, so many bytes each and together; beyond them a file is left out and named in `missing`.

import Compression
import Crypto
package import HTTPServer
import Models
import System

package struct PageFiles: Sendable {
    package static let maxFiles = 400
    package static let maxFileBytes = 4 << 20
    package static let maxBytes = 24 << 20
    /// Smaller files are not worth compressing.
    private static let compressedFrom = 1_024
    private static let maxDepth = 4

    private struct File: Sendable {
        let type: String
        let bytes: [UInt8]
        let compressed: [UInt8]?
        let mark: String
    }

    private let page: String
    private let headers: [(String, String)]
    private var files: [String: File] = [:]
    private var byteCount = 0
    /// What the page needs and was not found, by its path below a folder; files beyond a limit too.
    package private(set) var missing: [String] = []
    /// The folders that were looked at, for the message of an incomplete installation.
    package let folders: [String]

    /// - Parameters:
    ///   - page: the folder of the page: `relay`, `central`.
    ///   - needs: what the page cannot do without, such as `vendor/leaflet/leaflet.js`.
    ///   - libraries: the folders below `vendor` that it uses.
    ///   - map: a station's own tile server, the only other place that the page may take pictures from.
    package init(
        page: String, libraries: [String], needs: [String], map: MapSettings? = nil,
        folders: [String] = PageFolders.find()
    ) {
        self.page = page
        self.folders = folders
        headers = PageHeaders.all(tileOrigin: map?.origin)
        for folder in folders {
            for part in [page, "shared", "map"] + libraries.map({ "vendor/" + $0 }) {
                load(folder + "/" + part, as: part, depth: 1)
            }
        }
        add("settings.json", type: "application/json", MapSettings.json(map))
        for name in ["\(page)/index.html"] + needs where files[name] == nil { missing.append(name) }
    }

    /// Whether `/` can be answered with the page.
    package var isComplete: Bool { missing.isEmpty }

    /// For the log and for the page that stands in: what to do about it.
    package var hint: String {
        "the page's files are missing (\(missing.prefix(3).joined(separator: ", "))): run `make deps`, install the "
            + "package's recommended packages, or name their folder in \(PageFolders.variable)"
    }

    /// The addresses that `answer` is for.
    package static func serves(_ path: String) -> Bool { path == "/" || path.hasPrefix("/pages/") }

    /// Answers a GET or HEAD of the page or one of its files; nil where there is none, or where the page itself is
    /// asked for and incomplete.
    package func answer(_ exchange: HTTPExchange) -> HTTPResponse? {
        answer(
            path: exchange.path, acceptsGzip: exchange.header("accept-encoding")?.contains("gzip") ?? false,
            known: exchange.header("if-none-match"))
    }

    /// - Parameter known: `If-None-Match`.
    package func answer(path: String, acceptsGzip: Bool, known: String?) -> HTTPResponse? {
        guard path != "/" || isComplete, Self.serves(path) else { return nil }
        let name = path == "/" ? "\(page)/index.html" : String(path.dropFirst("/pages/".count))
        guard let file = files[name] else { return nil }
        let compressed = acceptsGzip ? file.compressed : nil
        let mark = compressed == nil ? "\"\(file.mark)\"" : "\"\(file.mark)-gz\""
        var answer = HTTPResponse(status: 200, headers: headers)
        // Asked anew each time, answered in a few bytes: a page after an upgrade never mixes old files with new ones.
        answer.headers += [("Cache-Control", "no-cache"), ("ETag", mark), ("Vary", "Accept-Encoding")]
        if let known, known == "*" || known.contains(mark) {
            answer.status = 304
            return answer
        }
        answer.headers.append(("Content-Type", file.type))
        if compressed != nil { answer.headers.append(("Content-Encoding", "gzip")) }
        answer.body = compressed ?? file.bytes
        return answer
    }

    // MARK: Loading

    private mutating func load(_ folder: String, as name: String, depth: Int) {
        guard depth <= Self.maxDepth, let entries = try? FileSystem.list(folder) else { return }
        for entry in entries where Self.isPlain(entry) {
            let path = folder + "/" + entry
            let target = name + "/" + entry
            if FileSystem.isDirectory(path) {
                load(path, as: target, depth: depth + 1)
            } else if let type = Self.type(of: entry), files[target] == nil {
                guard files.count < Self.maxFiles, let size = FileSystem.fileSize(path), size <= Self.maxFileBytes,
                    byteCount + size <= Self.maxBytes, let bytes = try? FileSystem.read(path)
                else {
                    missing.append(target)
                    continue
                }
                add(target, type: type, bytes)
            }
        }
    }

    private mutating func add(_ name: String, type: String, _ bytes: [UInt8]) {
        let isText = !type.hasPrefix("image/png") && !type.hasPrefix("font/")
        let compressed = isText && bytes.count >= Self.compressedFrom ? Gzip.compress(bytes) : nil
        let isSmaller = (compressed?.count ?? .max) < bytes.count
        byteCount += bytes.count
        files[name] = File(
            type: type, bytes: bytes, compressed: isSmaller ? compressed : nil,
            mark: String(SHA256.hash(bytes).hex.prefix(24)))
    }

    /// A name that means the same in an address and on a disk.
    private static func isPlain(_ name: String) -> Bool {
        !name.hasPrefix(".")
            && name.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "_"):
                    true
                default: false
                }
            }
    }

    private static func type(of name: String) -> String? {
        switch name.split(separator: ".").last {
        case "html": "text/html; charset=utf-8"
        case "css": "text/css; charset=utf-8"
        case "js", "mjs": "text/javascript; charset=utf-8"
        case "json": "application/json"
        case "svg": "image/svg+xml"
        case "png": "image/png"
        case "woff2": "font/woff2"
        default: nil
        }
    }
}
