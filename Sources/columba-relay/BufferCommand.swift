// `columba-relay buffer status|verify|export`: a look into the buffer, beside the running relay or without one.

import EdgeRelay
import Glibc
import Models
import System

struct BufferCommand {
    static let usage = """
        usage: columba-relay buffer status --config FILE [--json]
               columba-relay buffer verify --config FILE [--json]
               columba-relay buffer export --config FILE [--epoch E [--from N]] [--kind report|alert|alert_state]
                                           [--bodies] [--output DIR] [--json]

        status   what is in the buffer: epochs, segments, records, bytes, times
        verify   reads every record and checks its checksum; exit 1 if anything is damaged
        export   records as NDJSON on stdout, or a file an epoch in DIR; --bodies: only what the drones sent, as
                 `columba send` takes it

        They change nothing and work beside the running relay. Run them as the relay's user.

        """

    private let configuration: RelayConfiguration
    private let inspection: BufferInspection
    private let options: Options

    struct Options {
        var config = ""
        var json = false
        var epoch: String?
        var from: Int64 = 1
        var kind: RecordKind?
        var bodies = false
        var output: String?

        /// Nil: not a way to call it.
        init?(_ arguments: ArraySlice<String>, isExport: Bool) {
            var rest = arguments
            while let argument = rest.popFirst() {
                switch argument {
                case "--json": json = true
                case "--bodies" where isExport: bodies = true
                case "--config", "--epoch", "--from", "--kind", "--output":
                    guard argument == "--config" || isExport, let value = rest.popFirst() else { return nil }
                    guard take(argument, value) else { return nil }
                default: return nil
                }
            }
            guard !config.isEmpty, from == 1 || epoch != nil else { return nil }
        }

        private mutating func take(_ name: String, _ value: String) -> Bool {
            switch name {
            case "--config": config = value
            case "--epoch": epoch = value
            case "--output": output = value
            case "--kind":
                kind = RecordKind(rawValue: value)
                return kind != nil
            default:
                guard let number = Int64(value), number >= 1 else { return false }
                from = number
            }
            return true
        }
    }

    /// Runs the command; the exit status.
    static func run(_ arguments: ArraySlice<String>) throws -> Int32 {
        guard let name = arguments.first, ["status", "verify", "export"].contains(name),
            let options = Options(arguments.dropFirst(), isExport: name == "export")
        else {
            StandardStreams.error(usage)
            return 2
        }
        let configuration = try RelayConfiguration.load(path: options.config, environment: Environment.variables)
        let command = BufferCommand(
            configuration: configuration, inspection: BufferInspection(dataDirectory: configuration.dataDirectory),
            options: options)
        switch name {
        case "status": return try command.status()
        case "verify": return try command.verify()
        default: return try command.export()
        }
    }

    private func show(_ epochs: [BufferInspection.Epoch], isVerified: Bool) -> Int32 {
        let report = BufferReport(
            dataDirectory: configuration.dataDirectory, runningProcess: inspection.runningProcess, epochs: epochs,
            isVerified: isVerified)
        StandardStreams.output(options.json ? String(decoding: report.json(), as: UTF8.self) : report.text())
        return report.isSound ? 0 : 1
    }

    private func status() throws -> Int32 { show(try inspection.epochs(), isVerified: false) }

    private func verify() throws -> Int32 {
        let epochs = try inspection.epochs()
        var progress = TerminalProgress(label: "verifying", total: epochs.reduce(0) { $0 + $1.bytes })
        let verified = try epochs.compactMap { epoch in
            try inspection.verify(epoch) { progress.advance($0) }
        }
        progress.end()
        return show(verified, isVerified: true)
    }

    // MARK: Export

    private func export() throws -> Int32 {
        let epochs = try inspection.epochs().filter { options.epoch == nil || $0.epoch == options.epoch }
        if let epoch = options.epoch, epochs.isEmpty {
            StandardStreams.error("columba-relay: the buffer has no epoch \(epoch); see columba-relay buffer status\n")
            return 1
        }
        if let output = options.output { try FileSystem.makeDirectories(output) }
        // On stdout's terminal a bar would mix with the lines.
        let isQuiet = options.output == nil && Environment.isTerminal(STDOUT_FILENO)
        var progress = TerminalProgress(
            label: "exporting", total: epochs.reduce(0) { $0 + $1.bytes }, isQuiet: isQuiet)
        var exported = 0
        var unknown = 0
        var incidents: [String] = []
        for epoch in epochs {
            var lines = BufferExport(epoch: epoch.epoch, kind: options.kind, bodiesOnly: options.bodies)
            let sink = try Sink(options.output.map { "\($0)/\(epoch.epoch).ndjson" })
            let result = try inspection.read(epoch, from: options.from) { entries in
                let text = lines.lines(entries)
                try sink.write(text)
                progress.advance(text.count)
            }
            try sink.close()
            exported += lines.exported
            unknown += lines.unknown
            incidents += (result ?? epoch).incidents.map { "\($0)" }
        }
        progress.end()
        for incident in incidents {
            StandardStreams.error("columba-relay: left out: \(incident)\n")
        }
        if options.json, options.output != nil {
            let counts = [
                ("exported", exported), ("epochs", epochs.count), ("left_out", unknown), ("damaged", incidents.count),
            ]
            StandardStreams.output("{" + counts.map { "\"\($0)\":\($1)" }.joined(separator: ",") + "}\n")
        } else {
            StandardStreams.error("\(exported) records exported\n")
        }
        return incidents.isEmpty && unknown == 0 ? 0 : 1
    }

    /// Standard output, or a new file.
    private struct Sink {
        private let descriptor: Int32
        private let path: String?

        init(_ path: String?) throws {
            self.path = path
            guard let path else {
                descriptor = STDOUT_FILENO
                return
            }
            descriptor = creat(path, 0o600)
            guard descriptor >= 0 else { throw SystemError(operation: "create", path: path, errno: errno) }
        }

        func write(_ bytes: [UInt8]) throws {
            var rest = bytes[...]
            while !rest.isEmpty {
                let written = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
                if written < 0, errno == EINTR { continue }
                guard written > 0 else { throw SystemError(operation: "write", path: path ?? "stdout", errno: errno) }
                rest = rest.dropFirst(written)
            }
        }

        func close() throws {
            guard let path else { return }
            guard fsync(descriptor) == 0, Glibc.close(descriptor) == 0 else {
                throw SystemError(operation: "write", path: path, errno: errno)
            }
        }
    }
}
