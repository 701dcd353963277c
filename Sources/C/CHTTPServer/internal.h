// Shared by the files of CHTTPServer only.
#pragma once
#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>

#include "CHTTPServer.h"
#include "tls.h"

/// What a connection is at; see watch.c.
enum chs_phase { CHS_PHASE_WAITING, CHS_PHASE_BODY, CHS_PHASE_HANDLER, CHS_PHASE_ANSWER, CHS_PHASE_STREAM };
enum chs_cut {
    CHS_CUT_NOT,
    CHS_CUT_SLOW_HEADER,
    CHS_CUT_SLOW_BODY,
    CHS_CUT_SLOW_READER,
    CHS_CUT_IDLE,
    CHS_CUT_ADDRESS,
    CHS_CUT_FOR_ROOM,
    CHS_CUT_REASONS
};

/// One open connection, from libmicrohttpd's STARTED to its CLOSED; its context of the connection.
typedef struct chs_connection {
    chs_peer *peer;  // NULL: plain HTTP
    int fd;
    unsigned slot;  // in server->watched
    // Written by the connection's server thread.
    atomic_uint phase;     // enum chs_phase
    atomic_uint requests;  // answered so far
    atomic_size_t received;  // of the body in hand
    // Guarded by `places`.
    bool is_proven;  // a request was answered below 400: no longer counted for its address
    bool is_cut;
    bool is_known;  // showed a certificate that was let in
    bool is_leaving;  // cut to make room, and not ended yet
    struct chs_connection *older, *younger;  // among those that are not known, while neither known nor cut
    // The watcher's own, as of its last look.
    unsigned seen_phase, seen_requests;
    uint64_t since_ms, header_since_ms, mark;
} chs_connection;

typedef struct chs_address chs_address;
enum { CHS_ADDRESS_BUCKETS = 1024 };

struct chs_server {
    struct MHD_Daemon *daemon;
    chs_configuration configuration;
    int listen_socket;
    uint16_t port;
    pthread_t acceptor;
    atomic_bool closing;
    pthread_mutex_t places;  // guards `connections`
    pthread_cond_t place_free;
    unsigned connections;
    // Also guarded by `places`; see watch.c and addresses.c.
    chs_limits limits;
    chs_connection **watched;
    unsigned watched_count, watched_capacity;
    unsigned crowded_looks;
    unsigned unknown;  // of `connections`
    unsigned leaving;  // of `unknown`: cut to make room
    chs_connection *oldest_unknown, *youngest_unknown;
    ctls_rate *handshakes;  // NULL: plain HTTP
    uint64_t cuts[CHS_CUT_REASONS];
    uint64_t address_seed;
    chs_address *addresses[CHS_ADDRESS_BUCKETS];
    pthread_t watcher;
    pthread_cond_t watch_wake;
    bool is_watched;
    atomic_bool watch_stopped;
    pthread_mutex_t peers_lock;  // guards `tls` and the list
    ctls_credentials *tls;                // NULL: plain HTTP, for good
    chs_peer *peers;             // one for each open TLS connection
    // Requests begun and not completed, and requests given to Swift and not answered: on cache lines of their own,
    // because every thread writes to them.
    _Alignas(64) atomic_int_fast64_t active;
    _Alignas(64) atomic_int_fast64_t unanswered;
    _Alignas(64) atomic_size_t body_bytes;
};

// Who may touch an exchange: RECEIVING its server thread only; PROCESSING and SUSPENDED the handler (any one thread);
// ANSWERED its server thread again.
enum chs_state { CHS_RECEIVING, CHS_PROCESSING, CHS_SUSPENDED, CHS_ANSWERED };

struct chs_exchange {
    chs_server *server;
    struct MHD_Connection *connection;
    chs_connection *watched;  // NULL if it is not watched
    chs_peer *peer;  // NULL: plain HTTP
    const char *method;
    const char *path;
    struct MHD_Response *response;
    unsigned status;
    atomic_int state;
    bool refused;           // `response` is a refusal: the rest of the body is read and dropped
    bool close_connection;  // after the answer
    bool is_stream;         // the answer is sent as it is written
    int64_t content_length;
    size_t limit;
    uint8_t *body;
    size_t length;
    size_t capacity;  // allocated, padding included
    size_t counted;   // of `capacity`, in server->body_bytes
    size_t drained;
    chs_exchange *next_free;
};

