// One line an event, on stderr, for systemd's journal (text) or a collector (JSON).
//
// An event has a constant name and values, never free text: `log.warning("segment_quarantined", ["rows": 17])`.
// Names and words of a report never appear in one (I9). Values are escaped, so no input can forge a line or send
// control sequences to the terminal of whoever reads it. A line is one write(2): lines of several threads don't mix.
package enum LogLevel: Int, Comparable, Sendable, CaseIterable {
    case debug, info, warning, error

    package static func < (left: LogLevel, right: LogLevel) -> Bool { left.rawValue < right.rawValue }

    package init?(name: String) {
        guard let level = LogLevel.allCases.first(where: { $0.name == name }) else { return nil }
        self = level
    }

    package var name: String {
        switch self {
        case .debug: "debug"
        case .info: "info"
        case .warning: "warning"
        case .error: "error"
        }
    }
}

package enum LogFormat: String, Sendable { case text, json }

package enum LogValue: Sendable, Equatable {
    case string(String)
    case int(Int64)
    case double(Double)
    case bool(Bool)
}

extension LogValue: ExpressibleByStringLiteral, ExpressibleByStringInterpolation, ExpressibleByIntegerLiteral,
    ExpressibleByFloatLiteral, ExpressibleByBooleanLiteral
{
    package init(stringLiteral value: String) { self = .string(value) }
    package init(integerLiteral value: Int64) { self = .int(value) }
    package init(floatLiteral value: Double) { self = .double(value) }
    package init(booleanLiteral value: Bool) { self = .bool(value) }
    package static func int(_ value: some BinaryInteger) -> LogValue { .int(Int64(clamping: value)) }
}

package struct Log: Sendable {
    package let component: String
    private let format: LogFormat
    private let minimum: LogLevel
    private let sink: LogSink
    private let wallMicroseconds: @Sendable () -> Int64

    /// - Parameter wallMicroseconds: since 1970 UTC; give the program's clock where it has one.
    package init(
        component: String, format: LogFormat = .text, minimum: LogLevel = .info, sink: LogSink = .standardError,
        wallMicroseconds: @escaping @Sendable () -> Int64 = systemWallMicroseconds
    ) {
        self.component = component
        self.format = format
        self.minimum = minimum
        self.sink = sink
        self.wallMicroseconds = wallMicroseconds
    }

    /// The same log for another part of the program.
    package func component(_ name: String) -> Log {
        Log(component: name, format: format, minimum: minimum, sink: sink, wallMicroseconds: wallMicroseconds)
    }

    package func debug(_ event: String, _ values: KeyValuePairs<String, LogValue> = [:]) {
        write(.debug, event, values)
    }

    package func info(_ event: String, _ values: KeyValuePairs<String, LogValue> = [:]) {
        write(.info, event, values)
    }

    package func warning(_ event: String, _ values: KeyValuePairs<String, LogValue> = [:]) {
        write(.warning, event, values)
    }

    package func error(_ event: String, _ values: KeyValuePairs<String, LogValue> = [:]) {
        write(.error, event, values)
    }

    private func write(_ level: LogLevel, _ event: String, _ values: KeyValuePairs<String, LogValue>) {
        guard level >= minimum else { return }
        let line = LogLine(
            microseconds: wallMicroseconds(), level: level, component: component, event: event, values: values)
        sink.write(format == .text ? line.text() : line.json())
    }
}
