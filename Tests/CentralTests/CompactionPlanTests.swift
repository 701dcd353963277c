// Which files are put together, and which are left alone.

import Central
import Testing
import TestSupport

@Suite struct CompactionPlanTests {
    private static let day = "2026-11-20"
    /// 2026-11-20T05:00:00Z
    private static let now = ArchiveFixture.start

    private func file(
        _ position: Int64?, bytes: Int, day: String = day, partition: DronePartition? = nil, ageSeconds: Int64 = 0
    ) -> DeltaFile {
        var tags = FileTags()
        tags.firstPosition = position
        tags.lastPosition = position
        tags.partition = partition
        return DeltaFile(
            path: "date=\(day)/\(position ?? -1)-\(partition?.index ?? -1).parquet", partitionValues: ["date": day],
            bytes: bytes, modificationTime: Self.now / 1000 - ageSeconds * 1000, stats: nil, tags: tags)
    }

    private func plan(_ files: [DeltaFile], _ mode: CompactionMode, through: Int64 = 1000) -> [[Int64]] {
        var settings = CompactionSettings()
        settings.targetBytes = 6400
        settings.filesPerStep = 4
        return CompactionPlan(settings).jobs(table: "reports", files: files, through: through, mode).map { job in
            job.files.map { $0.position ?? -1 }
        }
    }

    @Test("asked for everything, neighbours in the order of arrival are put together up to the target")
    func everything() {
        let files = (1...10 as ClosedRange<Int64>).reversed().map { file($0, bytes: 2000) }
        #expect(plan(files, .everything) == [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10]])
    }

    @Test("large files, other writers' files and files that reports does not have yet are left alone")
    func leftAlone() {
        let files = [
            file(1, bytes: 100), file(2, bytes: 3200), file(nil, bytes: 100), file(3, bytes: 100), file(9, bytes: 100),
        ]
        #expect(plan(files, .everything, through: 8) == [[1, 3]])
        #expect(plan([file(1, bytes: 100)], .everything).isEmpty)
    }

    @Test("days and partitions stay apart")
    func apart() {
        let other = DronePartition(index: 1, count: 2)
        let files = [
            file(1, bytes: 10), file(2, bytes: 10, partition: other), file(3, bytes: 10, day: "2026-11-19"),
            file(4, bytes: 10), file(5, bytes: 10, partition: other), file(6, bytes: 10, day: "2026-11-19"),
        ]
        #expect(plan(files, .everything) == [[3, 6], [1, 4], [2, 5]])
    }

    @Test("while a day grows, small files wait until enough are together, and the results wait for each other")
    func tiers() {
        let automatic = CompactionMode.automatic(now: Self.now)
        let small = (1...3 as ClosedRange<Int64>).map { file($0, bytes: 50) }
        #expect(plan(small, automatic).isEmpty)
        #expect(plan(small + [file(4, bytes: 50)], automatic) == [[1, 2, 3, 4]])
        let middling = (5...8 as ClosedRange<Int64>).map { file($0, bytes: 200) }
        #expect(plan(small + middling, automatic) == [[5, 6, 7, 8]])
        // Two that make a large one need not wait for more.
        #expect(plan([file(1, bytes: 1599), file(2, bytes: 1599), file(3, bytes: 1500)], automatic) == [[1, 2, 3]])
    }

    @Test("a day that is over and quiet for an hour is put together, a quiet day of today is not")
    func closedDay() {
        let automatic = CompactionMode.automatic(now: Self.now)
        func files(_ day: String, age: Int64, _ count: Int64 = 4) -> [DeltaFile] {
            (1...count).map { file($0, bytes: 50 * Int($0 * $0), day: day, ageSeconds: age) }
        }
        #expect(plan(files("2026-11-19", age: 3601), automatic) == [[1, 2, 3, 4]])
        #expect(plan(files("2026-11-19", age: 3000), automatic).isEmpty)
        #expect(plan(files("2026-11-20", age: 7200), automatic).isEmpty)
        #expect(plan(files("2026-11-19", age: 3601, 3), automatic).isEmpty)
    }

    @Test("what the plan makes is not planned again, so compaction ends and no row is rewritten for ever")
    func ends() {
        var random = SeededGenerator(seed: 20_261_120)
        var files: [DeltaFile] = []
        var written = 0
        var arrived = 0
        for position in 1...3000 as ClosedRange<Int64> {
            let bytes = Int.random(in: 5...40, using: &random)
            arrived += bytes
            files.append(file(position, bytes: bytes))
            while let job = CompactionPlan(settings()).jobs(
                table: "reports", files: files, through: .max, .automatic(now: Self.now)
            ).first {
                written += job.bytes
                let gone = Set(job.files.map(\.path))
                files.removeAll { gone.contains($0.path) }
                files.append(file(job.files[0].position, bytes: job.bytes))
            }
        }
        #expect(files.count < 45, "\(files.count) files are left")
        #expect(written < arrived * 4, "\(written) bytes were rewritten for \(arrived)")
    }

    private func settings() -> CompactionSettings {
        var settings = CompactionSettings()
        settings.targetBytes = 6400
        settings.filesPerStep = 4
        return settings
    }
}
