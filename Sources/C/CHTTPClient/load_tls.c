// TLS for the load generator (bench/columba-bench): one OpenSSL session a connection, driven by the same epoll loop.
// libcurl would cost more than the server it measures.
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "CHTTPClient.h"

void *chc_tls_context(const char *certificate, const char *key, const char *authorities) {
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (context == NULL) return NULL;
    SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    if (SSL_CTX_use_certificate_chain_file(context, certificate) != 1 ||
        SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_load_verify_locations(context, authorities, NULL) != 1) {
        SSL_CTX_free(context);
        return NULL;
    }
    return context;
}

void *chc_tls_connect(void *context, int descriptor) {
    SSL *session = SSL_new(context);
    if (session == NULL) return NULL;
    // The handshake blocks; afterwards reads and writes return at once, as the epoll loop expects.
    if (SSL_set_fd(session, descriptor) != 1 || SSL_connect(session) != 1 ||
        fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK) != 0) {
        SSL_free(session);
        return NULL;
    }
    SSL_set_mode(session, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    return session;
}

static ptrdiff_t result(SSL *session, int count) {
    if (count > 0) return count;
    int error = SSL_get_error(session, count);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) {
        errno = EAGAIN;
        return -1;
    }
    ERR_clear_error();
    if (error == SSL_ERROR_ZERO_RETURN) return 0;
    errno = ECONNRESET;
    return -1;
}

ptrdiff_t chc_tls_send(void *session, const void *bytes, size_t length) {
    return result(session, SSL_write(session, bytes, (int)length));
}

ptrdiff_t chc_tls_receive(void *session, void *bytes, size_t length) {
    return result(session, SSL_read(session, bytes, (int)length));
}

void chc_tls_close(void *session) { SSL_free(session); }
