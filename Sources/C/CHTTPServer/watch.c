// Looks after open connections, on a thread of its own: cuts the slow ones, and idle ones when places get scarce.
//
// libmicrohttpd only knows a timeout since the last byte, so a client that sends one byte a second holds its place for
// ever. Here a connection's *progress* is looked at once per interval:
//
//   WAITING   for a request: bytes came and no complete header within header_ms → cut. (No byte: libmicrohttpd's own
//             idle timeout, or earlier when the server is crowded.)
//   BODY      fewer than min_body_bytes_per_s after body_grace_ms, or more than body_ms per CHS_BODY_STEP → cut.
//   HANDLER   the handler is at work: never cut.
//   ANSWER    the peer took fewer than min_answer_bytes_per_s over answer_window_ms → cut.
//   STREAM    bounded by its pending bytes and the idle timeout: never cut.
//
// A request costs a few relaxed stores for this and no system call: times are those of the watcher's own looks, and the
// kernel (TCP_INFO) says how many bytes came and were taken. To cut is to shut the socket down; libmicrohttpd then sees
// its end and closes it. The descriptor is valid meanwhile: CLOSED is reported, under `places`, before it is closed.
#define _GNU_SOURCE  // pthread_setname_np
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#include "internal.h"

enum {
    /// Connections looked at without letting go of `places`, which accepting and closing need too.
    CHS_WATCH_STEP = 64,
    /// A body gets body_ms for each of these: a whole report, or a part of a large upload.
    CHS_BODY_STEP = 256 * 1024,
    /// When crowded, a connection that never had an answer goes after this, any other one later.
    CHS_CROWDED_UNPROVEN_MS = 2000,
    CHS_CROWDED_IDLE_MS = 10000,
};

uint64_t chs_now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static struct tcp_info tcp_information(int fd) {
    struct tcp_info information = {0};
    socklen_t length = sizeof information;
    getsockopt(fd, IPPROTO_TCP, TCP_INFO, &information, &length);
    return information;
}

static const struct sockaddr *client_address(struct MHD_Connection *connection) {
    const union MHD_ConnectionInfo *information =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    return information != NULL ? information->client_addr : NULL;
}

chs_connection *chs_watched(struct MHD_Connection *connection) {
    const union MHD_ConnectionInfo *information =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return information != NULL ? information->socket_context : NULL;
}

static bool make_slot(chs_server *server) {
    if (server->watched_count < server->watched_capacity) return true;
    unsigned capacity = server->watched_capacity == 0 ? 256 : server->watched_capacity * 2;
    chs_connection **watched = realloc(server->watched, capacity * sizeof *watched);
    if (watched == NULL) return false;
    server->watched = watched;
    server->watched_capacity = capacity;
    return true;
}

chs_connection *chs_watch_begin(chs_server *server, struct MHD_Connection *connection) {
    const union MHD_ConnectionInfo *information =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    chs_connection *watched = information != NULL ? calloc(1, sizeof *watched) : NULL;
    if (watched == NULL) return NULL;  // Then only libmicrohttpd's idle timeout looks after it.
    watched->fd = information->connect_fd;
    watched->since_ms = chs_now_ms();
    pthread_mutex_lock(&server->places);
    bool has_slot = make_slot(server);
    if (has_slot) {
        watched->slot = server->watched_count;
        server->watched[server->watched_count++] = watched;
        chs_unknown_begin(server, watched);
        chs_make_room(server);
    }
    pthread_mutex_unlock(&server->places);
    if (has_slot) return watched;
    free(watched);
    return NULL;
}

/// With `places` locked.
void chs_watch_end(chs_server *server, struct MHD_Connection *connection, chs_connection *watched) {
    const struct sockaddr *address = client_address(connection);
    bool is_proven = watched != NULL && watched->is_proven;
    if (address != NULL && !is_proven) chs_address_give_back(server, address);
    chs_unknown_end(server, watched);
    if (watched == NULL) return;
    chs_connection *last = server->watched[--server->watched_count];
    server->watched[watched->slot] = last;
    last->slot = watched->slot;
    free(watched);
}