// acceptor.c
bool chs_listen(chs_server *server, const char **operation, int *error_number);
bool chs_start_accepting(chs_server *server);
/// libmicrohttpd insists on a listening socket for a pool of threads: this one is never used. -1 with errno.
int chs_open_placeholder_socket(void);
/// Refuses whoever finds the placeholder.
enum MHD_Result chs_accept_policy(void *context, const struct sockaddr *address, socklen_t length);
void chs_connection_changed(
    void *context, struct MHD_Connection *connection, void **socket_context,
    enum MHD_ConnectionNotificationCode change);

// exchange.c
chs_exchange *chs_exchange_begin(
    chs_server *server, struct MHD_Connection *connection, const char *method, const char *path);
void chs_exchange_end(chs_exchange *exchange);
/// As soon as a request is answered or refused: a client that reads its answer slowly holds no room for bodies.
void chs_exchange_drop_large_body(chs_exchange *exchange);
/// Copies body bytes; false if there is no memory for them within the server's limit.
bool chs_exchange_append(chs_exchange *exchange, const void *bytes, size_t length);

// head.c
typedef struct chs_framing {
    int64_t content_length;  // -1: none
    bool has_transfer_encoding;
    bool expects_continue;
} chs_framing;
/// 0, or the status that refuses the request whatever it asks for.
unsigned chs_read_head(
    const chs_configuration *configuration, struct MHD_Connection *connection, const char *path, const char *version,
    chs_framing *framing);

// addresses.c, with `places` locked
/// False when the address has as many unproven connections as it may.
bool chs_address_take(chs_server *server, const struct sockaddr *address);
void chs_address_give_back(chs_server *server, const struct sockaddr *address);
/// Whether its address may begin one more TLS handshake now.
bool chs_address_may_shake_hands(chs_server *server, const struct sockaddr *address);
void chs_addresses_free(chs_server *server);

// known.c, all but the first with `places` locked
/// The client has shown its certificate.
void chs_now_known(chs_server *server, struct MHD_Connection *connection);
void chs_unknown_begin(chs_server *server, chs_connection *watched);
/// NULL: it was never watched, so never known.
void chs_unknown_end(chs_server *server, chs_connection *watched);
/// A new connection came: where those that are not known have more than their share, the oldest of them goes.
void chs_make_room(chs_server *server);
/// It is known, and those that are known have no more than what is reserved for them.
bool chs_is_reserved(const chs_server *server, const chs_connection *watched);

// watch.c
uint64_t chs_now_ms(void);
bool chs_watch_start(chs_server *server);
void chs_watch_stop(chs_server *server);
void chs_watch_free(chs_server *server);
/// NULL when out of memory.
chs_connection *chs_watch_begin(chs_server *server, struct MHD_Connection *connection);
void chs_watch_end(chs_server *server, struct MHD_Connection *connection, chs_connection *watched);
/// NULL if it is not watched.
chs_connection *chs_watched(struct MHD_Connection *connection);
/// The answer is sent, or given up.
void chs_watch_answered(chs_exchange *exchange, bool is_complete);

static inline void chs_watch_phase(chs_exchange *exchange, enum chs_phase phase) {
    if (exchange->watched == NULL) return;
    atomic_store_explicit(&exchange->watched->phase, phase, memory_order_relaxed);
}

static inline void chs_watch_received(chs_exchange *exchange, size_t length) {
    chs_connection *watched = exchange->watched;
    if (watched == NULL) return;
    size_t before = length == 0 ? 0 : atomic_load_explicit(&watched->received, memory_order_relaxed);
    atomic_store_explicit(&watched->received, before + length, memory_order_relaxed);
}
