// Where a drone was in the last ten minutes, thinned: what the map draws behind it. A value of a few hundred bytes.

package import Models

package struct DroneTrack: Sendable, Equatable {
    package struct Point: Sendable, Equatable {
        package var at: Timestamp
        package var latitude: Double
        package var longitude: Double
    }

    package static let seconds = 600.0
    /// Reports that come faster than this replace each other: a track is for the eye.
    package static let spacingSeconds = 15.0

    /// Oldest first.
    package private(set) var points: [Point] = []

    package init() {}

    /// Times do not go back (the board sees to it). 0/0 is where receivers without a fix are: never on a track.
    package mutating func add(latitude: Double, longitude: Double, at: Timestamp) {
        guard latitude != 0 || longitude != 0 else { return }
        let isClose = points.count > 1 && at.seconds(since: points[points.count - 2].at) < Self.spacingSeconds
        if isClose { points.removeLast() }
        points.append(Point(at: at, latitude: latitude, longitude: longitude))
        let first = points.firstIndex { at.seconds(since: $0.at) <= Self.seconds } ?? 0
        if first > 0 { points.removeFirst(first) }
    }
}
