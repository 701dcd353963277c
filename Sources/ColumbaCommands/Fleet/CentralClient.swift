// One question to central's analyst port, and its answer or a failure in words.
import DroneClient
import System

struct CentralClient {
    let central: String
    private let transport: HTTPTransport

    static let specifications =
        [OptionSpecification("central", "URL", "Central's address for analysts, such as http://127.0.0.1:8091")]
        + TLSOptions.specifications
    static let decision = [
        OptionSpecification("by", "NAME", "Who decides (default: $USER)"),
        OptionSpecification("note", "TEXT", "Why"),
    ]

    private static let timeoutSeconds = 60.0

    init(_ arguments: ParsedArguments) throws {
        central = try arguments.address("central")
        transport = HTTPTransport(tls: try TLSOptions.read(arguments))
    }

    func ask(
        _ method: String, _ path: String, body: [UInt8] = [], type: String = "application/json"
    ) throws(CommandFailure) -> TransportResponse {
        let headers = method == "GET" ? [] : [("Content-Type", type)]
        let request = TransportRequest(
            method, central + path, headers: headers, body: body, timeoutSeconds: Self.timeoutSeconds)
        let response: TransportResponse
        do throws(TransportFailure) { response = try transport.exchange(request) } catch {
            throw CommandFailure("\(central): \(error.reason)")
        }
        guard (200...299).contains(response.status) else { throw CommandFailure(ProblemText.line(response)) }
        return response
    }

    func json(
        _ method: String, _ path: String, body: [UInt8] = [], type: String = "application/json"
    ) throws(CommandFailure) -> OrderedJSON {
        let response = try ask(method, path, body: body, type: type)
        guard let answer = try? OrderedJSON.parse(response.body) else {
            throw CommandFailure("\(central): the answer is not JSON; is this central's port for analysts?")
        }
        return answer
    }

    static func decision(_ arguments: ParsedArguments) throws(UsageError) -> [UInt8] {
        guard let by = arguments.string("by") ?? Environment.variables["USER"], !by.isEmpty else {
            throw UsageError("--by is required: who decides")
        }
        return Array(
            OrderedJSON.object(["by": .string(by), "note": .string(arguments.string("note") ?? "")]).text.utf8)
    }

    /// A value of a query, with everything escaped that is not plain.
    static func escaped(_ text: String) -> String {
        text.utf8.map { byte in
            switch byte {
            case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, 0x2d, 0x2e, 0x5f: return String(UnicodeScalar(byte))
            default:
                let hex = String(byte, radix: 16, uppercase: true)
                return "%" + (hex.count < 2 ? "0" : "") + hex
            }
        }.joined()
    }
}

extension OrderedJSON {
    /// As a cell of a table.
    var cell: TextTable.Cell {
        switch self {
        case .null: .null
        case .integer, .number: .number(text)
        case .string(let text): .text(text)
        case .bool, .array, .object: .text(text)
        }
    }
}
