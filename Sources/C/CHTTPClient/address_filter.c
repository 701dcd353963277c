// Judges addresses by the IANA registries of special-purpose addresses (RFC 6890 and what was added since). Everything
// that is not known to be globally reachable is special: for IPv6 that is all outside 2000::/3.
#include "address_filter.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static bool in_block(const uint8_t *address, const uint8_t *block, int bits) {
    int whole = bits / 8, rest = bits % 8;
    if (memcmp(address, block, (size_t)whole) != 0) return false;
    if (rest == 0) return true;
    uint8_t mask = (uint8_t)(0xFF << (8 - rest));
    return (address[whole] & mask) == (block[whole] & mask);
}

static int kind_of_v4(const uint8_t *address) {
    static const struct {
        uint8_t block[4];
        int bits;
    } special[] = {
        {{0, 0, 0, 0}, 8},        // this network
        {{10, 0, 0, 0}, 8},       // private
        {{100, 64, 0, 0}, 10},    // shared (carriers' NAT)
        {{169, 254, 0, 0}, 16},   // link-local: cloud machines' metadata
        {{172, 16, 0, 0}, 12},    // private
        {{192, 0, 0, 0}, 24},     // protocol assignments
        {{192, 0, 2, 0}, 24},     // documentation
        {{192, 88, 99, 0}, 24},   // 6to4 relays
        {{192, 168, 0, 0}, 16},   // private
        {{198, 18, 0, 0}, 15},    // benchmarks
        {{198, 51, 100, 0}, 24},  // documentation
        {{203, 0, 113, 0}, 24},   // documentation
        {{224, 0, 0, 0}, 4},      // multicast
        {{240, 0, 0, 0}, 4},      // reserved, broadcast
    };
    if (address[0] == 127) return CHC_ADDRESS_IS_LOOPBACK;
    for (size_t index = 0; index < sizeof special / sizeof special[0]; index++) {
        if (in_block(address, special[index].block, special[index].bits)) return CHC_ADDRESS_IS_SPECIAL;
    }
    return CHC_ADDRESS_IS_PUBLIC;
}

static int kind_of_v6(const uint8_t *address) {
    static const uint8_t loopback[16] = {[15] = 1};
    static const uint8_t mapped[16] = {[10] = 0xFF, [11] = 0xFF};
    static const uint8_t nat64[16] = {0, 0x64, 0xFF, 0x9B};
    static const uint8_t six_to_four[16] = {0x20, 0x02};
    static const uint8_t global[16] = {0x20};
    static const uint8_t protocols[16] = {0x20, 0x01};
    static const uint8_t documentation[16] = {0x20, 0x01, 0x0D, 0xB8};
    static const uint8_t documentation2[16] = {0x3F, 0xFF};
    if (memcmp(address, loopback, 16) == 0) return CHC_ADDRESS_IS_LOOPBACK;
    if (in_block(address, mapped, 96)) return kind_of_v4(address + 12);
    if (in_block(address, nat64, 96)) return kind_of_v4(address + 12);
    if (in_block(address, six_to_four, 16)) return kind_of_v4(address + 2);
    if (!in_block(address, global, 3)) return CHC_ADDRESS_IS_SPECIAL;
    // 2001::/23 are protocols' own (Teredo among them), 2001:db8::/32 and 3fff::/20 are for documents.
    if (in_block(address, protocols, 23) || in_block(address, documentation, 32) ||
        in_block(address, documentation2, 20)) {
        return CHC_ADDRESS_IS_SPECIAL;
    }
    return CHC_ADDRESS_IS_PUBLIC;
}

int chc_address_kind(const uint8_t *bytes, size_t length) {
    if (length == 4) return kind_of_v4(bytes);
    if (length == 16) return kind_of_v6(bytes);
    return CHC_ADDRESS_IS_SPECIAL;
}

static int kind_of(const struct sockaddr *address) {
    if (address->sa_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, address, sizeof v4);
        return chc_address_kind((const uint8_t *)&v4.sin_addr, 4);
    }
    if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, address, sizeof v6);
        return chc_address_kind((const uint8_t *)&v6.sin6_addr, 16);
    }
    return CHC_ADDRESS_IS_SPECIAL;
}

static curl_socket_t open_socket(void *context, curlsocktype purpose, struct curl_sockaddr *address) {
    struct address_filter *filter = context;
    int kind = purpose == CURLSOCKTYPE_IPCXN ? kind_of(&address->addr) : CHC_ADDRESS_IS_SPECIAL;
    bool allowed = filter->allowed == CHC_ADDRESSES_PUBLIC ? kind == CHC_ADDRESS_IS_PUBLIC
                                                           : kind == CHC_ADDRESS_IS_LOOPBACK;
    if (!allowed) {
        filter->refused = true;
        return CURL_SOCKET_BAD;
    }
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

void chc_filter_addresses(CURL *easy, struct address_filter *filter) {
    filter->refused = false;
    if (filter->allowed == CHC_ADDRESSES_ANY) return;
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, filter);
}
