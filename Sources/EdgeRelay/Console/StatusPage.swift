// The page where the console's files are not installed: what to do about it, the figures as a sentence, where to find
// the data. No script, nothing from outside.

import Models

enum StatusPage {
    static func html(_ figures: RelayFigures, hint: String) -> [UInt8] {
        let links = [
            ("/v1/status", "status"), ("/v1/alerts", "alerts"), ("/v1/alerts/stream", "alerts as they are raised"),
            ("/v1/drones", "drones"), ("/metrics", "metrics"), ("/openapi.json", "interface description"),
        ]
        // Everything on this page is the relay's own: identifiers were validated, the rest are numbers and fixed words.
        let list = links.map { #"<li><a href="\#($0.0)">\#($0.1)</a></li>"# }.joined()
        return Array(
            """
            <!doctype html><html lang="en"><meta charset="utf-8"><title>\(figures.relayID)</title>
            <h1>\(figures.relayID)</h1><p>\(figures.summary).</p>
            <p>The console is not installed: \(hint).</p>
            <p>\(RelayFigures.grouped(figures.writer.reports)) reports received, \
            \(RelayFigures.grouped(figures.dronesHeard)) drones heard, \
            \(RelayFigures.grouped(figures.alertsOpen)) alerts open.</p><ul>\(list)</ul></html>

            """.utf8)
    }
}
