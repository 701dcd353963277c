// The C side of HTTPClient: libcurl's options are variadic, which Swift cannot call. One `chc_client` is one keep-alive
// easy handle; it serves one thread at a time.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "CHTTPClientAddresses.h"

typedef struct chc_client chc_client;

typedef struct chc_request {
    const char *method;
    const char *url;
    const char *const *headers;  // "Name: value"
    size_t header_count;
    const void *body;
    size_t body_length;
    bool has_body;
    bool fresh_connection;  // don't reuse an open one
    long timeout_ms;        // of the whole exchange; 0: none
    long connect_timeout_ms;
    unsigned dead_peer_seconds;  // gives up a connection whose peer acknowledges nothing for this long; 0: the system's
    long stall_timeout_seconds;  // fails when less than a byte a second came for this long; 0: never
    size_t max_response_bytes;
    int addresses;  // enum chc_addresses; a client that is used with one setting keeps to it
    const char *ca_file;  // PEM; NULL: the system's
    const char *certificate_file;
    const char *key_file;
    // Asked about once a second and when bytes move; true ends the exchange. May be NULL.
    bool (*cancelled)(void *context);
    // Given body bytes as they come; false ends the exchange. NULL: the body is collected in the response.
    bool (*on_bytes)(void *context, const void *bytes, size_t length);
    // With on_bytes: called before the first byte, with the answer's status. NULL: none.
    bool (*on_status)(void *context, long status);
    void *context;
} chc_request;

enum chc_outcome {
    CHC_OK,
    CHC_INVALID_REQUEST,
    CHC_COULD_NOT_RESOLVE,
    CHC_COULD_NOT_CONNECT,
    CHC_TIMED_OUT,
    CHC_CLOSED,
    CHC_TOO_LARGE,
    CHC_TLS,
    CHC_HANDSHAKE,
    CHC_CANCELLED,
    CHC_BAD_ANSWER,
    CHC_ADDRESS_REFUSED,
    CHC_OTHER,
};

typedef struct chc_response {
    int outcome;
    long status;
    uint8_t *body;
    size_t body_length;
    char *headers;  // the last answer's header lines, CRLF between them
    size_t headers_length;
    long round_trip_us;  // least of the connection's path, as the kernel measured it; 0: unknown
    char detail[256];
} chc_response;

/// NULL when out of memory.
chc_client *chc_client_create(void);
void chc_client_destroy(chc_client *client);
/// Blocks until the exchange is over. *response is to be given to chc_response_clear.
void chc_perform(chc_client *client, const chc_request *request, chc_response *response);
void chc_response_clear(chc_response *response);

// For the load generator (bench/columba-bench): one thread that watches thousands of connections (epoll).
int chc_poll_create(void);
int chc_poll_add(int poll, int descriptor, uint64_t tag);
/// Tags of readable descriptors, at most 256; 0 when time was up, -1 with errno. The time limit is exact to
/// nanoseconds, which an open-loop load needs.
int chc_poll_wait(int poll, uint64_t *tags, int capacity, int64_t timeout_ns);
/// Offset of the first `needle`, or -1.
ptrdiff_t chc_find(const void *bytes, size_t length, const void *needle, size_t needle_length);

// TLS 1.3 with a client certificate for the load generator; PEM files. NULL on failure.
void *chc_tls_context(const char *certificate, const char *key, const char *authorities);
// Blocks for the handshake, then the descriptor is non-blocking.
void *chc_tls_connect(void *context, int descriptor);
// As send(2) and recv(2): -1 with EAGAIN when it would block.
ptrdiff_t chc_tls_send(void *session, const void *bytes, size_t length);
ptrdiff_t chc_tls_receive(void *session, void *bytes, size_t length);
void chc_tls_close(void *session);
