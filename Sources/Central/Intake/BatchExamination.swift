// Looks at every line of a batch before it is taken: which record numbers it really holds, and which records nobody
// could read. Pure.

package import JSON
package import Models
package import SyncProtocol

/// A record that could be read. A report is valid until its parser's next one.
package enum ExaminedRecord {
    case report(ParsedReport)
    case alert(Alert)
    case alertState(AlertStateChange)

    package init(_ line: ParsedLine, _ reports: ReportParser) throws(Problem) {
        switch line.kind {
        case .report: self = .report(try reports.parse(line.body))
        case .alert: self = .alert(try Alert(json: line.body))
        case .alertState: self = .alertState(try AlertStateChange(json: line.body))
        }
    }
}

package struct BatchExamination: Sendable {
    /// A record that is not for the archive, with the bytes of its line.
    package struct Rejected: Sendable, Equatable {
        package let n: Int64
        package let code: String
        package let line: [UInt8]

        package init(n: Int64, code: String, line: [UInt8]) {
            self.n = n
            self.code = code
            self.line = line
        }
    }

    package var numbers = IntervalSet()
    package var records = 0
    package var rejected: [Rejected] = []

    /// Throws where the batch as a whole cannot be believed: a line without a number cannot be acknowledged by number.
    /// - Parameter visit: is given every record that could be read, in their order.
    package static func examine(
        _ ndjson: [UInt8], name: BatchName, visit: (ParsedLine, ExaminedRecord) -> Void = { _, _ in }
    ) throws(Problem) -> BatchExamination {
        var examination = BatchExamination()
        let lines = LineParser()
        let reports = ReportParser()
        var previous: Int64 = 0
        var failure: Problem?
        ndjson.withUnsafeBytes { bytes in
            NDJSON.forEachLine(in: bytes) { number, line in
                guard failure == nil else { return }
                let (n, problem) = check(line, lines, reports, visit)
                guard let n else {
                    failure = problem.map { Self.malformed($0.code, line: number + 1) }
                    return
                }
                guard n > previous, name.range.contains(n) else {
                    failure = Self.malformed("numbers_not_ascending_within_the_batch", line: number + 1)
                    return
                }
                previous = n
                examination.numbers.insert(n)
                examination.records += 1
                if let problem {
                    examination.rejected.append(Rejected(n: n, code: problem.code, line: Array(line)))
                }
            }
        }
        if let failure { throw failure }
        guard examination.records > 0, examination.records <= SyncLimits.recordsPerBatch else {
            throw Problem(
                status: examination.records == 0 ? 400 : 413, code: "record_count",
                detail: "A batch holds 1 to \(SyncLimits.recordsPerBatch) records, this one \(examination.records).")
        }
        return examination
    }

    private static func malformed(_ code: String, line: Int) -> Problem {
        Problem(
            status: 400, code: "malformed_batch",
            detail: "Line \(line) of the batch cannot be taken (\(code)); nothing of it was.", field: "line \(line)")
    }

    /// The record's number, if it can be told, and what is wrong with the record, if anything is.
    private static func check(
        _ line: UnsafeRawBufferPointer, _ lines: LineParser, _ reports: ReportParser,
        _ visit: (ParsedLine, ExaminedRecord) -> Void
    ) -> (Int64?, Problem?) {
        let parsed: ParsedLine
        do throws(LineProblem) {
            parsed = try lines.parse(line)
        } catch {
            return (error.n, error.problem)
        }
        do throws(Problem) {
            visit(parsed, try ExaminedRecord(parsed, reports))
        } catch {
            return (parsed.n, error)
        }
        return (parsed.n, nil)
    }
}
