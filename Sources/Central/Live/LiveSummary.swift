// The live view as JSON: `GET /v1/live` and the events of `/v1/live/stream`.

import JSON
package import Models

/// What only the live view's owner knows.
package struct LiveStatus: Sendable {
    /// The view knows everything that arrived since then; nil before anything is known.
    package var completeSince: Timestamp
    /// Batches that are durable and not yet counted.
    package var behindBatches = 0
    /// Batches that were archived away before they could be counted.
    package var missedBatches = 0
    package var smallestGroup: Int
    package var openAlerts: [AlertSeverity: Int] = [:]

    package init(completeSince: Timestamp, smallestGroup: Int) {
        self.completeSince = completeSince
        self.smallestGroup = smallestGroup
    }
}

extension LiveWindow {
    private static let cellsShown = 20

    /// Forget what is old (`advance`) before.
    package func json(now: Timestamp, status: LiveStatus) -> [UInt8] {
        var json = JSONWriter(reservedBytes: 8 << 10)
        json.object { json in
            json.member("now", now)
            json.member("window_s", Self.minutes * 60)
            json.member("complete_since", status.completeSince)
            json.member("behind_batches", status.behindBatches)
            json.member("missed_batches", status.missedBatches)
            json.object("reports") { json in
                for (name, count) in [("last_minute", 1), ("last_5_minutes", 5), ("last_hour", Self.minutes)] {
                    json.member(name, last(count, now: now).reduce(0) { $0 + $1.reports })
                }
            }
            json.object("drones") { json in
                json.member("last_5_minutes", dronesHeard(inLast: 5, now: now))
                json.member("last_hour", dronesHeard(inLast: Self.minutes, now: now))
            }
            appendRelays(now, to: &json)
            appendLateness(now, to: &json)
            appendAlerts(now, status, to: &json)
            appendScores(now, status, to: &json)
            json.key("cells")
            json.array { json in
                for (cell, reports) in busiestCells(Self.cellsShown) {
                    json.object { json in
                        json.member("cell", cell)
                        json.member("reports", reports)
                    }
                }
            }
            appendMinutes(now, to: &json)
        }
        return json.bytes
    }

    private struct RelaySum {
        var minute = 0
        var five = 0
        var hour = 0
        var alerts = 0
    }

    private func appendRelays(_ now: Timestamp, to json: inout JSONWriter) {
        var sums: [String: RelaySum] = [:]
        let running = now.microseconds / 60_000_000
        for minute in last(Self.minutes, now: now) {
            for (relay, counts) in minute.relays {
                var sum = sums[relay] ?? RelaySum()
                if minute.number == running { sum.minute += counts.reports }
                if minute.number > running - 5 { sum.five += counts.reports }
                sum.hour += counts.reports
                sum.alerts += counts.alerts
                sums[relay] = sum
            }
        }
        json.key("relays")
        json.array { json in
            for (relay, sum) in sums.sorted(by: { $0.key < $1.key }) {
                json.object { json in
                    json.member("relay_id", relay)
                    json.member("last_arrival", lastArrival[relay])
                    json.member("reports_last_minute", sum.minute)
                    json.member("reports_per_minute", Double(sum.five) / 5)
                    json.member("reports_last_hour", sum.hour)
                    json.member("alerts_last_hour", sum.alerts)
                }
            }
        }
    }

    private func appendLateness(_ now: Timestamp, to json: inout JSONWriter) {
        json.object("lateness_s") { json in
            for (name, count) in [("last_5_minutes", 5), ("last_hour", Self.minutes)] {
                var histogram = LogHistogram()
                for minute in last(count, now: now) { histogram.formUnion(minute.lateness) }
                json.object(name) { json in
                    for (name, share) in [("p50", 0.5), ("p95", 0.95), ("p99", 0.99)] {
                        json.member(name, histogram.quantile(share).map(Self.rounded))
                    }
                    json.member("longest", histogram.count > 0 ? Self.rounded(histogram.longest) : nil)
                }
            }
        }
    }

    private static func rounded(_ seconds: Double) -> Double { (seconds * 1_000).rounded() / 1_000 }

    private func appendAlerts(_ now: Timestamp, _ status: LiveStatus, to json: inout JSONWriter) {
        var rules: [RuleKey: Int] = [:]
        for minute in last(Self.minutes, now: now) { rules.merge(minute.rules) { $0 + $1 } }
        json.object("alerts") { json in
            json.member("last_hour", rules.values.reduce(0, +))
            json.key("by_rule")
            json.array { json in
                let sorted = rules.sorted { ($1.value, $0.key.rule) < ($0.value, $1.key.rule) }
                for (key, count) in sorted.prefix(Self.maxRules) {
                    json.object { json in
                        json.member("rule", key.rule)
                        json.member("severity", key.severity.rawValue)
                        json.member("raised", count)
                    }
                }
            }
            json.object("open") { json in
                for severity in AlertSeverity.allCases.reversed() {
                    json.member(severity.rawValue, status.openAlerts[severity] ?? 0)
                }
            }
        }
    }

    /// Bands about fewer than the smallest group's persons are left out and counted.
    private func appendScores(_ now: Timestamp, _ status: LiveStatus, to json: inout JSONWriter) {
        var bands = ScoreBands()
        for minute in last(Self.minutes, now: now) { bands.formUnion(minute.scores) }
        let needed = min(status.smallestGroup, ScoreBands.personsKept)
        var suppressed = 0
        json.key("scores")
        json.array { json in
            for band in bands.sightings.indices where bands.sightings[band] > 0 {
                guard bands.persons[band].count >= needed else {
                    suppressed += 1
                    continue
                }
                let (from, to) = ScoreBands.limits(band)
                json.object { json in
                    json.member("from", from)
                    json.member("to", to)
                    json.member("sightings", bands.sightings[band])
                }
            }
        }
        json.member("suppressed_score_bands", suppressed)
    }

    private func appendMinutes(_ now: Timestamp, to json: inout JSONWriter) {
        json.key("minutes")
        json.array { json in
            for minute in last(Self.minutes, now: now) {
                json.object { json in
                    json.member("time", Timestamp(microseconds: minute.number * 60_000_000))
                    json.member("reports", minute.reports)
                    json.member("late", minute.late)
                    json.member("alerts", minute.alerts)
                }
            }
        }
    }
}
