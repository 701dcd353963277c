// How an alert leaves the relay: one implementation per kind of target. Used by the target's own thread only, which may
// wait: for the network, up to a stated deadline.

package import Models

/// Why a try failed: short constant words, never an address, a secret or anything of a report (I9).
package struct DeliveryFailure: Error, Sendable, Equatable {
    package let reason: String
    package let scope: DeliveryQueue.Scope
    package let retryAfterSeconds: Double?

    package init(_ reason: String, scope: DeliveryQueue.Scope = .target, retryAfterSeconds: Double? = nil) {
        self.reason = reason
        self.scope = scope
        self.retryAfterSeconds = retryAfterSeconds
    }
}

package enum ChannelKind: String, CaseIterable, Sendable {
    case webhook, mqtt, cot
}

package protocol AlertChannel {
    /// Returns when the target has taken the alert; at most `deadlineSeconds` later.
    /// - Parameter tries: 1 for the first.
    mutating func send(_ alert: Alert, tries: Int, isCancelled: @escaping () -> Bool) throws(DeliveryFailure)
    /// Called every few seconds while there is nothing to send: keeps a connection alive.
    mutating func idle()
    mutating func close()
}

extension AlertChannel {
    package static var deadlineSeconds: Double { 5 }
    package mutating func idle() {}
    package mutating func close() {}
}

extension Alert {
    /// The alert as a target gets it.
    func disclosed(includingNames: Bool) -> Alert {
        guard !includingNames else { return self }
        var alert = self
        alert.citizen = nil
        return alert
    }
}
