// A job file: a header of `-- key: value` lines, then one SELECT.
//
//   -- Reports of the last hour, by relay
//   -- schedule: every 1h at :05
//   -- table: hourly_by_relay
//   -- mode: append
//   SELECT relay_id, count(*) AS reports FROM reports
//   WHERE received_at >= period_start() AND received_at < period_end() GROUP BY 1
//
// Unknown keys are errors that name the key; a comment without a colon is a comment.

package struct JobDefinition: Hashable, Sendable {
    enum Output: Hashable, Sendable {
        /// `<lake>/derived/<name>`.
        case table(String, append: Bool)
        /// A folder below the exports' folder; one file for each run.
        case files(folder: String, format: ExportFormat)
    }

    enum ExportFormat: String, Hashable, Sendable { case csv, parquet }

    /// Which of the instants that passed while nobody ran the job are made up for.
    enum CatchUp: String, CaseIterable, Hashable, Sendable {
        /// The newest, however long ago.
        case last
        /// All, oldest first (at most `JobScheduler.maxCatchUp`).
        case all
        /// None that is older than a minute.
        case none
    }

    /// The file's name without `.sql`.
    package let name: String
    let title: String
    let schedule: JobSchedule
    let output: Output
    /// Views that must be there when a run begins.
    let inputs: [String]
    let retries: Int
    let timeoutSeconds: Double
    let catchUp: CatchUp
    let sql: String

    package init(name: String, text: String) throws(JobFileError) {
        guard DerivedTables.isName(name) else {
            throw JobFileError("a job's file is named a-z, 0-9 and _, such as hourly_counts.sql")
        }
        var header = try JobHeader(text)
        self.name = name
        title = header.title
        schedule = try header.schedule()
        output = try header.output()
        inputs = try header.inputs()
        retries = try header.integer("retries", in: 0...20) ?? 3
        timeoutSeconds = try header.duration("timeout", upTo: 86_400) ?? 300
        catchUp = try header.choice("catch_up", of: CatchUp.self) ?? .last
        sql = header.sql
        try header.finish()
        if case .table(let table, append: _) = output, inputs.contains("derived.\(table)") || inputs.contains(table) {
            throw JobFileError("a job does not read the table it writes")
        }
        guard sql.utf8.count <= Self.maxStatementBytes else {
            throw JobFileError("a statement has at most \(Self.maxStatementBytes) bytes")
        }
    }

    static let maxFileBytes = 256 << 10
    private static let maxStatementBytes = 100_000
}

private struct JobHeader {
    private(set) var title = ""
    private(set) var sql = ""
    private var values: [String: (value: String, line: Int)] = [:]
    private static let keys: Set<String> = [
        "schedule", "inputs", "table", "mode", "csv", "parquet", "retries", "timeout", "catch_up",
    ]

    init(_ text: String) throws(JobFileError) {
        guard !text.utf8.contains(0) else { throw JobFileError("the file holds a NUL") }
        // CR LF is one Character.
        let lines = text.split(omittingEmptySubsequences: false) { $0 == "\n" || $0 == "\r\n" }
        var index = 0
        while index < lines.count {
            let line = Self.trimmed(lines[index])
            guard line.isEmpty || line.hasPrefix("--") else { break }
            try take(Self.trimmed(line.drop { $0 == "-" }), line: index + 1)
            index += 1
        }
        sql = String(lines[index...].joined(separator: "\n"))
        while let last = sql.last, last.isWhitespace || last == ";" { sql.removeLast() }
        guard !sql.isEmpty else { throw JobFileError("there is no statement after the header") }
    }

    private mutating func take(_ text: Substring, line: Int) throws(JobFileError) {
        guard let colon = text.firstIndex(of: ":"), text[..<colon].allSatisfy({ $0.isLetter || $0 == "_" }),
            colon != text.startIndex
        else {
            if title.isEmpty { title = String(text) }
            return
        }
        let key = text[..<colon].lowercased()
        guard Self.keys.contains(key) else {
            throw JobFileError(
                "\(key) is no key of a job; \(Self.keys.sorted().joined(separator: ", ")) are", line: line)
        }
        guard values[key] == nil else { throw JobFileError("\(key) is there twice", line: line) }
        values[key] = (String(Self.trimmed(text[text.index(after: colon)...])), line)
    }

