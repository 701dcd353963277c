// A report as its parser sees it: numbers by value, text as slices of the input. Nothing is copied until it is asked
// for.
//
// Valid until its parser's next `parse`, and as long as the parser and the input bytes live: use it and let it go.

import CJSON
package import Models

package struct ParsedReport {
    private let report: UnsafePointer<columba_json_report>
    /// The JSON text without white space around it: what is hashed, stored and forwarded, byte for byte.
    package let body: UnsafeRawBufferPointer
    package let observedAt: Timestamp?

    init(report: UnsafePointer<columba_json_report>, body: UnsafeRawBufferPointer, observedAt: Timestamp?) {
        self.report = report
        self.body = body
        self.observedAt = observedAt
    }

    package static let defaultBoot = "0"

    package var droneIDBytes: UnsafeBufferPointer<UInt8> { buffer(report.pointee.drone_id) }
    package var droneID: String { String(decoding: droneIDBytes, as: UTF8.self) }

    /// `"0"` where the drone sent none.
    package var boot: String {
        hasBoot ? String(decoding: buffer(report.pointee.boot), as: UTF8.self) : Self.defaultBoot
    }
    package var hasBoot: Bool { report.pointee.boot.bytes != nil }

    /// Nil from older drones: the relay then numbers the report.
    package var seq: Int64? { report.pointee.has_seq ? report.pointee.seq : nil }

    /// The drone's own; nil without `seq`.
    package var identity: ReportIdentity? { seq.map { ReportIdentity(droneID: droneID, boot: boot, seq: $0) } }

    package var latitude: Double { report.pointee.latitude }
    package var longitude: Double { report.pointee.longitude }
    /// Metres.
    package var altitude: Double? { report.pointee.has_altitude ? report.pointee.altitude : nil }

    /// The numbers as the drone wrote them; `altitudeText` is empty without one.
    package var latitudeText: UnsafeRawBufferPointer { slice(report.pointee.latitude_text) }
    package var longitudeText: UnsafeRawBufferPointer { slice(report.pointee.longitude_text) }
    package var altitudeText: UnsafeRawBufferPointer { slice(report.pointee.altitude_text) }

    // MARK: Lists

    package var citizenCount: Int { Int(report.pointee.citizen_count) }

    package func citizen(at index: Int) -> ParsedCitizen {
        precondition(index >= 0 && index < citizenCount, "there is no such citizen in the report")
        let item = report.pointee.citizens[index]
        return ParsedCitizen(
            name: token(item.name), peacescore: item.peacescore,
            confidence: item.has_confidence ? item.confidence : nil, peacescoreText: slice(item.peacescore_text),
            confidenceText: slice(item.confidence_text))
    }

    /// The smallest peacescore; nil without citizens.
    package var lowestPeacescore: Double? { citizenCount == 0 ? nil : report.pointee.lowest_peacescore }

    package var wordCount: Int { Int(report.pointee.word_count) }

    package func word(at index: Int) -> JSONStringToken {
        precondition(index >= 0 && index < wordCount, "there is no such word in the report")
        return token(report.pointee.words[index])
    }

    package var readingCount: Int { Int(report.pointee.reading_count) }

    package func reading(at index: Int) -> (name: JSONStringToken, value: Double) {
        precondition(index >= 0 && index < readingCount, "there is no such reading in the report")
        let item = report.pointee.readings[index]
        return (token(item.key), item.value)
    }

    /// The reading's value as the drone wrote it.
    package func readingText(at index: Int) -> UnsafeRawBufferPointer {
        precondition(index >= 0 && index < readingCount, "there is no such reading in the report")
        return slice(report.pointee.readings[index].text)
    }

    package func reading(named name: String) -> Double? {
        var name = name
        return name.withUTF8 { wanted in
            let wanted = UnsafeRawBufferPointer(wanted)
            for index in 0..<readingCount {
                let reading = reading(at: index)
                if reading.name.equals(wanted) { return reading.value }
            }
            return nil
        }
    }

    package var mediaCount: Int { Int(report.pointee.media_count) }

    package func medium(at index: Int) -> ParsedMedium {
        precondition(index >= 0 && index < mediaCount, "there is no such medium in the report")
        let item = report.pointee.media[index]
        return ParsedMedium(
            object: slice(item.object.offset, item.object.length), uri: token(item.uri),
            sha256: item.sha256.length == 0 ? nil : token(item.sha256),
            bytes: item.has_bytes ? item.bytes : nil, type: item.type.length == 0 ? nil : token(item.type))
    }

    // MARK: Unknown members

    package var extraCount: Int { Int(report.pointee.extra_count) }

    /// Appends the members the contract does not know, as they came, as one JSON object: those of the report under
    /// their own names, others under `location.heading`, `citizens[0].age`, `media[1].width`. `{}` where there are
    /// none.
    package func appendExtraJSON(to output: inout [UInt8]) {
        output.append(0x7b)
        for index in 0..<extraCount {
            let item = report.pointee.extras[index]
            if index > 0 { output.append(0x2c) }
            output.append(0x22)
            appendScope(item, to: &output)
            output.append(contentsOf: slice(item.key.offset + 1, item.key.length - 1))
            output.append(0x3a)
            output.append(contentsOf: slice(item.value.offset, item.value.length))
        }
        output.append(0x7d)
    }

    private func appendScope(_ item: columba_json_extra, to output: inout [UInt8]) {
        switch item.scope {
        case COLUMBA_SCOPE_LOCATION: output.append(contentsOf: "location.".utf8)
        case COLUMBA_SCOPE_CITIZEN: output.append(contentsOf: "citizens[\(item.index)].".utf8)
        case COLUMBA_SCOPE_MEDIA: output.append(contentsOf: "media[\(item.index)].".utf8)
        default: break
        }
    }

    private func buffer(_ text: columba_json_text) -> UnsafeBufferPointer<UInt8> {
        UnsafeBufferPointer(start: text.bytes, count: Int(text.length))
    }

    private func slice(_ slice: columba_json_slice) -> UnsafeRawBufferPointer {
        self.slice(slice.offset, slice.length)
    }

    private func slice(_ offset: UInt32, _ length: UInt32) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: body[Int(offset)..<Int(offset) + Int(length)])
    }

    private func token(_ string: columba_json_string) -> JSONStringToken {
        JSONStringToken(raw: slice(string.offset, string.length), isEscaped: string.escaped)
    }
}

package struct ParsedCitizen {
    package let name: JSONStringToken
    /// Low is bad.
    package let peacescore: Double
    /// 0…1
    package let confidence: Double?
    /// The numbers as the drone wrote them; `confidenceText` is empty without one.
    package let peacescoreText: UnsafeRawBufferPointer
    package let confidenceText: UnsafeRawBufferPointer
}

package struct ParsedMedium {
    /// The whole object as it came.
    package let object: UnsafeRawBufferPointer
    package let uri: JSONStringToken
    package let sha256: JSONStringToken?
    package let bytes: Int64?
    package let type: JSONStringToken?
}
