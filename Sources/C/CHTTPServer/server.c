// One libmicrohttpd daemon and the life of a request in it.
//
// A request's state is one atomic, because its handler may answer on any thread while the server thread is still
// inside the handler's call:
//
//   RECEIVING ──body complete──▶ PROCESSING ──handler returned, not answered──▶ SUSPENDED
//                                    │                                              │
//                                    └────────────── answered ──────────────────────┴──▶ ANSWERED
//
// The server thread suspends the connection *before* it moves PROCESSING → SUSPENDED, so whoever finds SUSPENDED may
// resume; if the answer came first the compare-and-swap fails and the server thread resumes its own suspension.
// A connection that is not suspended is never resumed. While it is suspended libmicrohttpd does not look at its
// socket, so its memory (header, path, body) stays valid even if the client goes away.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "internal.h"

/// More connections than any machine has descriptors for: libmicrohttpd itself is not to refuse any.
enum { CHS_CONNECTION_CEILING = 1 << 20 };

static enum MHD_Result queue_answer(chs_exchange *exchange) {
    struct MHD_Response *response = exchange->response;
    exchange->response = NULL;
    if (response == NULL) return MHD_NO;
    chs_exchange_drop_large_body(exchange);
    chs_watch_phase(exchange, exchange->is_stream ? CHS_PHASE_STREAM : CHS_PHASE_ANSWER);
    if (exchange->close_connection || atomic_load_explicit(&exchange->server->closing, memory_order_relaxed)) {
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
    }
    enum MHD_Result result = MHD_queue_response(exchange->connection, exchange->status, response);
    MHD_destroy_response(response);
    return result;
}

static void refuse(chs_exchange *exchange, unsigned status) {
    exchange->server->configuration.refuse_body(exchange->server->configuration.context, exchange, status);
    exchange->refused = true;
    exchange->close_connection = true;
    chs_exchange_drop_large_body(exchange);
}

/// The header is complete: asks the handler whether it wants the body.
static enum MHD_Result begin_request(
    chs_server *server, struct MHD_Connection *connection, const char *method, const char *path, const char *version,
    void **request_context) {
    chs_exchange *exchange = chs_exchange_begin(server, connection, method, path);
    if (exchange == NULL) return MHD_NO;
    *request_context = exchange;
    chs_watch_received(exchange, 0);
    chs_watch_phase(exchange, CHS_PHASE_BODY);
    chs_framing framing;
    unsigned refusal = chs_read_head(&server->configuration, connection, path, version, &framing);
    exchange->content_length = framing.content_length;
    if (refusal != 0) {
        refuse(exchange, refusal);
        return queue_answer(exchange);
    }
    if (exchange->peer != NULL && chs_peer_is_refused(exchange->peer)) {
        refuse(exchange, 403);
        return queue_answer(exchange);
    }
    int64_t limit = server->configuration.admit(server->configuration.context, exchange);
    bool has_body = exchange->content_length > 0 || framing.has_transfer_encoding;
    if (limit >= 0) {
        exchange->limit = (size_t)limit;
        if (exchange->content_length > limit) refuse(exchange, 413);
    } else {
        exchange->refused = true;
        exchange->close_connection = has_body;
    }
    // A client that waits for "100 Continue", or would send more than is worth reading, is told at once. Any other
    // body is read and dropped first: closing with unread bytes resets the connection and can lose the answer.
    bool too_much = exchange->content_length > (int64_t)server->configuration.max_drained_bytes;
    if (exchange->refused && has_body && (framing.expects_continue || too_much)) return queue_answer(exchange);
    return MHD_YES;
}

static enum MHD_Result receive_body(chs_exchange *exchange, const char *bytes, size_t length) {
    chs_watch_received(exchange, length);
    if (!exchange->refused) {
        if (length <= exchange->limit - exchange->length) {
            if (chs_exchange_append(exchange, bytes, length)) return MHD_YES;
            refuse(exchange, 503);
        } else {
            refuse(exchange, 413);
        }
    }
    exchange->drained += length;
    return exchange->drained <= exchange->server->configuration.max_drained_bytes ? MHD_YES : MHD_NO;
}

