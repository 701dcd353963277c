// Runs reports past rules as a relay would have that heard each one when it was observed. Lost contact is judged by the
// gaps between a drone's reports, and at the end by the newest report of all.
import AlertRules
import JSON
import Models

struct RuleTrial {
    struct TrialAlert {
        let raised: RaisedAlert
        let identity: ReportIdentity
        let at: Timestamp
        /// `file:line`
        let place: String
    }

    private struct Heard {
        var identity: ReportIdentity
        var at: Timestamp
        var place: String
    }

    private static let maxRefusals = 1_000

    let rules: RuleSet
    private let keeping: Int
    private(set) var alerts: [TrialAlert] = []
    private(set) var counts: [String: Int] = [:]
    private(set) var total = 0
    private(set) var reports = 0
    private(set) var refusedCount = 0
    private(set) var refused: [(place: String, problem: String)] = []
    private var evaluator: AlertEvaluator
    private let parser = ReportParser()
    private var heard: [String: Heard] = [:]
    private var newest: Timestamp?

    init(rules: RuleSet, keeping: Int) {
        self.rules = rules
        self.keeping = keeping
        evaluator = AlertEvaluator(rules: rules)
    }

    mutating func take(_ bytes: [UInt8], file: String, line: Int) {
        guard bytes.contains(where: { $0 != 0x20 && $0 != 0x09 && $0 != 0x0D }) else { return }
        let place = "\(file):\(line)"
        bytes.withUnsafeBytes { bytes in
            do throws(Problem) {
                take(try parser.parse(bytes), place: place, line: line)
            } catch {
                refusedCount += 1
                let field = error.field.map { "\($0): " } ?? ""
                if refused.count < Self.maxRefusals { refused.append((place, "\(field)\(error.detail)")) }
            }
        }
    }

    private mutating func take(_ report: ParsedReport, place: String, line: Int) {
        reports += 1
        // A report without a time or number of its own: the file's order stands in for both.
        let at = report.observedAt ?? newest ?? Timestamp(microseconds: 0)
        let identity = report.identity ?? ReportIdentity(droneID: report.droneID, boot: "file", seq: Int64(line))
        if let last = heard[identity.droneID], last.at < at { raiseSilences(last, until: at) }
        if heard[identity.droneID].map({ $0.at <= at }) ?? true {
            heard[identity.droneID] = Heard(identity: identity, at: at, place: place)
        }
        newest = max(newest ?? at, at)
        let nanoseconds = UInt64(max(0, at.microseconds)) * 1_000
        let raised =
            AlertEvaluator.statelessAlerts(report, rules)
            + evaluator.statefulAlerts(report, identity: identity, at: nanoseconds)
        for one in raised { note(TrialAlert(raised: one, identity: identity, at: at, place: place)) }
    }

    mutating func finish() {
        guard let newest else { return }
        for last in heard.values.sorted(by: { $0.identity.droneID < $1.identity.droneID }) {
            raiseSilences(last, until: newest)
        }
    }

    private mutating func raiseSilences(_ last: Heard, until: Timestamp) {
        for rule in rules.rules {
            guard case .silent(let seconds, let grace) = rule.condition else { continue }
            guard until.seconds(since: last.at) > seconds + grace else { continue }
            let raised = RaisedAlert(rule: rule, match: Match(subject: "silent", limit: seconds))
            note(
                TrialAlert(
                    raised: raised, identity: last.identity, at: last.at.adding(seconds: seconds + grace),
                    place: last.place))
        }
    }

    private mutating func note(_ alert: TrialAlert) {
        total += 1
        counts[alert.raised.rule.name, default: 0] += 1
        if alerts.count < keeping { alerts.append(alert) }
    }
}
