// An error answer (RFC 9457) as one line for a person.
import DroneClient
import Simulation

enum ProblemText {
    static func line(_ response: TransportResponse) -> String {
        let body = try? OrderedJSON.parse(response.body)
        let detail = body?["detail"]?.stringValue ?? body?["title"]?.stringValue
        var text = detail ?? "the server answered \(response.status)"
        if let field = body?["field"]?.stringValue { text += " (field \(field))" }
        if let code = body?["code"]?.stringValue { text += " [\(code)]" }
        return TerminalText.neutralised(text)
    }
}
