// The text Prometheus reads.
import Metrics
import Synchronization
import System
import Testing

@Suite("Metrics")
struct MetricsTests {
    private func text(_ registry: MetricsRegistry) -> String { String(decoding: registry.render(), as: UTF8.self) }

    @Test("a family is rendered once, with all its series under one HELP and TYPE")
    func families() {
        let registry = MetricsRegistry()
        let stored = registry.counter(
            "columba_reports_total", help: "Reports by result.", labels: [("status", "stored")])
        let depth = registry.gauge("columba_waiting_reports", help: "Reports waiting.")
        let refused = registry.counter(
            "columba_reports_total", help: "Reports by result.", labels: [("status", "refused")])
        stored.add(3)
        stored.add()
        refused.add(0)
        depth.set(2.5)
        depth.add(-1)
        #expect(
            text(registry) == """
                # HELP columba_reports_total Reports by result.
                # TYPE columba_reports_total counter
                columba_reports_total{status="stored"} 4
                columba_reports_total{status="refused"} 0
                # HELP columba_waiting_reports Reports waiting.
                # TYPE columba_waiting_reports gauge
                columba_waiting_reports 1.5

                """)
    }

    @Test("a histogram's buckets are cumulative and end with +Inf, which equals its count")
    func histogram() {
        let registry = MetricsRegistry()
        let latency = registry.histogram(
            "columba_commit_seconds", help: "Commit time.", labels: [("log", "buffer")], bounds: [0.001, 0.01, 1])
        for value in [0.0005, 0.001, 0.5, 7, .nan] { latency.observe(value) }
        #expect(latency.count == 4)
        #expect(
            text(registry) == """
                # HELP columba_commit_seconds Commit time.
                # TYPE columba_commit_seconds histogram
                columba_commit_seconds_bucket{log="buffer",le="0.001"} 2
                columba_commit_seconds_bucket{log="buffer",le="0.01"} 2
                columba_commit_seconds_bucket{log="buffer",le="1"} 3
                columba_commit_seconds_bucket{log="buffer",le="+Inf"} 4
                columba_commit_seconds_sum{log="buffer"} 7.5015
                columba_commit_seconds_count{log="buffer"} 4

                """)
    }

    @Test("callbacks are asked at each rendering, and odd numbers and labels are written as Prometheus wants them")
    func callbacks() {
        let registry = MetricsRegistry()
        let asked = Atomic<Int>(0)
        registry.gaugeCallback("columba_asked", help: "Line\nbreak \\ kept.", labels: [("text", "a\"b\\c\nd")]) {
            Double(asked.add(1, ordering: .relaxed).newValue)
        }
        registry.gaugeCallback("columba_nan", help: "None.") { .nan }
        registry.gaugeCallback("columba_infinite", help: "None.") { -.infinity }
        registry.counterCallback("columba_large_total", help: "None.") { 1e18 }
        #expect(text(registry).contains(#"columba_asked{text="a\"b\\c\nd"} 1"#))
        let second = text(registry)
        #expect(second.contains(#"} 2"#))
        #expect(second.contains(#"# HELP columba_asked Line\nbreak \\ kept."#))
        for line in ["columba_nan NaN\n", "columba_infinite -Inf\n", "columba_large_total 1e+18\n"] {
            #expect(second.contains(line))
        }
    }

    @Test("nothing is lost when threads count at the same time")
    func concurrency() {
        let registry = MetricsRegistry()
        let counter = registry.counter("columba_total", help: "All.")
        let gauge = registry.gauge("columba_sum", help: "Sum.")
        let histogram = registry.histogram("columba_seconds", help: "Time.", bounds: [1])
        let threads = (0..<4).map { number in
            WorkerThread(name: "counting-\(number)") {
                for _ in 0..<10_000 {
                    counter.add()
                    gauge.add(0.5)
                    histogram.observe(0.25)
                }
            }
        }
        for thread in threads { thread.join() }
        #expect(counter.value == 40_000)
        #expect(gauge.value == 20_000)
        #expect(text(registry).contains("columba_seconds_sum 10000\n"))
        #expect(text(registry).contains("columba_seconds_count 40000\n"))
    }
}
