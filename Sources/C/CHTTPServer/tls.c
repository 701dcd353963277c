// TLS 1.3 with client certificates (CTLS), under libmicrohttpd.
//
// libmicrohttpd 0.9.75 loads certificate, key and authorities once and only *asks* clients for a certificate. Here each
// connection is given the server's current credentials when it is announced (MHD_CONNECTION_NOTIFY_STARTED, before the
// handshake), so credentials are exchanged while the server runs: open connections keep those they began with.
#include "tls.h"

#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "internal.h"

struct chs_peer {
    chs_server *server;
    struct MHD_Connection *connection;
    ctls_peer *tls;
    int socket;
    chs_peer *next, *previous;
};

void chs_server_set_tls(chs_server *server, ctls_credentials *tls) {
    ctls_credentials_retain(tls);
    pthread_mutex_lock(&server->peers_lock);
    ctls_credentials *before = server->tls;
    server->tls = tls;
    pthread_mutex_unlock(&server->peers_lock);
    ctls_credentials_release(before);
}

int chs_tls_unused_certificate_callback(
    gnutls_session_t session, const struct gnutls_cert_retr_st *info, gnutls_pcert_st **certificates,
    unsigned *certificate_count, gnutls_ocsp_data_st **ocsp, unsigned *ocsp_count, gnutls_privkey_t *key,
    unsigned *flags) {
    (void)session, (void)info, (void)certificates, (void)certificate_count;
    (void)ocsp, (void)ocsp_count, (void)key, (void)flags;
    return -1;
}

void chs_report_refused(chs_server *server, const char *reason, const struct sockaddr *address) {
    char text[64] = "";
    if (address != NULL) {
        socklen_t length = address->sa_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
        getnameinfo(address, length, text, sizeof text, NULL, 0, NI_NUMERICHOST);
    }
    server->configuration.handshake_refused(server->configuration.context, reason, text);
}

static void settled(void *context, const char *reason) {
    chs_peer *peer = context;
    if (reason != NULL) {
        const union MHD_ConnectionInfo *info =
            MHD_get_connection_info(peer->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
        return chs_report_refused(peer->server, reason, info != NULL ? info->client_addr : NULL);
    }
    chs_now_known(peer->server, peer->connection);
    // From here the connection is as silent as it likes, within the usual limit.
    MHD_set_connection_option(
        peer->connection, MHD_CONNECTION_OPTION_TIMEOUT, peer->server->configuration.idle_timeout_seconds);
}

chs_peer *chs_peer_begin(chs_server *server, struct MHD_Connection *connection) {
    const union MHD_ConnectionInfo *session = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    const union MHD_ConnectionInfo *socket = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    if (session == NULL || socket == NULL) return NULL;
    chs_peer *peer = calloc(1, sizeof *peer);
    // Without credentials of its own the handshake fails: chs_tls_unused_certificate_callback has none.
    if (peer == NULL) return NULL;
    const chs_configuration *configuration = &server->configuration;
    const ctls_policy policy = {
        .admit = configuration->admit_peer, .admit_context = configuration->context, .settled = settled,
        .settled_context = peer};
    peer->server = server;
    peer->connection = connection;
    peer->socket = socket->connect_fd;
    pthread_mutex_lock(&server->peers_lock);
    peer->tls = ctls_peer_begin(session->tls_session, server->tls, &policy);
    if (peer->tls != NULL) {
        peer->next = server->peers;
        if (peer->next != NULL) peer->next->previous = peer;
        server->peers = peer;
    }
    pthread_mutex_unlock(&server->peers_lock);
    if (peer->tls == NULL) {
        free(peer);
        return NULL;
    }
    if (ctls_peer_is_asked(peer->tls)) {
        MHD_set_connection_option(
            connection, MHD_CONNECTION_OPTION_TIMEOUT, configuration->handshake_timeout_seconds);
    }
    return peer;
}

void chs_peer_end(chs_peer *peer) {
    chs_server *server = peer->server;
    pthread_mutex_lock(&server->peers_lock);
    if (peer->next != NULL) peer->next->previous = peer->previous;
    if (peer->previous != NULL) peer->previous->next = peer->next;
    if (server->peers == peer) server->peers = peer->next;
    pthread_mutex_unlock(&server->peers_lock);
    // libmicrohttpd frees the session after this.
    ctls_peer_end(peer->tls);
    free(peer);
}

bool chs_peer_is_refused(const chs_peer *peer) { return ctls_peer_is_refused(peer->tls); }

const ctls_peer_certificate *chs_peer_certificate_of(const chs_peer *peer) {
    return peer != NULL ? ctls_peer_certificate_of(peer->tls) : NULL;
}

void chs_server_recheck_peers(chs_server *server) {
    pthread_mutex_lock(&server->peers_lock);
    for (chs_peer *peer = server->peers; peer != NULL; peer = peer->next) {
        // Shut down, what waits ends as well: an idle connection, a stream. Its server thread closes it.
        if (ctls_peer_recheck(peer->tls)) shutdown(peer->socket, SHUT_RDWR);
    }
    pthread_mutex_unlock(&server->peers_lock);
}
