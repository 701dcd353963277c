// What a browser is told about our pages: which scripts may run (our files, none written into the page), where it may
// connect (here), who may embed them (nobody). A name that a drone reports can then do nothing, even where we err.

package enum PageHeaders {
    /// - Parameter tileOrigin: scheme, host and port of a station's own tile server.
    package static func all(tileOrigin: String? = nil) -> [(String, String)] {
        [
            ("Content-Security-Policy", policy(tileOrigin: tileOrigin)),
            ("X-Content-Type-Options", "nosniff"),
            ("Referrer-Policy", "no-referrer"),
            ("Cross-Origin-Opener-Policy", "same-origin"),
            ("Cross-Origin-Resource-Policy", "same-origin"),
            ("Permissions-Policy", "geolocation=(), camera=(), microphone=(), payment=(), usb=()"),
        ]
    }

    static func policy(tileOrigin: String?) -> String {
        let pictures = tileOrigin.map { " \($0)" } ?? ""
        return "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; "
            + "img-src 'self' data: blob:\(pictures); connect-src 'self'; base-uri 'none'; form-action 'none'; "
            + "frame-ancestors 'none'"
    }
}
