// The command line.

struct Options {
    enum Problem: Error, CustomStringConvertible {
        case help
        case usage(String)

        var description: String {
            switch self {
            case .help: "help"
            case .usage(let text): text
            }
        }
    }

    enum Command: String { case load, alerts }

    var command = Command.load
    var host = ""
    var port: UInt16 = 0
    var connections = 64
    var seconds = 10.0
    var warmupSeconds = 1.0
    /// nil: closed loop, each connection sends as soon as it has its answer.
    var rate: Double?
    var citizens = 8
    var drones = 10_000
    var alertShare = 0.01
    var processID: Int32?
    var json = false
    /// PEM files for https.
    var tls: (certificate: String, key: String, authorities: String)?
    private var isSecure = false

    init(arguments: [String]) throws {
        guard let first = arguments.first, first != "--help", first != "-h" else { throw Problem.help }
        guard let command = Command(rawValue: first) else { throw Problem.usage("unknown command \(first)") }
        self.command = command
        if command == .alerts { rate = 1000 }
        var rest = arguments.dropFirst()
        while let name = rest.popFirst() {
            if name == "--help" { throw Problem.help }
            if name == "--json" {
                json = true
                continue
            }
            guard let value = rest.popFirst() else { throw Problem.usage("\(name) needs a value") }
            try set(name, value)
        }
        guard port != 0 else { throw Problem.usage("--relay is missing") }
        guard isSecure == (tls != nil) else { throw Problem.usage("https goes with --cert, --key and --ca") }
        guard tls == nil || command == .load else { throw Problem.usage("alerts are measured over plain HTTP") }
    }

    private mutating func set(_ name: String, _ value: String) throws {
        switch name {
        case "--relay": try setRelay(value)
        case "--cert": tls = (value, tls?.key ?? "", tls?.authorities ?? "")
        case "--key": tls = (tls?.certificate ?? "", value, tls?.authorities ?? "")
        case "--ca": tls = (tls?.certificate ?? "", tls?.key ?? "", value)
        case "--connections": connections = try Options.number(name, value, 1...10_000)
        case "--seconds": seconds = try Options.real(name, value, above: 0)
        case "--warmup": warmupSeconds = try Options.real(name, value, above: -1)
        case "--rate": rate = try Options.real(name, value, above: 0)
        case "--citizens": citizens = try Options.number(name, value, 0...1000)
        case "--drones": drones = try Options.number(name, value, 1...999_999)
        case "--alert-share": alertShare = try Options.real(name, value, above: -1)
        case "--pid": processID = Int32(try Options.number(name, value, 1...Int(Int32.max)))
        default: throw Problem.usage("unknown option \(name)")
        }
    }

    private mutating func setRelay(_ url: String) throws {
        isSecure = url.hasPrefix("https://")
        let text = isSecure ? url.dropFirst(8) : url.hasPrefix("http://") ? url.dropFirst(7) : url[...]
        let authority = text.prefix { $0 != "/" }
        guard let colon = authority.lastIndex(of: ":"), let port = UInt16(authority[authority.index(after: colon)...])
        else { throw Problem.usage("--relay is http://address:port") }
        let name = String(authority[..<colon])
        host = name == "localhost" ? "127.0.0.1" : name
        self.port = port
    }

    private static func number(_ name: String, _ text: String, _ range: ClosedRange<Int>) throws -> Int {
        guard let value = Int(text), range.contains(value) else {
            throw Problem.usage("\(name) is a whole number from \(range.lowerBound) to \(range.upperBound)")
        }
        return value
    }

    private static func real(_ name: String, _ text: String, above limit: Double) throws -> Double {
        guard let value = Double(text), value.isFinite, value > limit else {
            throw Problem.usage("\(name) is a number above \(limit)")
        }
        return value
    }
}
