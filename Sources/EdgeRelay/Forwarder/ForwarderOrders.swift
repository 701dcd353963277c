// What goes into ForwarderStateMachine and what comes out: its limits, its orders, the ways an order can fail.

package import SyncProtocol

/// What a batch carries. Every lane's records are of one epoch.
package enum ForwarderLane: String, Sendable, CaseIterable {
    /// Alerts and their state changes, of any epoch: before everything else.
    case alerts
    /// The last seconds of the current epoch, newest first.
    case live
    /// Everything else, oldest first.
    case backlog
}

extension ForwarderStateMachine {
    package struct Limits: Sendable {
        /// Batches sent and not yet answered; central's credit may lower it.
        package var maxInFlight: Int
        /// Of one batch's lines, before compression.
        package var maxBatchBytes: Int
        /// Bytes on the wire, on average; nil: as many as the link takes. Alerts may borrow.
        package var maxBytesPerSecond: Int?
        /// The part of the link that live reports get while a backlog wants the rest.
        package var liveShare = 0.5
        /// Records committed within this time are live; older ones are backlog.
        package var liveWindowSeconds = 5.0
        /// Central's addresses.
        package var addresses = 1
        /// The pause after the k-th failure in a row is random between 0 and min(cap, base · 2^k) seconds.
        package var backoffBaseSeconds = 0.25
        package var backoffCapSeconds = 300.0
        /// Pause between two small live batches, so that single reports travel together.
        package var lingerSeconds = 0.2
        /// So many unsent live records make a batch worth sending without a pause.
        package var worthSendingAtOnce: Int64 = 500
        /// Pause between two questions whether received records are archived by now.
        package var askEverySeconds = 0.5
        package var askCapSeconds = 5.0
        /// Pause between two questions that only check that central still has what it received.
        package var reconcileSeconds = 60.0
        /// After so many refusals of one and the same record it is set aside.
        package var refusalsBeforeSetAside = 3
        /// So long without a newly acknowledged number, with something to send and no failure: new connections.
        package var watchdogSeconds = 45.0
        /// A fallback address is left for the first one after this time, if that answers.
        package var preferFirstAfterSeconds = 300.0

        package init(maxInFlight: Int, maxBatchBytes: Int) {
            self.maxInFlight = maxInFlight
            self.maxBatchBytes = maxBatchBytes
        }
    }

    /// One request's order: these records, at least one of them, at most `maxBytes` of lines. What does not fit stays
    /// for later: of the highest numbers where `newestFirst`, else of the lowest, the batch holds as many as fit.
    package struct Batch: Sendable, Equatable {
        package let id: UInt64
        package let lane: ForwarderLane
        package let epoch: String
        package let numbers: IntervalSet
        package let maxBytes: Int
        package let newestFirst: Bool
        /// Index of the central address to send it to.
        package let address: Int

        package init(
            id: UInt64, lane: ForwarderLane, epoch: String, numbers: IntervalSet, maxBytes: Int, newestFirst: Bool,
            address: Int
        ) {
            self.id = id
            self.lane = lane
            self.epoch = epoch
            self.numbers = numbers
            self.maxBytes = maxBytes
            self.newestFirst = newestFirst
            self.address = address
        }
    }

    /// `GET …/epochs/{epoch}/acks?from={from}`, answered with `acknowledged` or `failed`.
    package struct Question: Sendable, Equatable {
        package let id: UInt64
        package let epoch: String
        /// An answer may not have room for all: it tells about the numbers from here on.
        package let from: Int64
        package let address: Int
        package let timeoutSeconds: Double
    }

    package enum Order: Sendable, Equatable {
        /// Answered with `batchRead`, and if that allows it, with `acknowledged` or `failed`.
        case send(Batch)
        case ask(Question)
        /// Everything in flight is given up: end those requests, close all connections, begin with new ones.
        case restartConnection
        /// Nothing to do before this instant (monotonic nanoseconds) or the end of a request, unless an alert is
        /// committed.
        case wait(until: UInt64)
        /// Nothing to do before this instant or the end of a request, unless something is committed.
        case idle(until: UInt64)
    }

    package enum Failure: Sendable, Equatable {
        /// No usable answer: refused, closed, or not an acknowledgement of this batch (a captive portal's page).
        case unreachable
        /// No answer in time.
        case timedOut
        /// 429 or 503, with the seconds it asked for.
        case overloaded(retryAfterSeconds: Double?)
        /// 413: split.
        case tooLarge
        /// 400: central could not read it as a batch.
        case malformed
        /// 401 or 403: this relay's identity is not accepted.
        case forbidden
        /// The relay's own disk did not give the records.
        case unreadable

        /// It says something about the batch, not about the link.
        var isAboutTheBatch: Bool { self == .tooLarge || self == .malformed }
    }
}
