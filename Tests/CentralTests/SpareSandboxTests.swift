// A query that finds a process ready is answered as any other: the newest version, the same walls, its own time limit.

import Central
import FoundationEssentials
import Models
import System
import TestSupport
import Testing

@Suite("a process kept ready for the next query") struct SpareSandboxTests {
    /// The keeper runs, and the first query has made it start a spare.
    private final class Fixture {
        let query: QueryFixture
        private let keeper: WorkerThread

        init(_ change: (inout QueryConfiguration) -> Void = { _ in }) throws {
            let query = try QueryFixture(change)
            self.query = query
            let service = query.service
            keeper = WorkerThread(name: "keeper", stackBytes: 2 << 20) { service.keepSpare() }
        }

        /// Answers with a spare, which must be there within the time tests have.
        func json(_ sql: String) throws -> String {
            if !query.service.hasSpare { _ = try query.json("select 1") }
            let isReady = eventually { query.service.hasSpare }
            #expect(isReady, "a spare is started after a query")
            let before = query.service.sparesTaken
            let answer = try query.json(sql)
            #expect(query.service.sparesTaken == before + 1, "the query took the spare")
            return answer
        }

        func end() {
            query.service.stopSpares()
            keeper.join()
        }
    }

    @Test("answers are the same with and without one")
    func same() throws {
        let fixture = try Fixture()
        defer { fixture.end() }
        for sql in [
            "select count(*) as n from reports", "select * from reports order by seq", "select * from relays",
            "select person_id, count(*) as n from sightings group by 1 order by 1",
        ] {
            let cold = try QueryFixture().json(sql)
            let warm = try fixture.json(sql)
            // Fixtures archive at the same moment of their own clock.
            #expect(warm == cold, "\(sql)")
        }
    }

    @Test("a report that was archived after the spare was started is in the answer")
    func newest() throws {
        let fixture = try Fixture()
        defer { fixture.end() }
        #expect(try fixture.json("select count(*) as n from reports").contains(#"{"n":3}"#))
        #expect(eventually { fixture.query.service.hasSpare })
        var maker = BatchMaker()
        maker.add(9, BatchMaker.report(seq: 9, name: "Late Comer"))
        _ = try fixture.query.archive.archiver().archive([maker.batch(at: 2)])
        #expect(try fixture.query.json("select count(*) as n from reports").contains(#"{"n":4}"#))
        // The next one is of the new version.
        #expect(try fixture.json("select count(*) as n from reports").contains(#"{"n":4}"#))
    }

    @Test("its walls are the same: no file, no setting, no other statement; and a killed one costs the query nothing")
    func walls() throws {
        let fixture = try Fixture { $0.timeoutSeconds = 3 }
        defer { fixture.end() }
        let cold = try QueryFixture()
        for sql in [
            "select * from read_text('/etc/passwd')", "select * from glob('*')", "set memory_limit='9GB'",
            "copy reports to 'x.csv'", "select getenv('HOME')", "create table x as select 1",
        ] {
            #expect(eventually { fixture.query.service.hasSpare || (try? fixture.query.json("select 1")) == nil })
            let taken = fixture.query.service.sparesTaken
            let problem = try #require(fixture.query.problem(sql), "\(sql)")
            #expect(problem == cold.problem(sql), "\(sql): \(problem)")
            #expect(fixture.query.service.sparesTaken == taken + 1)
        }
        #expect(eventually { fixture.query.service.hasSpare })
        let endless = fixture.query.problem("select count(*) from range(1e12::bigint) a(i) where i % 7 = 3")
        #expect(endless?.status == 408 || endless?.code.contains("time") == true, "\(String(describing: endless))")
    }
}
