// Whether one report meets a rule's condition, without memory of earlier reports. Pure.

package import JSON
import Glibc

/// What in the report met the condition. The subject is part of the alert's identity: two citizens are two alerts.
package struct Match: Equatable, Sendable {
    package var subject: String
    package var citizen: String?
    package var value: Double?
    package var limit: Double?

    package init(subject: String, citizen: String? = nil, value: Double? = nil, limit: Double? = nil) {
        self.subject = subject
        self.citizen = citizen
        self.value = value
        self.limit = limit
    }

    static let plain = Match(subject: "", citizen: nil, value: nil, limit: nil)
}

extension Condition {
    /// Every match; empty where the report does not meet the condition. `silent` never matches a report.
    package func matches(_ report: ParsedReport) -> [Match] {
        switch self {
        case .citizen(let threshold, let minimumConfidence):
            return Self.citizens(report, threshold, minimumConfidence)
        case .reading(let name, let threshold):
            guard let value = report.reading(named: name), let limit = threshold.broken(by: value) else { return [] }
            return [Match(subject: name, citizen: nil, value: value, limit: limit)]
        case .words(let wanted):
            return wanted.containsAny(of: report) ? [Match(subject: "words", citizen: nil, value: nil, limit: nil)] : []
        case .insideCircle(let center, let radius):
            let here = GeographicPoint(latitude: report.latitude, longitude: report.longitude)
            return here.distanceMeters(to: center) <= radius ? [.plain] : []
        case .insidePolygon(let corners):
            let here = GeographicPoint(latitude: report.latitude, longitude: report.longitude)
            return here.isInside(corners) ? [.plain] : []
        case .all(let conditions): return Self.all(conditions, report)
        case .any(let conditions):
            var found: [Match] = []
            for condition in conditions { found.append(contentsOf: condition.matches(report)) }
            return found
        case .not(let condition): return condition.matches(report).isEmpty ? [.plain] : []
        case .silent: return []
        }
    }

    /// One match a name: of a citizen named twice the worse score counts.
    private static func citizens(
        _ report: ParsedReport, _ threshold: Threshold, _ minimumConfidence: Double?
    ) -> [Match] {
        var found: [Match] = []
        var known: [String: Int] = [:]
        for index in 0..<report.citizenCount {
            let citizen = report.citizen(at: index)
            let score = citizen.peacescore
            guard let limit = threshold.broken(by: score) else { continue }
            if let minimumConfidence, let confidence = citizen.confidence, confidence < minimumConfidence { continue }
            let name = citizen.name.string
            if let earlier = known[name] {
                if let value = found[earlier].value, score < value { found[earlier].value = score }
            } else {
                known[name] = found.count
                found.append(Match(subject: name, citizen: name, value: score, limit: limit))
            }
        }
        return found
    }

    /// Every condition must be met; what is reported is what the citizens among them matched, else the first's match
    /// that says something.
    private static func all(_ conditions: [Condition], _ report: ParsedReport) -> [Match] {
        var found: [Match] = []
        for condition in conditions {
            let matches = condition.matches(report)
            if matches.isEmpty { return [] }
            found.append(contentsOf: matches)
        }
        let citizens = found.filter { $0.citizen != nil }
        if !citizens.isEmpty { return unique(citizens) }
        return [found.first { $0.value != nil } ?? found.first { !$0.subject.isEmpty } ?? .plain]
    }

    private static func unique(_ matches: [Match]) -> [Match] {
        var subjects: Set<String> = []
        return matches.filter { subjects.insert($0.subject).inserted }
    }
}

extension GeographicPoint {
    /// Great circle on a sphere of 6,371,008.8 m, the mean radius of the Earth: within 0.6 % of the ellipsoid.
    package func distanceMeters(to other: GeographicPoint) -> Double {
        let radians = Double.pi / 180
        let (phi1, phi2) = (latitude * radians, other.latitude * radians)
        let halfPhi = sin((phi2 - phi1) / 2)
        let halfLambda = sin((other.longitude - longitude) * radians / 2)
        let h = halfPhi * halfPhi + cos(phi1) * cos(phi2) * halfLambda * halfLambda
        return 2 * 6_371_008.8 * asin(min(1, h.squareRoot()))
    }

    /// Even-odd rule on latitude and longitude as plane coordinates; longitudes are taken relative to this point, so a
    /// polygon across the 180th meridian works as long as it is narrower than 180°.
    package func isInside(_ corners: [GeographicPoint]) -> Bool {
        func relative(_ corner: GeographicPoint) -> Double {
            let difference = corner.longitude - longitude
            return difference > 180 ? difference - 360 : difference < -180 ? difference + 360 : difference
        }
        var inside = false
        var previous = corners.count - 1
        for index in corners.indices {
            let (a, b) = (corners[index], corners[previous])
            previous = index
            guard (a.latitude > latitude) != (b.latitude > latitude) else { continue }
            let share = (latitude - a.latitude) / (b.latitude - a.latitude)
            if relative(a) + share * (relative(b) - relative(a)) > 0 { inside.toggle() }
        }
        return inside
    }
}
