// Which addresses an exchange may connect to. The address that was resolved is looked at where the socket for it is
// made, so the connection goes to exactly the address that was judged: a name that resolves to something else a moment
// later (DNS rebinding) gains nothing.
#pragma once
#include <stddef.h>
#include <stdint.h>

enum chc_addresses {
    CHC_ADDRESSES_ANY,
    /// Globally reachable ones: no loopback, private, link-local, unique local, shared, documentation or multicast.
    CHC_ADDRESSES_PUBLIC,
    CHC_ADDRESSES_LOOPBACK,
};

enum chc_address_kind { CHC_ADDRESS_IS_PUBLIC, CHC_ADDRESS_IS_LOOPBACK, CHC_ADDRESS_IS_SPECIAL };

/// What an address is: 4 bytes (IPv4) or 16 (IPv6), in network order. An IPv6 address that only wraps an IPv4 one is
/// what that one is.
int chc_address_kind(const uint8_t *bytes, size_t length);
