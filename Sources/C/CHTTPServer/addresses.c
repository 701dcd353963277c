// How many connections each address has that have not proven themselves yet: one client alone cannot take all places.
//
// A connection is unproven until a request on it got an answer below 400. So many devices behind one gateway share an
// address without harm, while a client that only opens connections is stopped at the limit. Only addresses with
// unproven connections are in the table, so it is never larger than the number of connections. Guarded by `places`.
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

/// An IPv4 address counts by itself, an IPv6 address by its /64: one customer has at least that many.
struct address_key {
    uint8_t bytes[8];
    bool is_v6;
};

struct chs_address {
    struct address_key key;
    unsigned connections;
    chs_address *next;
};

/// False for what is not counted: unknown families, and loopback where it is exempt.
static bool read_key(const chs_server *server, const struct sockaddr *address, struct address_key *key) {
    memset(key, 0, sizeof *key);
    const uint8_t *v4 = NULL;
    if (address->sa_family == AF_INET) {
        v4 = (const uint8_t *)&((const struct sockaddr_in *)address)->sin_addr;
    } else if (address->sa_family == AF_INET6) {
        const struct in6_addr *v6 = &((const struct sockaddr_in6 *)address)->sin6_addr;
        if (IN6_IS_ADDR_V4MAPPED(v6)) {
            v4 = v6->s6_addr + 12;
        } else {
            if (IN6_IS_ADDR_LOOPBACK(v6) && server->limits.exempt_loopback) return false;
            key->is_v6 = true;
            memcpy(key->bytes, v6->s6_addr, 8);
        }
    } else {
        return false;
    }
    if (v4 != NULL) {
        if (v4[0] == 127 && server->limits.exempt_loopback) return false;
        memcpy(key->bytes, v4, 4);
    }
    return true;
}

static chs_address **find(chs_server *server, const struct address_key *key) {
    uint64_t hash = server->address_seed;
    for (int index = 0; index < 8; index++) hash = (hash ^ key->bytes[index]) * 0x100000001b3u;
    chs_address **place = &server->addresses[(hash ^ hash >> 32) % CHS_ADDRESS_BUCKETS];
    while (*place != NULL && memcmp((*place)->key.bytes, key->bytes, 8) != 0) place = &(*place)->next;
    return place;
}

bool chs_address_take(chs_server *server, const struct sockaddr *address) {
    struct address_key key;
    if (!read_key(server, address, &key)) return true;
    chs_address **place = find(server, &key);
    if (*place == NULL) {
        chs_address *entry = calloc(1, sizeof *entry);
        if (entry == NULL) return false;
        entry->key = key;
        *place = entry;
    }
    unsigned limit = server->limits.max_unproven_per_address;
    if (limit != 0 && (*place)->connections >= limit) return false;
    (*place)->connections += 1;
    return true;
}

void chs_address_give_back(chs_server *server, const struct sockaddr *address) {
    struct address_key key;
    if (!read_key(server, address, &key)) return;
    chs_address **place = find(server, &key);
    if (*place == NULL || --(*place)->connections > 0) return;
    chs_address *entry = *place;
    *place = entry->next;
    free(entry);
}

void chs_addresses_free(chs_server *server) {
    for (unsigned bucket = 0; bucket < CHS_ADDRESS_BUCKETS; bucket++) {
        while (server->addresses[bucket] != NULL) {
            chs_address *entry = server->addresses[bucket];
            server->addresses[bucket] = entry->next;
            free(entry);
        }
    }
}
