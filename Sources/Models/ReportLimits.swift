// Every limit of a report (contract §1) and of the requests that carry it (§2), in one place, with its unit (I7).
// "Characters" are Unicode scalar values: what every language can count alike.

package enum ReportLimits {
    /// A report's JSON, white space around it not counted.
    package static let bodyBytes = 256 * 1024
    /// Objects and arrays inside one another; the report itself is level 1.
    package static let depth = 16

    package static let droneIDBytes = 64
    package static let bootBytes = 32
    package static let relayIDBytes = 64
    package static let epochBytes = 32
    /// `relay.<relay_id>.<epoch>` is longer than any boot a drone may send: the two never meet.
    package static let storedBootBytes = "relay.".utf8.count + relayIDBytes + 1 + epochBytes
    package static let seqRange: ClosedRange<Int64> = 1...Int64.max

    package static let latitudeDegrees = -90.0...90.0
    package static let longitudeDegrees = -180.0...180.0

    package static let citizens = 1_000
    package static let nameCharacters = 1...256
    package static let confidence = 0.0...1.0
    package static let words = 10_000
    package static let wordCharacters = 0...256
    package static let readings = 256
    package static let readingNameCharacters = 1...128
    package static let media = 64
    package static let mediaURICharacters = 1...2048
    package static let mediaHashCharacters = 0...128
    package static let mediaTypeCharacters = 0...128

    /// A claimed time further than this from the relay's clock is kept, and marked `time_suspect`.
    package static let suspectAfterSeconds = 24.0 * 3600
    /// A report that arrives later than this after it was observed is marked `late`.
    package static let lateAfterSeconds = 5.0 * 60
    /// A byte-identical report without `seq` from the same drone within this time is the same report.
    package static let repeatWindowSeconds = 30.0

    /// A request with many reports, as it comes over the wire.
    package static let requestBytes = 8 * 1024 * 1024
    /// The same after decompression.
    package static let inflatedRequestBytes = 16 * 1024 * 1024
    /// Decompressed ÷ compressed: real reports reach 5…20, bombs thousands.
    package static let inflationRatio = 100

    /// Stops a program whose limits contradict each other: a limit nobody can reach is a limit nobody tests.
    package static func assertConsistent() {
        precondition(bodyBytes <= requestBytes, "one report must fit into one request")
        precondition(requestBytes <= inflatedRequestBytes, "decompressing must not shrink what a request may hold")
        precondition(inflationRatio > 1, "compression must be allowed to be of use")
        precondition(citizens * 10 < bodyBytes, "the list of citizens must be able to reach its own limit")
        precondition(words * 3 < bodyBytes, "the list of words must be able to reach its own limit")
        precondition(
            mediaURICharacters.upperBound * media <= bodyBytes, "the list of media must be able to reach its own limit")
        precondition(bootBytes < storedBootBytes, "a relay's own numbering must have room for its prefix")
        precondition(lateAfterSeconds < suspectAfterSeconds, "late is milder than suspect")
        precondition(depth >= 3, "a citizen lies at depth 3")
    }
}
