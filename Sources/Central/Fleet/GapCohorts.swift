// How long the holes among a life's record numbers have been open: sets of numbers with the time they were first seen
// missing. Pure. One cohort for each look that found new holes; the youngest two are joined when there are too many,
// so an age is never overstated.

package import Models
package import SyncProtocol

package struct GapCohorts: Codable, Hashable, Sendable {
    package static let maxCohorts = 32

    private struct Cohort: Codable, Hashable {
        var sinceMicroseconds: Int64
        var numbers: IntervalSet
    }

    private var cohorts: [Cohort] = []

    package init() {}

    package var isEmpty: Bool { cohorts.isEmpty }
    package var count: Int { cohorts.reduce(0) { $0 + $1.numbers.count } }

    /// `holes`: every number missing now. True if that is news.
    @discardableResult
    package mutating func look(_ holes: IntervalSet, at now: Timestamp) -> Bool {
        let before = self
        var known = IntervalSet()
        for index in cohorts.indices {
            cohorts[index].numbers = cohorts[index].numbers.intersection(holes)
            known.formUnion(cohorts[index].numbers)
        }
        cohorts.removeAll { $0.numbers.isEmpty }
        let new = holes.subtracting(known)
        if !new.isEmpty { cohorts.append(Cohort(sinceMicroseconds: now.microseconds, numbers: new)) }
        if cohorts.count > Self.maxCohorts, let last = cohorts.popLast() {
            cohorts[cohorts.count - 1].numbers.formUnion(last.numbers)
            cohorts[cohorts.count - 1].sinceMicroseconds = last.sinceMicroseconds
        }
        return self != before
    }

    /// Numbers that have been missing for so long.
    package func open(forSeconds seconds: Double, at now: Timestamp) -> IntervalSet {
        var open = IntervalSet()
        for cohort in cohorts
        where now.seconds(since: Timestamp(microseconds: cohort.sinceMicroseconds)) >= seconds {
            open.formUnion(cohort.numbers)
        }
        return open
    }
}
