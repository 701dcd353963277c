// The quarantine of a central alone: one file, as before.

import Central
import Models
import ObjectStore
import System
import Testing

@Suite("the quarantine of a central alone") struct QuarantineBookTests {
    @Test(
        "what was tried again and refused again waits, also when the commit's answer was lost; what was not is archived"
    )
    func refused() throws {
        let vault = try QuarantineVault()
        let folder = "\(vault.directory)/own"
        let quarantine = try Quarantine(vault: folder)
        let records = [1, 2].map { number in
            BatchExamination.Rejected(n: Int64(number), code: "missing_field", line: QuarantineVault.text(number))
        }
        let relays = [1, 2].map { QuarantineVault.entry($0, at: 1).relayID }
        for (record, relayID) in zip(records, relays) {
            try quarantine.keep([record], relayID: relayID, epoch: ArchiveFixture.epoch, at: vault.now)
        }
        for number in [1, 2] {
            let id = QuarantineVault.id(number)
            #expect(try quarantine.startRetry(id, by: "ada", note: "", at: vault.now))
        }
        // As the archiver leaves it before it commits.
        let store = try LocalObjectStore(directory: folder)
        try store.put("\(QuarantineFiles.folder)/7-7.ndjson", QuarantineVault.json(QuarantineVault.entry(1, at: 7)))
        for number in [1, 2] {
            let archived = try quarantine.committed(
                retryCommit(nil), retried: [QuarantineVault.id(number)], at: vault.now)
            #expect(archived.map(\.n) == (number == 1 ? [] : [2]))
        }
        #expect(try quarantine.record(QuarantineVault.id(1), withLine: true)?.record.state == .waiting)
        #expect(try quarantine.record(QuarantineVault.id(1), withLine: true)?.line == QuarantineVault.text(1))
        #expect(try quarantine.record(QuarantineVault.id(2), withLine: true)?.line == nil)
        #expect(try store.list(QuarantineFiles.folder).map(\.key) == ["\(QuarantineFiles.folder)/7-7.numbers.ndjson"])
    }
}
