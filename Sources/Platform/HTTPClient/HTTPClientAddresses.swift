// Which addresses an exchange may connect to, judged after the name was resolved and on the very address that is then
// connected to (F120: a webhook's name that points into the station's own network).
import CHTTPClient

package enum HTTPClientAddresses: Sendable, Equatable {
    case any
    /// Globally reachable ones only: no loopback, private, link-local, unique local, shared or multicast address.
    case publicOnly
    case loopbackOnly

    var native: Int32 {
        switch self {
        case .any: Int32(CHC_ADDRESSES_ANY.rawValue)
        case .publicOnly: Int32(CHC_ADDRESSES_PUBLIC.rawValue)
        case .loopbackOnly: Int32(CHC_ADDRESSES_LOOPBACK.rawValue)
        }
    }
}

package enum AddressKind: Sendable, Equatable {
    case publicAddress, loopback, special

    /// - Parameter bytes: 4 (IPv4) or 16 (IPv6), in network order.
    package init(_ bytes: [UInt8]) {
        switch UInt32(bitPattern: chc_address_kind(bytes, bytes.count)) {
        case CHC_ADDRESS_IS_PUBLIC.rawValue: self = .publicAddress
        case CHC_ADDRESS_IS_LOOPBACK.rawValue: self = .loopback
        default: self = .special
        }
    }
}
