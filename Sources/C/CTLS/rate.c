// How many handshakes each address may begin (F99): a handshake costs the server a signature, so one client alone must
// not be able to keep it busy. A token bucket an address; only addresses with a bucket that is not full are remembered,
// at most CTLS_MAX_ADDRESSES; beyond that the rest share one bucket.
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "CTLS.h"

enum { CTLS_BUCKETS = 4096, CTLS_MAX_ADDRESSES = 65536 };

typedef struct entry entry;
struct entry {
    ctls_address_key key;
    double tokens;
    uint64_t at_ms;
    entry *next;
};

struct ctls_rate {
    pthread_mutex_t lock;
    uint64_t seed;
    unsigned count;
    entry rest;
    entry *entries[CTLS_BUCKETS];
};

bool ctls_read_address(const struct sockaddr *address, ctls_address_key *key) {
    memset(key, 0, sizeof *key);
    if (address->sa_family == AF_INET) {
        memcpy(key->bytes, &((const struct sockaddr_in *)address)->sin_addr, 4);
    } else if (address->sa_family == AF_INET6) {
        const struct in6_addr *v6 = &((const struct sockaddr_in6 *)address)->sin6_addr;
        if (IN6_IS_ADDR_V4MAPPED(v6)) {
            memcpy(key->bytes, v6->s6_addr + 12, 4);
        } else {
            key->is_v6 = true;
            key->is_loopback = IN6_IS_ADDR_LOOPBACK(v6);
            memcpy(key->bytes, v6->s6_addr, 8);
        }
    } else {
        return false;
    }
    if (!key->is_v6) key->is_loopback = key->bytes[0] == 127;
    return true;
}

uint64_t ctls_hash_address(const ctls_address_key *key, uint64_t seed) {
    uint64_t hash = seed;
    for (int index = 0; index < 8; index++) hash = (hash ^ key->bytes[index]) * 0x100000001b3u;
    return hash ^ hash >> 32;
}

ctls_rate *ctls_rate_create(uint64_t seed) {
    ctls_rate *rate = calloc(1, sizeof *rate);
    if (rate == NULL) return NULL;
    pthread_mutex_init(&rate->lock, NULL);
    rate->seed = seed;
    return rate;
}

void ctls_rate_free(ctls_rate *rate) {
    if (rate == NULL) return;
    for (unsigned bucket = 0; bucket < CTLS_BUCKETS; bucket++) {
        while (rate->entries[bucket] != NULL) {
            entry *gone = rate->entries[bucket];
            rate->entries[bucket] = gone->next;
            free(gone);
        }
    }
    pthread_mutex_destroy(&rate->lock);
    free(rate);
}

static double refilled(const entry *entry, double per_second, uint64_t now_ms) {
    return entry->tokens + (double)(now_ms - entry->at_ms) * per_second / 1000;
}

/// The address's entry; drops those of its chain that are full again.
static entry *find(ctls_rate *rate, const ctls_address_key *key, double per_second, double burst, uint64_t now_ms) {
    entry **place = &rate->entries[ctls_hash_address(key, rate->seed) % CTLS_BUCKETS];
    entry *found = NULL;
    while (*place != NULL) {
        entry *here = *place;
        bool is_it = here->key.is_v6 == key->is_v6 && memcmp(here->key.bytes, key->bytes, sizeof key->bytes) == 0;
        if (is_it) {
            found = here;
        } else if (refilled(here, per_second, now_ms) >= burst) {
            *place = here->next;
            free(here);
            rate->count -= 1;
            continue;
        }
        place = &here->next;
    }
    if (found != NULL) return found;
    entry *new = rate->count < CTLS_MAX_ADDRESSES ? calloc(1, sizeof *new) : NULL;
    if (new == NULL) return &rate->rest;
    *new = (entry){.key = *key, .tokens = burst, .at_ms = now_ms};
    *place = new;
    rate->count += 1;
    return new;
}

bool ctls_rate_take(
    ctls_rate *rate, const ctls_address_key *key, double per_second, double burst, uint64_t now_ms) {
    if (per_second <= 0) return true;
    pthread_mutex_lock(&rate->lock);
    entry *entry = find(rate, key, per_second, burst, now_ms);
    double tokens = refilled(entry, per_second, now_ms);
    if (tokens > burst) tokens = burst;
    bool is_taken = tokens >= 1;
    entry->tokens = is_taken ? tokens - 1 : tokens;
    entry->at_ms = now_ms;
    pthread_mutex_unlock(&rate->lock);
    return is_taken;
}

bool ctls_rate_take_socket(
    ctls_rate *rate, int socket, bool exempt_loopback, double per_second, double burst, uint64_t now_ms) {
    struct sockaddr_storage address;
    socklen_t length = sizeof address;
    ctls_address_key key;
    if (getpeername(socket, (struct sockaddr *)&address, &length) != 0) return true;
    if (!ctls_read_address((struct sockaddr *)&address, &key)) return true;
    if (key.is_loopback && exempt_loopback) return true;
    return ctls_rate_take(rate, &key, per_second, burst, now_ms);
}
