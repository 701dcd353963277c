// The accounting identity, from numbers that are counted apart from each other. Pure.
//
// At central, per life of a relay, in records:
//
//   numbers received = numbers archived + numbers waiting in the stream                        (sets of numbers)
//   numbers archived = reports + alerts + duplicates + conflicts − record conflicts + rejected  (counts of rows)
//
// In a cluster the partitions' commits follow one another: the rows may be ahead of the numbers that all of them have
// settled, by those that only some have (`underWay`), and by nothing once they are level.
//
// A record conflict has a row and no number of its own. Rejected: set aside, in quarantine. Together, per relay:
//
//   received = archived rows + waiting + duplicates (conflicts among them) + rejected
//
// Over all relays the rows noted are the rows of the table `reports`. Between relay and central: what a relay believes
// archived, central has archived. The other way round they differ by what is under way: no mismatch. At the relay:
// received + carried over = archived + waiting + lost.
//
// Figures of different parts are read one after the other, so there must be a difference in `looksBeforeMismatch` looks
// in a row, a second apart, before it is one: a commit between two readings is over by the next.

package import SyncProtocol

package struct AccountBook: Sendable {
    package static let looksBeforeMismatch = 3
    package static let reportsBeforeMismatch = 3

    /// One life's counts.
    package struct Life: Sendable, Equatable {
        package var epoch: String
        package var archivedNumbers: Int
        package var reports: Int
        package var alerts: Int
        package var duplicates: Int
        package var conflicts: Int
        package var recordConflicts: Int
        package var rejected: Int
        /// Numbers whose rows may be counted already although they are not archived (`RelayArchiveState.underWay`).
        package var underWay = 0
        /// As the relay last told; nil where it did not.
        package var told: RelayReport.Epoch?
        /// Of the numbers up to `told.through`.
        package var archivedOfTold: Int

        package init(epoch: String, archivedNumbers: Int) {
            self.epoch = epoch
            self.archivedNumbers = archivedNumbers
            (reports, alerts, duplicates, conflicts, recordConflicts, rejected) = (0, 0, 0, 0, 0, 0)
            archivedOfTold = archivedNumbers
        }

        package var accounted: Int { reports + alerts + duplicates + conflicts - recordConflicts + rejected }
    }

    package struct Mismatch: Hashable, Sendable {
        /// nil: central as a whole.
        package var relayID: String?
        package var epoch: String?
        package var expected: Int
        package var found: Int
        package var what: String

        package var detail: String {
            "\(what): \(expected) expected, \(found) found" + (epoch.map { ", life \($0)" } ?? "")
        }
    }

    private struct Place: Hashable { let relayID: String?; let epoch: String?; let what: String }

    /// In how many looks in a row there was a difference.
    private var suspected: [Place: Int] = [:]

    package init() {}

    /// One look at everything. Returns the differences that have lasted.
    package mutating func look(
        _ relays: [(relayID: String, lives: [Life])], tableReports: Int, notedReports: Int
    ) -> [Mismatch] {
        var found: [Mismatch] = []
        for relay in relays {
            for life in relay.lives {
                let ahead = life.accounted - life.archivedNumbers
                if ahead < 0 || ahead > life.underWay {
                    found.append(
                        Mismatch(
                            relayID: relay.relayID, epoch: life.epoch, expected: life.archivedNumbers,
                            found: life.accounted, what: "archived record numbers against rows"))
                }
                guard let told = life.told else { continue }
                let believed = Int(clamping: told.through) - told.waiting - told.missingCount
                if believed > life.archivedOfTold {
                    found.append(
                        Mismatch(
                            relayID: relay.relayID, epoch: life.epoch, expected: believed, found: life.archivedOfTold,
                            what: "records the relay believes archived"))
                }
            }
        }
        if tableReports != notedReports {
            found.append(
                Mismatch(
                    relayID: nil, epoch: nil, expected: notedReports, found: tableReports,
                    what: "rows of reports against those noted"))
        }
        let places = found.map { Place(relayID: $0.relayID, epoch: $0.epoch, what: $0.what) }
        suspected = Dictionary(places.map { ($0, (suspected[$0] ?? 0) + 1) }) { $1 }
        return zip(found, places).filter { (suspected[$1] ?? 0) >= Self.looksBeforeMismatch }.map(\.0)
    }
}
