// Whether a request that changes something comes from our own page: another site that an operator's browser shows must
// not be able to acknowledge an alert. Programs (curl, a drone, a relay) send none of these header fields and pass.

package import HTTPServer
package import Models

package enum SameOrigin {
    /// The refusal of a browser's write from elsewhere; nil: go on.
    package static func refusal(_ head: HTTPRequestHead) -> Problem? {
        guard !["GET", "HEAD"].contains(head.method) else { return nil }
        return refusal(
            site: head.header("sec-fetch-site"), origin: head.header("origin"), host: head.header("host"))
    }

    /// - Parameters:
    ///   - site: `Sec-Fetch-Site`: what the browser itself says. A proxy that changes the host does not disturb it.
    ///   - origin: `Origin`, for browsers that send no `Sec-Fetch-Site` over plain HTTP.
    package static func refusal(site: String?, origin: String?, host: String?) -> Problem? {
        if let site { return site == "same-origin" || site == "none" ? nil : problem }
        guard let origin else { return nil }
        guard let host, let authority = authority(of: origin), authority == host.lowercased() else { return problem }
        return nil
    }

    /// "https://station.example:8081" → "station.example:8081"
    private static func authority(of origin: String) -> String? {
        for scheme in ["https://", "http://"] where origin.hasPrefix(scheme) {
            return String(origin.dropFirst(scheme.count)).lowercased()
        }
        return nil
    }

    private static let problem = Problem(
        status: 403, code: "cross_site_request",
        detail: "A page of another site may not change anything here. Use the station's own page, or a program.")
}
