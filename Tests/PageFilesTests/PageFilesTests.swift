// What a page's server hands out, and with which headers; where it looks for the files.

import Compression
import Foundation
import HTTPServer
import PageFiles
import System
import Testing

@Suite("a page's files")
final class PageFilesTests {
    private let folder: String

    init() throws {
        folder = try FileSystem.makeTemporaryDirectory(prefix: "columba-pages")
        try write("relay/index.html", "<!doctype html><!-- A page. --><p>here</p>")
        try write("relay/main.js", String(repeating: "export const a = 1;\n", count: 200))
        try write("shared/theme.css", ":root { color: red }")
        try write("vendor/leaflet/leaflet.js", "export const b = 2;")
        try write("vendor/other/other.js", "export const c = 3;")
        try write("relay/.hidden.js", "secret")
        try write("relay/notes.txt", "not of a page")
        try write("secret.json", "{}")
    }

    deinit { try? FileSystem.removeTree(folder) }

    private func write(_ name: String, _ text: String, in root: String? = nil) throws {
        let path = (root ?? folder) + "/" + name
        try FileSystem.makeDirectories(FileSystem.parent(of: path))
        try FileSystem.writeAtomically(path, Array(text.utf8))
    }

    private func files(needs: [String] = ["vendor/leaflet/leaflet.js"], folders: [String]? = nil) -> PageFiles {
        PageFiles(page: "relay", libraries: ["leaflet"], needs: needs, folders: folders ?? [folder])
    }

    private func ask(
        _ files: PageFiles, _ path: String, gzip: Bool = false, known: String? = nil
    ) -> (status: Int, body: String, headers: [String: String])? {
        files.answer(path: path, acceptsGzip: gzip, known: known).map { answer in
            let headers = Dictionary(answer.headers.map { ($0.0.lowercased(), $0.1) }) { first, _ in first }
            return (answer.status, String(decoding: answer.body, as: UTF8.self), headers)
        }
    }

    @Test("the page is at /, its files below /pages, each with its type")
    func served() throws {
        let files = files()
        #expect(files.isComplete && files.missing.isEmpty)
        let page = try #require(ask(files, "/"))
        #expect(page.status == 200 && page.body.contains("here"))
        #expect(page.headers["content-type"] == "text/html; charset=utf-8")
        let script = try #require(ask(files, "/pages/relay/main.js"))
        #expect(script.headers["content-type"] == "text/javascript; charset=utf-8")
        #expect(ask(files, "/pages/shared/theme.css")?.headers["content-type"] == "text/css; charset=utf-8")
        #expect(ask(files, "/pages/settings.json")?.body == "{\"map\":null}\n")
    }

    @Test(
        "nothing else on the disk can be named",
        arguments: [
            "/pages/secret.json", "/pages/../secret.json", "/pages/relay/../secret.json", "/pages/relay/.hidden.js",
            "/pages/relay/notes.txt", "/pages/vendor/other/other.js", "/pages/", "/pages/relay",
            "/pages//relay/main.js",
            "/pages/relay/%6dain.js", "/pages/etc/passwd",
        ])
    func nothingElse(_ path: String) {
        #expect(ask(files(), path) == nil)
    }

    @Test("a known file is answered 304 without a body, a changed one anew")
    func revalidated() throws {
        let first = try #require(ask(files(), "/pages/relay/main.js"))
        let mark = try #require(first.headers["etag"])
        let again = try #require(ask(files(), "/pages/relay/main.js", known: mark))
        #expect(again.status == 304 && again.body.isEmpty && again.headers["etag"] == mark)
        try write("relay/main.js", "export const a = 2;")
        let changed = try #require(ask(files(), "/pages/relay/main.js", known: mark))
        #expect(changed.status == 200 && changed.body == "export const a = 2;")
    }

    @Test("a long text is sent as gzip to those who take it, and is the same text")
    func compressed() throws {
        let plain = try #require(ask(files(), "/pages/relay/main.js"))
        let answer = try #require(files().answer(path: "/pages/relay/main.js", acceptsGzip: true, known: nil))
        #expect(answer.headers.contains { $0 == ("Content-Encoding", "gzip") })
        #expect(answer.body.count < plain.body.utf8.count / 4)
        let inflated = try Gzip.decompress(answer.body, maxBytes: 1 << 20, maxRatio: 1_000)
        #expect(inflated == Array(plain.body.utf8))
        #expect(ask(files(), "/pages/shared/theme.css", gzip: true)?.headers["content-encoding"] == nil)
    }

    @Test("scripts run from files only, nothing connects elsewhere, nobody embeds the page")
    func policy() throws {
        let headers = try #require(ask(files(), "/")).headers
        let policy = try #require(headers["content-security-policy"])
        for part in ["default-src 'none'", "script-src 'self'", "connect-src 'self'", "frame-ancestors 'none'"] {
            #expect(policy.contains(part), "\(part) is missing in \(policy)")
        }
        #expect(!policy.contains("unsafe") && !policy.contains("http"))
        #expect(headers["x-content-type-options"] == "nosniff" && headers["referrer-policy"] == "no-referrer")
    }

    @Test("a page that lacks a file it needs is not served; the message says which, and what to do")
    func incomplete() {
        let files = files(needs: ["vendor/leaflet/leaflet.js", "vendor/charts/charts.js"])
        #expect(!files.isComplete && ask(files, "/") == nil)
        #expect(files.hint.contains("vendor/charts/charts.js") && files.hint.contains("make deps"))
        #expect(ask(files, "/pages/relay/main.js") != nil)
    }

    @Test("a file of an earlier folder hides that of a later one")
    func folders() throws {
        let other = try FileSystem.makeTemporaryDirectory(prefix: "columba-pages")
        defer { try? FileSystem.removeTree(other) }
        try write("relay/main.js", "export const other = 1;", in: other)
        #expect(ask(files(folders: [other, folder]), "/pages/relay/main.js")?.body == "export const other = 1;")
        #expect(ask(files(folders: [other, folder]), "/")?.status == 200)
    }

    @Test("a file beyond the limit is left out and named")
    func limits() throws {
        try write("relay/large.js", String(repeating: "x", count: PageFiles.maxFileBytes + 1))
        let files = files()
        #expect(files.missing == ["relay/large.js"] && ask(files, "/pages/relay/large.js") == nil)
    }

    @Test("the folders are those of COLUMBA_PAGES, else beside the program's prefix, else of the repository")
    func found() throws {
        let named = PageFolders.find(
            environment: ["COLUMBA_PAGES": "\(folder):/nowhere"], executableDirectory: "/usr/bin")
        #expect(named == [folder])
        try FileSystem.makeDirectories(folder + "/prefix/bin")
        try FileSystem.makeDirectories(folder + "/prefix/share/columba/pages")
        #expect(
            PageFolders.find(environment: [:], executableDirectory: folder + "/prefix/bin")
                == [folder + "/prefix/share/columba/pages"])
        try write("checkout/pages/shared/theme.css", "")
        try FileSystem.makeDirectories(folder + "/checkout/.build/release")
        #expect(
            PageFolders.find(environment: [:], executableDirectory: folder + "/checkout/.build/release")
                == [folder + "/checkout/pages"])
        #expect(PageFolders.find(environment: [:], executableDirectory: folder + "/prefix2/bin") == [])
    }
}
