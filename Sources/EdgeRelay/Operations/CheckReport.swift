// `columba-relay check` as text and as JSON.

import AlertRules
import JSON

package struct CheckReport: Sendable {
    private let relayID: String?
    private let check: ConfigurationCheck?
    private let findings: [CheckFinding]

    package init(path: String, environment: [String: String]) {
        do {
            let configuration = try RelayConfiguration.load(path: path, environment: environment)
            let check = ConfigurationCheck(configuration)
            relayID = configuration.relayID
            self.check = check
            findings = check.findings
        } catch {
            relayID = nil
            check = nil
            findings = [.error("", "\(error)")]
        }
    }

    /// A relay would start with it.
    package var isUsable: Bool { !findings.contains(where: \.isError) }

    /// One line a finding.
    package var problems: String {
        findings.map { finding in
            let key = finding.key.isEmpty ? "" : "\(finding.key): "
            return "columba-relay: \(finding.isError ? "error" : "warning"): \(key)\(finding.text)\n"
        }.joined()
    }

    /// One line; empty where it cannot be used.
    package var summary: String {
        guard isUsable, let relayID, let check, let rules = check.rules else { return "" }
        let running = check.isRunning ? ", a relay runs with this data directory" : ""
        return "ok: relay \(relayID), \(rules.rules.count) rules, version \(rules.version)\(running)\n"
    }

    package var json: String {
        var output = JSONWriter()
        output.object {
            $0.member("ok", isUsable)
            $0.member("relay_id", relayID)
            $0.member("rules", check?.rules?.rules.count)
            $0.member("rules_version", check?.rules?.version)
            $0.member("is_running", check?.isRunning ?? false)
            $0.key("findings")
            $0.array { list in
                for finding in findings {
                    list.object {
                        $0.member("severity", finding.isError ? "error" : "warning")
                        $0.member("key", finding.key)
                        $0.member("text", finding.text)
                    }
                }
            }
        }
        return String(decoding: output.bytes, as: UTF8.self)
    }
}
