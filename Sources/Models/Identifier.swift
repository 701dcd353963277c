// The names machines go by, and what each may look like. Checked where they enter: they end up in paths, URLs and logs,
// so nothing outside these alphabets is ever let in.

/// A report's identity for ever (contract §1, I5).
package struct ReportIdentity: Hashable, Sendable {
    package var droneID: String
    package var boot: String
    /// 1…2^63−1.
    package var seq: Int64

    package init(droneID: String, boot: String, seq: Int64) {
        self.droneID = droneID
        self.boot = boot
        self.seq = seq
    }
}

package enum Identifier {
    /// `[A-Za-z0-9._-]{1,64}`
    package static func isValidDroneID(_ text: String) -> Bool {
        isPlain(text, maxBytes: ReportLimits.droneIDBytes)
    }

    /// `[A-Za-z0-9._-]{1,32}`: what a drone may call its power-up.
    package static func isValidBoot(_ text: String) -> Bool {
        isPlain(text, maxBytes: ReportLimits.bootBytes)
    }

    /// A boot as the archive holds it: a drone's own, or `relay.<relay_id>.<epoch>`, which a relay gives to reports
    /// without a number and which is longer.
    package static func isValidStoredBoot(_ text: String) -> Bool {
        isPlain(text, maxBytes: ReportLimits.storedBootBytes)
    }

    /// `[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}`: it is a folder's name and part of a path, so it may not start with a point.
    package static func isValidRelayID(_ text: String) -> Bool {
        isPlain(text, maxBytes: ReportLimits.relayIDBytes) && text.utf8.first != 0x2e
    }

    /// 128 bits as 32 lowercase hexadecimal digits.
    package static func isValidEpoch(_ text: String) -> Bool {
        text.utf8.count == 32 && text.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
    }

    /// An alert's: 16 bytes as 32 lowercase hexadecimal digits.
    package static func isValidAlertID(_ text: String) -> Bool { isValidEpoch(text) }

    /// The boot under which a relay numbers the reports of drones that send no `seq`.
    package static func relayBoot(relayID: String, epoch: String) -> String { "relay.\(relayID).\(epoch)" }

    private static func isPlain(_ text: String, maxBytes: Int) -> Bool {
        let bytes = text.utf8
        guard !bytes.isEmpty, bytes.count <= maxBytes else { return false }
        return bytes.allSatisfy { byte in
            switch byte {
            case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, 0x2d, 0x2e, 0x5f: true
            default: false
            }
        }
    }
}
