// How many connections each address has that have not proven themselves yet: one client alone cannot take all places.
//
// A connection is unproven until a request on it got an answer below 400. So many devices behind one gateway share an
// address without harm, while a client that only opens connections is stopped at the limit. Only addresses with
// unproven connections are in the table, so it is never larger than the number of connections. Guarded by `places`.
#include <stdlib.h>
#include <string.h>

#include "internal.h"

struct chs_address {
    ctls_address_key key;
    unsigned connections;
    chs_address *next;
};

/// False for what is not counted: unknown families, and loopback where it is exempt.
static bool read_key(const chs_server *server, const struct sockaddr *address, ctls_address_key *key) {
    return ctls_read_address(address, key) && !(key->is_loopback && server->limits.exempt_loopback);
}

static chs_address **find(chs_server *server, const ctls_address_key *key) {
    chs_address **place =
        &server->addresses[ctls_hash_address(key, server->address_seed) % CHS_ADDRESS_BUCKETS];
    while (*place != NULL && memcmp((*place)->key.bytes, key->bytes, 8) != 0) place = &(*place)->next;
    return place;
}

bool chs_address_take(chs_server *server, const struct sockaddr *address) {
    ctls_address_key key;
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
    ctls_address_key key;
    if (!read_key(server, address, &key)) return;
    chs_address **place = find(server, &key);
    if (*place == NULL || --(*place)->connections > 0) return;
    chs_address *entry = *place;
    *place = entry->next;
    free(entry);
}

bool chs_address_may_shake_hands(chs_server *server, const struct sockaddr *address) {
    ctls_address_key key;
    if (server->handshakes == NULL || !read_key(server, address, &key)) return true;
    return ctls_rate_take(
        server->handshakes, &key, server->limits.handshakes_per_address_per_s,
        server->limits.handshake_burst_per_address, chs_now_ms());
}

void chs_addresses_free(chs_server *server) {
    for (unsigned bucket = 0; bucket < CHS_ADDRESS_BUCKETS; bucket++) {
        while (server->addresses[bucket] != NULL) {
            chs_address *entry = server->addresses[bucket];
            server->addresses[bucket] = entry->next;
            free(entry);
        }
    }
    ctls_rate_free(server->handshakes);
}