void chs_watch_answered(chs_exchange *exchange, bool is_complete) {
    chs_connection *watched = exchange->watched;
    if (watched == NULL) return;
    chs_server *server = exchange->server;
    if (is_complete && !watched->is_proven && exchange->status < 400) {
        const struct sockaddr *address = client_address(exchange->connection);
        pthread_mutex_lock(&server->places);
        watched->is_proven = true;
        if (address != NULL) chs_address_give_back(server, address);
        pthread_mutex_unlock(&server->places);
    }
    // Only this thread writes them.
    unsigned requests = atomic_load_explicit(&watched->requests, memory_order_relaxed);
    atomic_store_explicit(&watched->requests, requests + 1, memory_order_relaxed);
    atomic_store_explicit(&watched->phase, CHS_PHASE_WAITING, memory_order_relaxed);
}

static enum chs_cut judge_body(const chs_limits *limits, uint64_t elapsed_ms, size_t received) {
    uint64_t steps = received / CHS_BODY_STEP + 1;
    if (elapsed_ms > limits->body_ms * steps) return CHS_CUT_SLOW_BODY;
    if (elapsed_ms <= limits->body_grace_ms) return CHS_CUT_NOT;
    uint64_t wanted = (elapsed_ms - limits->body_grace_ms) * limits->min_body_bytes_per_s / 1000;
    return received < wanted ? CHS_CUT_SLOW_BODY : CHS_CUT_NOT;
}

static enum chs_cut judge_answer(const chs_limits *limits, chs_connection *watched, uint64_t now) {
    uint64_t elapsed_ms = now - watched->since_ms;
    if (elapsed_ms < limits->answer_window_ms) return CHS_CUT_NOT;
    uint64_t taken = tcp_information(watched->fd).tcpi_bytes_acked;
    if (taken - watched->mark < elapsed_ms * limits->min_answer_bytes_per_s / 1000) return CHS_CUT_SLOW_READER;
    watched->since_ms = now;
    watched->mark = taken;
    return CHS_CUT_NOT;
}

static enum chs_cut judge_waiting(const chs_server *server, chs_connection *watched, uint64_t now) {
    uint64_t came = tcp_information(watched->fd).tcpi_bytes_received;
    if (came != watched->mark) {
        if (watched->header_since_ms == 0) watched->header_since_ms = now;
        return now - watched->header_since_ms >= server->limits.header_ms ? CHS_CUT_SLOW_HEADER : CHS_CUT_NOT;
    }
    uint64_t idle_ms = now - watched->since_ms;
    if (server->crowded_looks >= 1 && !watched->is_proven && idle_ms >= CHS_CROWDED_UNPROVEN_MS) return CHS_CUT_IDLE;
    if (chs_is_reserved(server, watched)) return CHS_CUT_NOT;
    return server->crowded_looks >= 2 && idle_ms >= CHS_CROWDED_IDLE_MS ? CHS_CUT_IDLE : CHS_CUT_NOT;
}

static enum chs_cut judge(const chs_server *server, chs_connection *watched, uint64_t now) {
    unsigned phase = atomic_load_explicit(&watched->phase, memory_order_relaxed);
    unsigned requests = atomic_load_explicit(&watched->requests, memory_order_relaxed);
    if (phase != watched->seen_phase || requests != watched->seen_requests) {
        watched->seen_phase = phase;
        watched->seen_requests = requests;
        watched->since_ms = now;
        watched->header_since_ms = 0;
        if (phase == CHS_PHASE_WAITING) watched->mark = tcp_information(watched->fd).tcpi_bytes_received;
        if (phase == CHS_PHASE_ANSWER) watched->mark = tcp_information(watched->fd).tcpi_bytes_acked;
        return CHS_CUT_NOT;
    }
    switch (phase) {
        case CHS_PHASE_WAITING: return judge_waiting(server, watched, now);
        case CHS_PHASE_BODY:
            return judge_body(
                &server->limits, now - watched->since_ms,
                atomic_load_explicit(&watched->received, memory_order_relaxed));
        case CHS_PHASE_ANSWER: return judge_answer(&server->limits, watched, now);
        default: return CHS_CUT_NOT;
    }
}