    private static func trimmed(_ text: Substring) -> Substring {
        var text = text
        while let first = text.first, first.isWhitespace { text.removeFirst() }
        while let last = text.last, last.isWhitespace { text.removeLast() }
        return text
    }

    private mutating func take(_ key: String) -> (value: String, line: Int)? { values.removeValue(forKey: key) }

    mutating func schedule() throws(JobFileError) -> JobSchedule {
        guard let (value, line) = take("schedule") else {
            throw JobFileError("schedule is missing: -- schedule: every 1h at :05")
        }
        do throws(JobFileError) {
            return try JobSchedule(value)
        } catch {
            throw JobFileError(error.problem, line: line)
        }
    }

    mutating func output() throws(JobFileError) -> JobDefinition.Output {
        let (table, csv, parquet) = (take("table"), take("csv"), take("parquet"))
        let mode = take("mode")
        guard [table != nil, csv != nil, parquet != nil].count(where: { $0 }) == 1 else {
            throw JobFileError("one output is wanted: table: NAME, csv: FOLDER or parquet: FOLDER")
        }
        if let (name, line) = table {
            guard DerivedTables.isName(name) else {
                throw JobFileError("a table is named a-z, 0-9 and _", line: line)
            }
            guard ["replace", "append", nil].contains(mode?.value) else {
                throw JobFileError("mode is replace or append", line: mode?.line)
            }
            return .table(name, append: mode?.value == "append")
        }
        if let mode { throw JobFileError("mode is for tables; a folder gets one file for each run", line: mode.line) }
        let (folder, line) = csv ?? parquet ?? ("", 0)
        let parts = folder.split(separator: "/", omittingEmptySubsequences: false)
        let isPlain = parts.allSatisfy { part in
            !part.isEmpty && !part.hasPrefix(".")
                && part.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "._=-".contains($0)) }
        }
        guard isPlain else {
            throw JobFileError("a folder is relative to the exports' folder, of letters, digits and ._=-", line: line)
        }
        return .files(folder: folder, format: csv != nil ? .csv : .parquet)
    }

    mutating func inputs() throws(JobFileError) -> [String] {
        guard let (value, line) = take("inputs") else { return [] }
        let names = value.split(separator: ",").map { String(Self.trimmed($0)).lowercased() }
        let isPlain = names.allSatisfy { name in
            DerivedTables.isName(name)
                || (name.hasPrefix("derived.") && DerivedTables.isName(String(name.dropFirst(8))))
        }
        guard isPlain, !names.isEmpty else {
            throw JobFileError("inputs are views: reports, alerts, derived.NAME", line: line)
        }
        return names
    }

    mutating func integer(_ key: String, in range: ClosedRange<Int>) throws(JobFileError) -> Int? {
        guard let (value, line) = take(key) else { return nil }
        guard let number = Int(value), range.contains(number) else {
            throw JobFileError("\(key) is \(range.lowerBound) to \(range.upperBound)", line: line)
        }
        return number
    }

    mutating func duration(_ key: String, upTo limit: Int64) throws(JobFileError) -> Double? {
        guard let (value, line) = take(key) else { return nil }
        guard let seconds = JobSchedule.seconds(value), seconds <= limit else {
            throw JobFileError("\(key) is a duration such as 90s, 10m or 2h, at most \(limit) s", line: line)
        }
        return Double(seconds)
    }

    mutating func choice<Choice: RawRepresentable & CaseIterable>(
        _ key: String, of choices: Choice.Type
    ) throws(JobFileError) -> Choice? where Choice.RawValue == String {
        guard let (value, line) = take(key) else { return nil }
        guard let choice = Choice(rawValue: value) else {
            throw JobFileError("\(key) is \(choices.allCases.map(\.rawValue).joined(separator: ", "))", line: line)
        }
        return choice
    }

    func finish() throws(JobFileError) {
        precondition(values.isEmpty, "every key of a job's header is read by somebody")
    }
}
