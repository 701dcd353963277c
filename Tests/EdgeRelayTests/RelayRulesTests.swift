// Which rules and limits are in force at a relay: its own or central's, through refusals and restarts.

import AlertRules
import Configuration
import EdgeRelay
import Foundation
import Log
import SyncProtocol
import System
import Testing

@Suite("rules of two origins")
struct RelayRulesTests {
    private let directory: String

    init() throws { directory = try FileSystem.makeTemporaryDirectory(prefix: "columba-rules") }

    private func configuration(own version: Int) throws -> RelayConfiguration {
        let path = "\(directory)/rules.json5"
        try rules(version).write(toFile: path, atomically: true, encoding: .utf8)
        let node = try ConfigurationNode.parse(
            json5: Array(
                #"{relay_id: "r", listen: "127.0.0.1:0", data_dir: "\#(directory)", rules: "rules.json5"}"#.utf8))
        return try RelayConfiguration.parse(node, environment: [:], relativeTo: directory)
    }

    private func rules(_ version: Int, channels: String = "") -> String {
        "{version: \(version), rules: [{name: \"r\(version)\", severity: \"info\", "
            + "when: {citizen: {peacescore: {below: 20}}}\(channels)}]}"
    }

    private func relay(own version: Int) throws -> (RelayRules, RelayConfiguration) {
        let configuration = try configuration(own: version)
        return (
            RelayRules(configuration, log: Log(component: "test", format: .text, minimum: .error)), configuration
        )
    }

    private func end() { try? FileSystem.removeTree(directory) }

    @Test("a higher version from central is in force, and still after a restart; a higher own one takes over again")
    func higherWins() throws {
        defer { end() }
        let (relay, configuration) = try relay(own: 3)
        #expect(try relay.rules(configuration).version == 3)
        #expect(relay.report == .init(version: 3, state: .local))
        #expect(relay.isNews(4) && !relay.isNews(0))
        let change = try #require(relay.take(RulesMessage(version: 4, rules: rules(4))))
        #expect(change.rules.rules.map(\.name) == ["r4"] && !relay.isNews(4))
        #expect(relay.report == .init(version: 4, state: .applied))
        let restarted = try self.relay(own: 3)
        #expect(try restarted.0.rules(restarted.1).version == 4 && !restarted.0.isNews(4))
        let higher = try self.relay(own: 5)
        #expect(try higher.0.rules(higher.1).version == 5)
        #expect(higher.0.report == .init(version: 5, state: .local))
        let equal = try self.relay(own: 4)
        #expect(try equal.0.rules(equal.1).version == 4 && equal.0.report.state == .local)
    }

    @Test(
        "a set that cannot be used changes nothing, on disk neither, and is reported with its reason until a good one")
    func refusals() throws {
        defer { end() }
        let (relay, configuration) = try relay(own: 1)
        _ = try relay.rules(configuration)
        _ = relay.take(RulesMessage(version: 2, rules: rules(2)))
        let bad = [
            RulesMessage(version: 3, rules: "{version: 3, rules: [{}]}"),
            RulesMessage(version: 3, rules: "not JSON5"),
            RulesMessage(version: 3, rules: rules(4)),
            RulesMessage(version: 3, rules: rules(3, channels: #", channels: ["nobody"]"#)),
            RulesMessage(version: 3, rules: rules(3), settings: RelaySettings(limits: ["threads": 8])),
            RulesMessage(version: 3, rules: rules(3), settings: RelaySettings(limits: ["no_such_limit": 8])),
            RulesMessage(version: 3, rules: rules(3), settings: RelaySettings(limits: ["max_connections": -1])),
        ]
        for message in bad {
            #expect(relay.take(message) == nil)
            #expect(relay.report.state == .refused && relay.report.version == 3 && relay.report.reason != "")
            #expect(!relay.isNews(3), "not fetched again and again")
            #expect(try relay.rules(configuration).version == 2)
            let restarted = try self.relay(own: 1)
            #expect(try restarted.0.rules(restarted.1).version == 2)
        }
        #expect(relay.take(RulesMessage(version: 4, rules: rules(4))) != nil)
        #expect(relay.report == .init(version: 4, state: .applied))
    }

    @Test("settings go with their set: in force, kept over a restart, and gone with the next set without any")
    func settings() throws {
        defer { end() }
        let (relay, configuration) = try relay(own: 1)
        _ = try relay.rules(configuration)
        let message = RulesMessage(
            version: 2, rules: rules(2), settings: RelaySettings(limits: ["reports_per_drone_per_s": 5]))
        #expect(relay.take(message)?.limits.reportsPerDronePerSecond == 5)
        let restarted = try self.relay(own: 1)
        _ = try restarted.0.rules(restarted.1)
        #expect(restarted.0.limits(own: configuration.limits).reportsPerDronePerSecond == 5)
        let own = try self.relay(own: 9)
        _ = try own.0.rules(own.1)
        #expect(own.0.limits(own: configuration.limits) == configuration.limits, "the own file is in force")
        #expect(relay.take(RulesMessage(version: 3, rules: rules(3)))?.limits == configuration.limits)
        let again = try self.relay(own: 1)
        _ = try again.0.rules(again.1)
        #expect(again.0.limits(own: configuration.limits) == configuration.limits)
    }

    @Test("a damaged file of central's rules is no obstacle to a start")
    func damaged() throws {
        defer { end() }
        let (relay, configuration) = try relay(own: 1)
        _ = try relay.rules(configuration)
        _ = relay.take(RulesMessage(version: 2, rules: rules(2)))
        try "{version: 2, rul".write(toFile: "\(directory)/rules-from-central.json5", atomically: true, encoding: .utf8)
        let restarted = try self.relay(own: 1)
        #expect(try restarted.0.rules(restarted.1).version == 1)
        #expect(restarted.0.isNews(2), "it is fetched again")
    }
}
