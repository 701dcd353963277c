// `columba alerts`: lists a relay's alerts, or follows them as they are raised.
import DroneClient
import HTTPClient
import Models
import Simulation
import System

package enum AlertsCommand {
    static let specification = CommandSpecification(
        name: "alerts", summary: "Lists a relay's alerts, newest first, or follows them as they are raised.",
        operands: "",
        options: [
            OptionSpecification("relay", "URL", "The relay, such as http://127.0.0.1:8080"),
            OptionSpecification("follow", nil, "Prints each alert as it comes, until Ctrl-C"),
            OptionSpecification("state", "STATE", "Only raised, acknowledged, shelved or closed ones"),
            OptionSpecification("since", "TIME", "Only those raised since then (RFC 3339)"),
            OptionSpecification("limit", "N", "At most N alerts"),
            OptionSpecification("json", nil, "Prints the relay's JSON, one object per line with --follow"),
        ] + TLSOptions.specifications,
        examples: ["columba alerts --relay http://127.0.0.1:8080 --follow"])

    static func run(_ arguments: ParsedArguments, _ console: Console) throws -> CommandResult {
        let relay = try arguments.address("relay")
        let tls = try TLSOptions.read(arguments)
        guard arguments.operands.isEmpty else { throw UsageError("alerts takes no operands") }
        if arguments.has("follow") {
            for option in ["state", "since", "limit"] where arguments.string(option) != nil {
                throw UsageError("--\(option) does not go with --follow")
            }
            follow(relay, tls, asJSON: arguments.has("json"), console)
            return .ok
        }
        var query: [String] = []
        if let state = try arguments.choice("state", of: ["raised", "acknowledged", "shelved", "closed"]) {
            query.append("state=\(state)")
        }
        if let since = arguments.string("since") {
            guard let time = Timestamp(rfc3339: since) else {
                throw UsageError("--since is a time such as 2026-11-20T05:00:00Z")
            }
            query.append("since=\(time.rfc3339)")
        }
        if let limit = try arguments.integer("limit", in: 1...1_000_000) { query.append("limit=\(limit)") }
        let response: TransportResponse
        do throws(TransportFailure) {
            response = try HTTPTransport(tls: tls).exchange(
                TransportRequest(
                    "GET", relay + "/v1/alerts" + (query.isEmpty ? "" : "?" + query.joined(separator: "&"))))
        } catch {
            throw CommandFailure("\(relay): \(error.reason)")
        }
        guard response.status == 200 else { throw CommandFailure(ProblemText.line(response)) }
        if arguments.has("json") {
            console.data(response.body + (response.body.last == 0x0A ? [] : [0x0A]))
        } else {
            let answer = try OrderedJSON.parse(response.body)
            let alerts = answer["alerts"]?.elements ?? answer.elements
            for alert in alerts { console.data(line(alert, console)) }
            console.message(alerts.count == 1 ? "1 alert" : "\(alerts.count) alerts")
        }
        return .ok
    }

    private static func follow(_ relay: String, _ tls: HTTPClientTLS?, asJSON: Bool, _ console: Console) {
        Signals.blockTermination()
        let subscriber = AlertSubscriber(
            url: relay, tls: tls,
            onTrouble: { console.message("columba: \(relay): \(TerminalText.neutralised($0)); trying again") },
            onEvent: { event, _ in
                if asJSON {
                    console.data(event.data)
                } else if let alert = try? OrderedJSON.parse(Array(event.data.utf8)) {
                    console.data(line(alert, console))
                }
            })
        _ = Signals.wait()
        subscriber.stop()
    }

    /// `2026-11-20T05:00:00.123Z  CRITICAL  raised  low-peacescore  pw-000123  Ada Martin  12.5 (limit 20)  48.85,2.35`
    package static func line(_ alert: OrderedJSON, _ console: Console) -> String {
        let severity = alert["severity"]?.stringValue ?? "?"
        let colour: Console.Colour? = severity == "critical" ? .red : severity == "warning" ? .yellow : nil
        var parts = [alert["raised_at"]?.stringValue ?? "?"]
        let shownSeverity = TerminalText.padded(
            TerminalText.neutralised(severity.uppercased()), columns: 8, right: false)
        var rest = [alert["state"]?.stringValue ?? "?", alert["rule"]?.stringValue ?? "?"]
        rest.append(alert["drone_id"]?.stringValue ?? "?")
        if let citizen = alert["citizen"]?.stringValue { rest.append(citizen) }
        if let value = alert["value"]?.doubleValue {
            let limit = alert["limit"]?.doubleValue.map { " (limit \(OrderedJSON.number($0).text))" } ?? ""
            rest.append(OrderedJSON.number(value).text + limit)
        }
        if let place = alert["location"], let latitude = place["lat"]?.doubleValue,
            let longitude = place["lon"]?.doubleValue
        {
            rest.append("\(latitude),\(longitude)")
        }
        parts = parts.map(TerminalText.neutralised)
        parts.append(colour.map { console.coloured(shownSeverity, $0) } ?? shownSeverity)
        return (parts + rest.map(TerminalText.neutralised)).joined(separator: "  ")
    }
}
