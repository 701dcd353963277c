// A server's TLS stream over a socket that never blocks. GnuTLS reads no byte ahead of the record that it is asked for,
// so whoever waits for the socket to become readable misses nothing.
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "internal.h"

struct ctls_stream {
    gnutls_session_t session;
    ctls_peer *peer;
    int socket;
    bool is_open;      // the handshake is finished
    bool is_finished;  // nothing more is sent
    bool is_broken;
    bool has_record;  // encrypted and not wholly sent
};

static gnutls_priority_t priorities;

static void make_priorities(void) {
    if (gnutls_priority_init(&priorities, ctls_priorities, NULL) < 0) priorities = NULL;
}

ctls_stream *ctls_stream_begin(int socket, ctls_credentials *credentials, const ctls_policy *policy) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_priorities);
    ctls_stream *stream = calloc(1, sizeof *stream);
    if (stream == NULL || priorities == NULL) {
        free(stream);
        return NULL;
    }
    stream->socket = socket;
    if (gnutls_init(&stream->session, GNUTLS_SERVER | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL | GNUTLS_NO_TICKETS) < 0) {
        free(stream);
        return NULL;
    }
    if (gnutls_priority_set(stream->session, priorities) >= 0) {
        stream->peer = ctls_peer_begin(stream->session, credentials, policy);
    }
    if (stream->peer == NULL) {
        gnutls_deinit(stream->session);
        free(stream);
        return NULL;
    }
    gnutls_transport_set_int(stream->session, socket);
    return stream;
}

void ctls_stream_end(ctls_stream *stream) {
    ctls_peer_end(stream->peer);
    gnutls_deinit(stream->session);
    free(stream);
}

ctls_peer *ctls_stream_peer(ctls_stream *stream) { return stream->peer; }

bool ctls_stream_wants_to_write(const ctls_stream *stream) {
    return !stream->is_open && !stream->is_broken && gnutls_record_get_direction(stream->session) == 1;
}

/// Reads over what came, so that closing does not destroy the alert on its way to the client.
static long read_over(int socket, void *bytes, size_t capacity) {
    long count = recv(socket, bytes, capacity, MSG_DONTWAIT);
    return count >= 0 ? count : CTLS_WOULD_BLOCK;
}

static long broken(ctls_stream *stream, void *bytes, size_t capacity) {
    stream->is_broken = true;
    read_over(stream->socket, bytes, capacity);
    shutdown(stream->socket, SHUT_WR);
    return CTLS_CLOSED;
}

/// 0 when it is finished.
static int shake_hands(ctls_stream *stream) {
    int result;
    do result = gnutls_handshake(stream->session);
    while (result < 0 && result != GNUTLS_E_AGAIN && !gnutls_error_is_fatal(result));
    stream->is_open = result >= 0;
    // Where the verification failed it has sent its own.
    if (result < 0 && result != GNUTLS_E_AGAIN && result != GNUTLS_E_CERTIFICATE_ERROR) {
        gnutls_alert_send_appropriate(stream->session, result);
    }
    return result;
}

long ctls_stream_receive(ctls_stream *stream, void *bytes, size_t capacity) {
    if (stream->is_broken) return CTLS_CLOSED;
    if (!stream->is_open) {
        if (stream->is_finished) return read_over(stream->socket, bytes, capacity);
        int result = shake_hands(stream);
        if (result == GNUTLS_E_AGAIN) return CTLS_WOULD_BLOCK;
        if (result < 0) return broken(stream, bytes, capacity);
    }
    ssize_t count;
    do count = gnutls_record_recv(stream->session, bytes, capacity);
    while (count < 0 && count != GNUTLS_E_AGAIN && !gnutls_error_is_fatal((int)count));
    if (count >= 0) return count;
    return count == GNUTLS_E_AGAIN ? CTLS_WOULD_BLOCK : broken(stream, bytes, capacity);
}

long ctls_stream_send(ctls_stream *stream, const void *bytes, size_t count) {
    if (stream->is_broken) return CTLS_CLOSED;
    if (!stream->is_open) return CTLS_WOULD_BLOCK;
    ssize_t sent;
    // GnuTLS wants the rest of a record that it has encrypted asked for with nothing.
    do sent = stream->has_record ? gnutls_record_send(stream->session, NULL, 0)
                                 : gnutls_record_send(stream->session, bytes, count);
    while (sent == GNUTLS_E_INTERRUPTED);
    stream->has_record = sent == GNUTLS_E_AGAIN;
    if (sent > 0) return sent;
    return stream->has_record ? CTLS_WOULD_BLOCK : CTLS_CLOSED;
}

void ctls_stream_finish_writing(ctls_stream *stream) {
    stream->is_finished = true;
    // One try: a client that takes nothing is not waited for.
    if (stream->is_open && !stream->is_broken) gnutls_bye(stream->session, GNUTLS_SHUT_WR);
    shutdown(stream->socket, SHUT_WR);
}
