// A station's own tile server, and whose writes are taken.

import Configuration
import Models
import PageFiles
import Testing

@Suite("a page's settings and senders")
struct PageSettingsTests {
    private func settings(_ json5: String) throws -> MapSettings? {
        var reader = try ConfigurationReader(try ConfigurationNode.parse(json5: Array(json5.utf8)))
        return try MapSettings.read(&reader)
    }

    @Test("a tile server's origin, and no other, is added to the places that pictures may come from")
    func tiles() throws {
        let map = try #require(
            try settings(#"{map: {tiles: "https://tiles.example:8443/a/{z}/{x}/{y}.png", attribution: "A <b>"}}"#))
        #expect(map.origin == "https://tiles.example:8443" && map.attribution == "A <b>")
        let policy = PageHeaders.all(tileOrigin: map.origin).first { $0.0 == "Content-Security-Policy" }?.1 ?? ""
        #expect(policy.contains("img-src 'self' data: blob: https://tiles.example:8443;"))
        #expect(policy.contains("connect-src 'self';") && policy.contains("script-src 'self';"))
        #expect(try settings("{}") == nil)
    }

    @Test(
        "what is no address of tiles is an error that names the key",
        arguments: [
            "tiles.example/{z}/{x}/{y}.png", "https://tiles.example/{z}/{x}.png", "https:///{z}/{x}/{y}.png",
            "https://a b/{z}/{x}/{y}.png", "https://a;script-src *'/{z}/{x}/{y}.png", "javascript:{z}{x}{y}",
        ])
    func wrongTiles(_ address: String) {
        let error = #expect(throws: ConfigurationError.self) {
            try settings("{map: {tiles: \"\(address)\"}}")
        }
        #expect(error?.key == "map.tiles")
    }

    @Test("a browser's write is taken from our own page only; a program's always")
    func sameOrigin() {
        func isRefused(_ site: String?, _ origin: String?, _ host: String? = "north.example:8081") -> Bool {
            SameOrigin.refusal(site: site, origin: origin, host: host)?.code == "cross_site_request"
        }
        #expect(!isRefused(nil, nil))
        #expect(!isRefused(nil, nil, nil))
        #expect(!isRefused("same-origin", "https://north.example:8081"))
        #expect(!isRefused("none", nil))
        #expect(!isRefused(nil, "https://north.example:8081"))
        #expect(!isRefused(nil, "https://NORTH.example:8081"))
        // A proxy that changes the host: what the browser says itself counts.
        #expect(!isRefused("same-origin", "https://public.example", "127.0.0.1:8081"))
        #expect(isRefused("cross-site", nil))
        #expect(isRefused("same-site", "https://north.example:8081"))
        #expect(isRefused(nil, "https://elsewhere.example"))
        #expect(isRefused(nil, "https://north.example"))
        #expect(isRefused(nil, "null"))
        #expect(isRefused(nil, "https://north.example:8081", nil))
    }
}
