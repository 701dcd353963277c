// The C side of HTTPServer: what Swift cannot say to libmicrohttpd (variadic options, enums, unions), and the
// per-request state that two threads share. See server.c for the protocol between them.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "CTLS.h"

typedef struct chs_server chs_server;
typedef struct chs_exchange chs_exchange;
typedef struct chs_response chs_response;
typedef struct chs_stream chs_stream;

/// Every body is followed by this many zero bytes, so that SIMD parsers may read past its end.
#define CHS_BODY_PADDING 64

/// What connections may do. Can be changed while the server runs.
typedef struct chs_limits {
    unsigned max_connections;           // further ones wait in the kernel's queue
    unsigned max_unproven_per_address;  // connections without a good answer yet; 0: no limit
    bool exempt_loopback;               // from the limits per address
    double handshakes_per_address_per_s, handshake_burst_per_address;  // TLS only; 0: no limit
    unsigned reserved_for_known;        // TLS only: of max_connections, for those who have shown a certificate
    unsigned header_ms;                 // from a request's first byte to its complete header
    unsigned body_ms;                   // for each 256 KiB of a body
    unsigned body_grace_ms;             // after which min_body_bytes_per_s counts
    unsigned min_body_bytes_per_s;
    unsigned answer_window_ms;          // over which min_answer_bytes_per_s counts
    unsigned min_answer_bytes_per_s;
} chs_limits;

/// Connections open now, and those that were cut since the start, by reason.
typedef struct chs_counts {
    uint64_t open, slow_header, slow_body, slow_reader, idle, too_many_of_address, made_room;
} chs_counts;

typedef struct chs_configuration {
    const char *host;  // numeric IPv4 or IPv6 address
    uint16_t port;     // 0: any free port
    unsigned threads;  // at least 2: with one thread libmicrohttpd's suspend and resume stalls
    chs_limits limits;
    unsigned max_header_fields;   // beyond: 431
    size_t max_uri_bytes;         // path and query; beyond: 414
    unsigned watch_interval_ms;   // between two looks at all connections
    bool is_plain;                // not TLS: a connection that its address has too many of is told so
    unsigned idle_timeout_seconds;
    size_t header_memory_bytes;
    size_t max_drained_bytes;         // of a refused body, read and dropped before the refusal is sent
    size_t max_body_bytes_in_flight;  // over all connections; bodies up to CHS_SMALL_BODY are not counted
    // Called on a server thread when the header is complete. Returns the body's limit in bytes, or a negative
    // number after it refused with chs_exchange_refuse.
    int64_t (*admit)(void *context, chs_exchange *exchange);
    // Called on a server thread when the request cannot be taken: ambiguous (400), a body longer than its limit (413),
    // a URI (414) or header (431) beyond theirs, no room for bodies (503). Must call chs_exchange_refuse.
    void (*refuse_body)(void *context, chs_exchange *exchange, unsigned status);
    // Called on a server thread when the body is complete: must lead to exactly one chs_exchange_answer.
    void (*handle)(void *context, chs_exchange *exchange);
    // With TLS only; on any thread. Whether the holder of this certificate may come in (and stay).
    bool (*admit_peer)(void *context, const ctls_peer_certificate *certificate);
    // On a server thread, once for each connection whose handshake did not succeed.
    void (*handshake_refused)(void *context, const char *reason, const char *address);
    unsigned handshake_timeout_seconds;
    ctls_credentials *tls;  // NULL: plain HTTP. The server keeps its own reference
    void *context;
} chs_configuration;

/// Starts a server. On failure returns NULL and sets *error_number, and *operation to the name of what failed.
chs_server *chs_server_start(const chs_configuration *configuration, int *error_number, const char **operation);
uint16_t chs_server_port(const chs_server *server);
/// Open now.
unsigned chs_server_connections(chs_server *server);
chs_counts chs_server_counts(chs_server *server);
void chs_server_set_limits(chs_server *server, const chs_limits *limits);
/// Requests begun and not yet fully answered.
int64_t chs_server_active(const chs_server *server);
/// New connections are refused; requests on open connections are answered and their connection closed.
void chs_server_stop_accepting(chs_server *server);
/// Waits until every request is answered and sent, at most `timeout_ms`, then closes all connections. Returns false
/// if some request was never answered by its handler: then its threads are left running, because libmicrohttpd
/// aborts the process when it is stopped with a suspended connection.
bool chs_server_stop(chs_server *server, unsigned timeout_ms);
/// Only after chs_server_stop returned true.
void chs_server_free(chs_server *server);

/// Connections from now on begin with these; a server that began without TLS never gets it.
void chs_server_set_tls(chs_server *server, ctls_credentials *tls);
/// Asks admit_peer again about every open connection; those refused are closed.
void chs_server_recheck_peers(chs_server *server);
/// The client's verified certificate; NULL if it showed none. Lives until the request is answered.
const ctls_peer_certificate *chs_exchange_peer(const chs_exchange *exchange);

// What a request says. Pointers live until the request is answered.
const char *chs_exchange_method(const chs_exchange *exchange);
const char *chs_exchange_path(const chs_exchange *exchange);
const char *chs_exchange_header(const chs_exchange *exchange, const char *name);
/// -1: none was sent.
int64_t chs_exchange_content_length(const chs_exchange *exchange);
const uint8_t *chs_exchange_body(const chs_exchange *exchange);
size_t chs_exchange_body_length(const chs_exchange *exchange);
/// Readable bytes from the body's start, the padding included.
size_t chs_exchange_body_capacity(const chs_exchange *exchange);
/// Calls `each` with every query item, still percent-encoded ('+' already turned into a space). `value` may be NULL.
void chs_exchange_query(
    const chs_exchange *exchange, void *context,
    void (*each)(void *context, const char *name, size_t name_length, const char *value, size_t value_length));
/// Writes the peer's numeric address; false if it is unknown.
bool chs_exchange_remote_address(const chs_exchange *exchange, char *buffer, size_t buffer_length, uint16_t *port);
/// True when the peer closed its connection: asks the socket.
bool chs_exchange_client_gone(const chs_exchange *exchange);

/// The bytes are copied.
chs_response *chs_response_create(const void *body, size_t body_length);
/// The file as it is now, read while it is sent: never in memory as a whole, and it may be unlinked at once. NULL if
/// it cannot be opened.
chs_response *chs_response_create_from_file(chs_exchange *exchange, const char *path);
/// False if libmicrohttpd refuses the header (CR or LF in it, or out of memory).
bool chs_response_add_header(chs_response *response, const char *name, const char *value);

/// Within `admit` or `refuse_body` only. Takes the response.
void chs_exchange_refuse(chs_exchange *exchange, unsigned status, chs_response *response);
/// From any thread, once. Takes the response; the exchange must not be touched afterwards.
void chs_exchange_answer(chs_exchange *exchange, unsigned status, chs_response *response);

/// Makes a streamed answer: *response is to be given to chs_exchange_answer. `closed` is called once, on a server
/// thread, when libmicrohttpd is done with it. The caller owns one reference (chs_stream_release).
chs_stream *chs_stream_create(
    chs_exchange *exchange, size_t max_pending_bytes, void *context, void (*closed)(void *context),
    chs_response **response);
/// False once closed, finished or over its limit: nothing of `bytes` was taken.
bool chs_stream_write(chs_stream *stream, const void *bytes, size_t length);
void chs_stream_finish(chs_stream *stream);
void chs_stream_release(chs_stream *stream);