static enum MHD_Result finish_request(chs_exchange *exchange) {
    if (exchange->refused) return queue_answer(exchange);
    if (!chs_exchange_append(exchange, NULL, 0)) return MHD_NO;
    chs_server *server = exchange->server;
    struct MHD_Connection *connection = exchange->connection;
    atomic_fetch_add_explicit(&server->unanswered, 1, memory_order_relaxed);
    chs_watch_phase(exchange, CHS_PHASE_HANDLER);
    atomic_store_explicit(&exchange->state, CHS_PROCESSING, memory_order_release);
    server->configuration.handle(server->configuration.context, exchange);
    // Whatever other threads do, the exchange cannot end before this thread returns to libmicrohttpd.
    if (atomic_load_explicit(&exchange->state, memory_order_acquire) == CHS_ANSWERED) return queue_answer(exchange);
    MHD_suspend_connection(connection);
    int expected = CHS_PROCESSING;
    if (!atomic_compare_exchange_strong(&exchange->state, &expected, CHS_SUSPENDED)) {
        MHD_resume_connection(connection);
    }
    return MHD_YES;
}

static enum MHD_Result on_request(
    void *context, struct MHD_Connection *connection, const char *path, const char *method, const char *version,
    const char *upload_data, size_t *upload_data_size, void **request_context) {
    chs_exchange *exchange = *request_context;
    if (exchange == NULL) return begin_request(context, connection, method, path, version, request_context);
    if (*upload_data_size != 0) {
        size_t length = *upload_data_size;
        *upload_data_size = 0;
        return receive_body(exchange, upload_data, length);
    }
    switch (atomic_load_explicit(&exchange->state, memory_order_acquire)) {
        case CHS_RECEIVING: return finish_request(exchange);
        case CHS_ANSWERED: return queue_answer(exchange);
        default: return MHD_NO;
    }
}

static void on_completed(
    void *context, struct MHD_Connection *connection, void **request_context,
    enum MHD_RequestTerminationCode termination) {
    (void)context, (void)connection;
    chs_exchange *exchange = *request_context;
    if (exchange == NULL) return;
    *request_context = NULL;
    chs_watch_answered(exchange, termination == MHD_REQUEST_TERMINATED_COMPLETED_OK);
    chs_exchange_end(exchange);
}

void chs_exchange_refuse(chs_exchange *exchange, unsigned status, chs_response *response) {
    exchange->status = status;
    exchange->response = (struct MHD_Response *)response;
    exchange->refused = true;
}

void chs_exchange_answer(chs_exchange *exchange, unsigned status, chs_response *response) {
    chs_server *server = exchange->server;
    struct MHD_Connection *connection = exchange->connection;
    exchange->status = status;
    exchange->response = (struct MHD_Response *)response;
    int before = atomic_exchange_explicit(&exchange->state, CHS_ANSWERED, memory_order_acq_rel);
    // From here the exchange belongs to its server thread.
    if (before == CHS_SUSPENDED) MHD_resume_connection(connection);
    atomic_fetch_sub_explicit(&server->unanswered, 1, memory_order_release);
}

/// Paths and query items are given to Swift as they were sent: only it knows where decoding is safe.
static size_t keep_encoded(void *context, struct MHD_Connection *connection, char *text) {
    (void)context, (void)connection;
    return strlen(text);
}

static void destroy(chs_server *server) {
    chs_watch_stop(server);
    chs_watch_free(server);
    pthread_mutex_destroy(&server->places);
    pthread_cond_destroy(&server->place_free);
    pthread_mutex_destroy(&server->peers_lock);
    ctls_credentials_release(server->tls);
    free(server);
}