/// With `places` locked: more than nine tenths of the places are taken; until a quarter is free again.
static bool is_crowded(const chs_server *server) {
    unsigned places = server->limits.max_connections;
    unsigned limit = server->crowded_looks > 0 ? places - places / 4 : places - places / 10;
    return server->connections > limit;
}

static void look_at_all(chs_server *server) {
    uint64_t now = chs_now_ms();
    pthread_mutex_lock(&server->places);
    server->crowded_looks = is_crowded(server) ? server->crowded_looks + 1 : 0;
    for (unsigned slot = 0; slot < server->watched_count; slot++) {
        if (slot % CHS_WATCH_STEP == CHS_WATCH_STEP - 1) {
            // A connection that moves to another slot meanwhile is looked at once more or once less.
            pthread_mutex_unlock(&server->places);
            pthread_mutex_lock(&server->places);
            if (slot >= server->watched_count) break;
        }
        chs_connection *watched = server->watched[slot];
        if (watched->is_cut) continue;
        enum chs_cut reason = judge(server, watched, now);
        if (reason == CHS_CUT_NOT) continue;
        watched->is_cut = true;
        server->cuts[reason] += 1;
        shutdown(watched->fd, SHUT_RDWR);
    }
    pthread_mutex_unlock(&server->places);
}

static void *watch_connections(void *context) {
    chs_server *server = context;
    while (!atomic_load(&server->watch_stopped)) {
        look_at_all(server);
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        uint64_t nanoseconds = (uint64_t)until.tv_nsec + (uint64_t)server->configuration.watch_interval_ms * 1000000;
        until.tv_sec += (time_t)(nanoseconds / 1000000000);
        until.tv_nsec = (long)(nanoseconds % 1000000000);
        pthread_mutex_lock(&server->places);
        if (!atomic_load(&server->watch_stopped)) {
            pthread_cond_timedwait(&server->watch_wake, &server->places, &until);
        }
        pthread_mutex_unlock(&server->places);
    }
    return NULL;
}

bool chs_watch_start(chs_server *server) {
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&server->watch_wake, &attributes);
    pthread_condattr_destroy(&attributes);
    server->address_seed = chs_now_ms() * 0x9e3779b97f4a7c15u ^ (uintptr_t)server;
    if (pthread_create(&server->watcher, NULL, watch_connections, server) != 0) return false;
    server->is_watched = true;
    pthread_setname_np(server->watcher, "http-watch");
    return true;
}

/// Before libmicrohttpd closes the last connections: afterwards nobody looks at them any more.
void chs_watch_stop(chs_server *server) {
    if (!server->is_watched) return;
    server->is_watched = false;
    pthread_mutex_lock(&server->places);
    atomic_store(&server->watch_stopped, true);
    pthread_cond_signal(&server->watch_wake);
    pthread_mutex_unlock(&server->places);
    pthread_join(server->watcher, NULL);
}

void chs_watch_free(chs_server *server) {
    pthread_cond_destroy(&server->watch_wake);
    chs_addresses_free(server);
    free(server->watched);
}

void chs_server_set_limits(chs_server *server, const chs_limits *limits) {
    pthread_mutex_lock(&server->places);
    server->limits = *limits;
    pthread_cond_signal(&server->place_free);
    pthread_mutex_unlock(&server->places);
}

chs_counts chs_server_counts(chs_server *server) {
    pthread_mutex_lock(&server->places);
    chs_counts counts = {
        .open = server->connections,
        .slow_header = server->cuts[CHS_CUT_SLOW_HEADER],
        .slow_body = server->cuts[CHS_CUT_SLOW_BODY],
        .slow_reader = server->cuts[CHS_CUT_SLOW_READER],
        .idle = server->cuts[CHS_CUT_IDLE],
        .too_many_of_address = server->cuts[CHS_CUT_ADDRESS],
        .made_room = server->cuts[CHS_CUT_FOR_ROOM],
    };
    pthread_mutex_unlock(&server->places);
    return counts;
}
