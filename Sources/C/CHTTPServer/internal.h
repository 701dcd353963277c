// Shared by the files of CHTTPServer only.
#pragma once
#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>

#include "CHTTPServer.h"
#include "tls.h"

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
    pthread_mutex_t peers_lock;  // guards `tls` and the list
    chs_tls *tls;                // NULL: plain HTTP, for good
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
    chs_peer *peer;  // NULL: plain HTTP
    const char *method;
    const char *path;
    struct MHD_Response *response;
    unsigned status;
    atomic_int state;
    bool refused;           // `response` is a refusal: the rest of the body is read and dropped
    bool close_connection;  // after the answer
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