// Options of libmicrohttpd, which is told them as arguments. The acceptor's limit of connections
// is the one that counts.
#define CHS_COMMON_OPTIONS \
    MHD_OPTION_LISTEN_SOCKET, placeholder, MHD_OPTION_THREAD_POOL_SIZE, configuration->threads, \
        MHD_OPTION_CONNECTION_LIMIT, CHS_CONNECTION_CEILING, \
        MHD_OPTION_CONNECTION_TIMEOUT, configuration->idle_timeout_seconds, MHD_OPTION_CONNECTION_MEMORY_LIMIT, \
        configuration->header_memory_bytes, MHD_OPTION_NOTIFY_COMPLETED, on_completed, server, \
        MHD_OPTION_NOTIFY_CONNECTION, chs_connection_changed, server, MHD_OPTION_UNESCAPE_CALLBACK, keep_encoded, \
        NULL, MHD_OPTION_STRICT_FOR_CLIENT, 1

static struct MHD_Daemon *start_daemon(chs_server *server, int placeholder) {
    const chs_configuration *configuration = &server->configuration;
    const unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME;
    if (configuration->tls == NULL) {
        return MHD_start_daemon(
            flags, 0, chs_accept_policy, NULL, on_request, server, CHS_COMMON_OPTIONS, MHD_OPTION_END);
    }
    return MHD_start_daemon(
        flags | MHD_USE_TLS, 0, chs_accept_policy, NULL, on_request, server, CHS_COMMON_OPTIONS,
        MHD_OPTION_HTTPS_PRIORITIES, ctls_priorities, MHD_OPTION_HTTPS_CERT_CALLBACK2,
        chs_tls_unused_certificate_callback, MHD_OPTION_END);
}

chs_server *chs_server_start(const chs_configuration *configuration, int *error_number, const char **operation) {
    *operation = "allocate";
    *error_number = ENOMEM;
    chs_server *server = aligned_alloc(64, (sizeof *server + 63) / 64 * 64);
    if (server == NULL) return NULL;
    memset(server, 0, sizeof *server);
    pthread_mutex_init(&server->places, NULL);
    pthread_cond_init(&server->place_free, NULL);
    pthread_mutex_init(&server->peers_lock, NULL);
    server->configuration = *configuration;
    server->limits = configuration->limits;
    if (configuration->tls != NULL) {
        chs_server_set_tls(server, configuration->tls);
        server->handshakes = ctls_rate_create((uintptr_t)server ^ chs_now_ms());
    }
    if (!chs_listen(server, operation, error_number)) {
        destroy(server);
        return NULL;
    }
    *operation = "start the server's threads";
    errno = EAGAIN;
    int placeholder = chs_open_placeholder_socket();
    if (placeholder >= 0) server->daemon = start_daemon(server, placeholder);
    if (server->daemon != NULL && chs_watch_start(server) && chs_start_accepting(server)) return server;
    *error_number = errno != 0 ? errno : EAGAIN;
    if (server->daemon != NULL) {
        MHD_stop_daemon(server->daemon);  // closes the placeholder
    } else if (placeholder >= 0) {
        close(placeholder);
    }
    close(server->listen_socket);
    destroy(server);
    return NULL;
}

uint16_t chs_server_port(const chs_server *server) { return server->port; }

int64_t chs_server_active(const chs_server *server) { return atomic_load(&server->active); }

bool chs_server_stop(chs_server *server, unsigned timeout_ms) {
    chs_server_stop_accepting(server);
    for (unsigned waited_ms = 0; atomic_load(&server->active) > 0 && waited_ms < timeout_ms; waited_ms += 2) {
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    }
    if (atomic_load(&server->unanswered) > 0) return false;
    chs_watch_stop(server);
    MHD_stop_daemon(server->daemon);
    server->daemon = NULL;
    return true;
}

void chs_server_free(chs_server *server) { destroy(server); }
