// TLS 1.3 with client certificates, under libmicrohttpd.
//
// libmicrohttpd 0.9.75 loads certificate, key and authorities once and only *asks* clients for a certificate. Here each
// connection is given the server's current credentials when it is announced (MHD_CONNECTION_NOTIFY_STARTED, before the
// handshake), so credentials are exchanged while the server runs: open connections keep those they began with.
//
// A client is let in only if (in this order)
//   1. its certificate was signed by a trusted authority, or by the one certificate it sent after its own, which a
//      trusted authority signed; dates, signatures, key usage, basic constraints and the purpose "TLS client" hold;
//   2. exactly one URI stands among its alternative names, and besides it only DNS names and addresses. The
//      distinguished name is never looked at;
//   3. `admit_peer` says so: it reads the URI, knows who may sign whom, and has the deny-list.
// 3 is asked again for every open connection when the deny-list changes.
//
// There are no session tickets (libmicrohttpd enables none) and no early data, so every connection is verified anew.
#include "tls.h"

#include <gnutls/x509.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "internal.h"

/// Everything older goes with its ciphers.
const char *const chs_tls_priorities = "NORMAL:-VERS-ALL:+VERS-TLS1.3";

struct chs_tls {
    atomic_int references;
    gnutls_certificate_credentials_t credentials;
    gnutls_x509_trust_list_t authorities;  // NULL: clients are asked for no certificate
};

struct chs_peer {
    chs_server *server;
    struct MHD_Connection *connection;
    gnutls_session_t session;
    chs_tls *tls;
    int socket;
    atomic_bool verified;  // `certificate` is written before and never after
    atomic_bool refused;   // by a later look at the deny-list
    bool reported;         // why it was not let in
    chs_peer_certificate certificate;
    chs_peer *next, *previous;
};

// MARK: Credentials

static gnutls_datum_t datum(const char *text) {
    return (gnutls_datum_t){.data = (unsigned char *)text, .size = text == NULL ? 0 : (unsigned)strlen(text)};
}

void chs_tls_release(chs_tls *tls) {
    if (tls == NULL || atomic_fetch_sub(&tls->references, 1) != 1) return;
    if (tls->credentials != NULL) gnutls_certificate_free_credentials(tls->credentials);
    if (tls->authorities != NULL) gnutls_x509_trust_list_deinit(tls->authorities, 1);
    free(tls);
}

static chs_tls *retain(chs_tls *tls) {
    if (tls != NULL) atomic_fetch_add(&tls->references, 1);
    return tls;
}

static int load(chs_tls *tls, const char *certificates, const char *key, const char *authorities, const char **step) {
    *step = "allocate";
    int result = gnutls_certificate_allocate_credentials(&tls->credentials);
    if (result < 0) return result;
    gnutls_datum_t certificate_text = datum(certificates), key_text = datum(key), authority_text = datum(authorities);
    *step = "certificate and key";
    result = gnutls_certificate_set_x509_key_mem2(
        tls->credentials, &certificate_text, &key_text, GNUTLS_X509_FMT_PEM, NULL, 0);
    if (result < 0 || authorities == NULL) return result;
    *step = "authorities";
    // The names of these are sent to the client, which may choose its certificate by them.
    result = gnutls_certificate_set_x509_trust_mem(tls->credentials, &authority_text, GNUTLS_X509_FMT_PEM);
    if (result == 0) result = GNUTLS_E_NO_CERTIFICATE_FOUND;
    if (result > 0) result = gnutls_x509_trust_list_init(&tls->authorities, 0);
    if (result >= 0) {
        result = gnutls_x509_trust_list_add_trust_mem(
            tls->authorities, &authority_text, NULL, GNUTLS_X509_FMT_PEM, 0, 0);
    }
    return result;
}

chs_tls *chs_tls_create(
    const char *certificates, const char *key, const char *authorities, char *problem, size_t problem_length) {
    chs_tls *tls = calloc(1, sizeof *tls);
    if (tls == NULL) return NULL;
    atomic_init(&tls->references, 1);
    const char *step = NULL;
    int result = load(tls, certificates, key, authorities, &step);
    if (result >= 0) return tls;
    snprintf(problem, problem_length, "%s: %s", step, gnutls_strerror(result));
    chs_tls_release(tls);
    return NULL;
}

void chs_server_set_tls(chs_server *server, chs_tls *tls) {
    retain(tls);
    pthread_mutex_lock(&server->peers_lock);
    chs_tls *before = server->tls;
    server->tls = tls;
    pthread_mutex_unlock(&server->peers_lock);
    chs_tls_release(before);
}

int chs_tls_unused_certificate_callback(
    gnutls_session_t session, const struct gnutls_cert_retr_st *info, gnutls_pcert_st **certificates,
    unsigned *certificate_count, gnutls_ocsp_data_st **ocsp, unsigned *ocsp_count, gnutls_privkey_t *key,
    unsigned *flags) {
    (void)session, (void)info, (void)certificates, (void)certificate_count;
    (void)ocsp, (void)ocsp_count, (void)key, (void)flags;
    return -1;
}

// MARK: A connection's life

static void report(chs_peer *peer, const char *reason) {
    if (peer->reported) return;
    peer->reported = true;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(peer->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    char address[64] = "";
    if (info != NULL && info->client_addr != NULL) {
        socklen_t length = info->client_addr->sa_family == AF_INET ? sizeof(struct sockaddr_in)
                                                                   : sizeof(struct sockaddr_in6);
        getnameinfo(info->client_addr, length, address, sizeof address, NULL, 0, NI_NUMERICHOST);
    }
    const chs_configuration *configuration = &peer->server->configuration;
    configuration->handshake_refused(configuration->context, reason, address);
}

chs_peer *chs_peer_begin(chs_server *server, struct MHD_Connection *connection) {
    const union MHD_ConnectionInfo *session = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    const union MHD_ConnectionInfo *socket = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    if (session == NULL || socket == NULL) return NULL;
    chs_peer *peer = calloc(1, sizeof *peer);
    // Without credentials of its own the handshake fails: chs_tls_unused_certificate_callback has none.
    if (peer == NULL) return NULL;
    peer->server = server;
    peer->connection = connection;
    peer->session = session->tls_session;
    peer->socket = socket->connect_fd;
    pthread_mutex_lock(&server->peers_lock);
    peer->tls = retain(server->tls);
    peer->next = server->peers;
    if (peer->next != NULL) peer->next->previous = peer;
    server->peers = peer;
    pthread_mutex_unlock(&server->peers_lock);
    gnutls_credentials_set(peer->session, GNUTLS_CRD_CERTIFICATE, peer->tls->credentials);
    if (peer->tls->authorities != NULL) {
        gnutls_session_set_ptr(peer->session, peer);
        gnutls_session_set_verify_function(peer->session, chs_verify_peer);
        gnutls_certificate_server_set_request(peer->session, GNUTLS_CERT_REQUIRE);
        MHD_set_connection_option(
            connection, MHD_CONNECTION_OPTION_TIMEOUT, server->configuration.handshake_timeout_seconds);
    }
    return peer;
}

void chs_peer_end(chs_peer *peer) {
    chs_server *server = peer->server;
    if (peer->tls->authorities != NULL && !atomic_load(&peer->verified)) report(peer, "handshake_failed");
    pthread_mutex_lock(&server->peers_lock);
    if (peer->next != NULL) peer->next->previous = peer->previous;
    if (peer->previous != NULL) peer->previous->next = peer->next;
    if (server->peers == peer) server->peers = peer->next;
    pthread_mutex_unlock(&server->peers_lock);
    // libmicrohttpd frees the session after this: it must not know credentials that may go now.
    gnutls_credentials_clear(peer->session);
    chs_tls_release(peer->tls);
    free(peer);
}

bool chs_peer_is_refused(const chs_peer *peer) {
    if (peer->tls->authorities == NULL) return false;
    return !atomic_load(&peer->verified) || atomic_load(&peer->refused) || time(NULL) > peer->certificate.expires;
}

const chs_peer_certificate *chs_peer_certificate_of(const chs_peer *peer) {
    return peer != NULL && atomic_load(&peer->verified) ? &peer->certificate : NULL;
}

void chs_server_recheck_peers(chs_server *server) {
    const chs_configuration *configuration = &server->configuration;
    pthread_mutex_lock(&server->peers_lock);
    for (chs_peer *peer = server->peers; peer != NULL; peer = peer->next) {
        if (!atomic_load(&peer->verified) || atomic_load(&peer->refused)) continue;
        if (configuration->admit_peer(configuration->context, &peer->certificate)) continue;
        atomic_store(&peer->refused, true);
        // Also ends what waits: an idle connection, a stream. Its server thread closes it.
        shutdown(peer->socket, SHUT_RDWR);
    }
    pthread_mutex_unlock(&server->peers_lock);
}

// MARK: Verification

/// False unless exactly one URI stands there, and besides it nothing but DNS names and addresses.
static bool read_identity(gnutls_x509_crt_t certificate, char identity[CHS_PEER_IDENTITY]) {
    identity[0] = 0;
    bool found = false;
    for (unsigned index = 0;; index++) {
        char name[1024];
        size_t length = sizeof name;
        unsigned type = 0;
        int result = gnutls_x509_crt_get_subject_alt_name2(certificate, index, name, &length, &type, NULL);
        if (result == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE) return found;
        if (result < 0) return false;
        if (type == GNUTLS_SAN_DNSNAME || type == GNUTLS_SAN_IPADDRESS) continue;
        // A NUL inside would show C one text and others another.
        if (type != GNUTLS_SAN_URI || found || length == 0 || length >= CHS_PEER_IDENTITY) return false;
        if (memchr(name, 0, length) != NULL) return false;
        memcpy(identity, name, length);
        identity[length] = 0;
        found = true;
    }
}

static bool read_serial(gnutls_x509_crt_t certificate, char serial[CHS_PEER_SERIAL]) {
    unsigned char bytes[CHS_PEER_SERIAL / 2 - 1];
    size_t length = sizeof bytes;
    if (gnutls_x509_crt_get_serial(certificate, bytes, &length) < 0) return false;
    size_t first = 0;
    while (first + 1 < length && bytes[first] == 0) first++;
    for (size_t index = first; index < length; index++) {
        snprintf(serial + 2 * (index - first), 3, "%02x", bytes[index]);
    }
    return true;
}

static bool is_trusted(chs_tls *tls, gnutls_x509_crt_t *chain, unsigned length, unsigned *status) {
    gnutls_typed_vdata_st purpose = {.type = GNUTLS_DT_KEY_PURPOSE_OID, .data = (void *)GNUTLS_KP_TLS_WWW_CLIENT};
    *status = 0;
    int result = gnutls_x509_trust_list_verify_crt2(tls->authorities, chain, length, &purpose, 1, 0, status, NULL);
    return result >= 0 && *status == 0;
}

struct reason {
    const char *name;
    gnutls_alert_description_t alert;
};

static struct reason reason_of(unsigned status) {
    if (status & GNUTLS_CERT_EXPIRED) return (struct reason){"certificate_expired", GNUTLS_A_CERTIFICATE_EXPIRED};
    if (status & GNUTLS_CERT_NOT_ACTIVATED) {
        return (struct reason){"certificate_not_yet_valid", GNUTLS_A_BAD_CERTIFICATE};
    }
    if (status & GNUTLS_CERT_SIGNER_NOT_FOUND) return (struct reason){"unknown_authority", GNUTLS_A_UNKNOWN_CA};
    if (status & GNUTLS_CERT_PURPOSE_MISMATCH) {
        return (struct reason){"not_a_client_certificate", GNUTLS_A_UNSUPPORTED_CERTIFICATE};
    }
    return (struct reason){"certificate_invalid", GNUTLS_A_BAD_CERTIFICATE};
}

/// Fills `found`, or says why not.
static bool examine(chs_peer *peer, gnutls_x509_crt_t *chain, unsigned sent, struct reason *reason) {
    chs_peer_certificate *found = &peer->certificate;
    unsigned status = 0;
    bool is_direct = is_trusted(peer->tls, chain, 1, &status);
    if (!is_direct && !(sent > 1 && is_trusted(peer->tls, chain, 2, &status))) {
        *reason = reason_of(status);
        return false;
    }
    *reason = (struct reason){"no_single_identity", GNUTLS_A_BAD_CERTIFICATE};
    if (!read_identity(chain[0], found->identity) || !read_serial(chain[0], found->serial)) return false;
    found->expires = gnutls_x509_crt_get_expiration_time(chain[0]);
    if (!is_direct) {
        if (!read_identity(chain[1], found->issuer_identity) || !read_serial(chain[1], found->issuer_serial)) {
            return false;
        }
        int64_t expires = gnutls_x509_crt_get_expiration_time(chain[1]);
        if (expires < found->expires) found->expires = expires;
    }
    *reason = (struct reason){"not_admitted", GNUTLS_A_ACCESS_DENIED};
    const chs_configuration *configuration = &peer->server->configuration;
    return configuration->admit_peer(configuration->context, found);
}

int chs_verify_peer(gnutls_session_t session) {
    chs_peer *peer = gnutls_session_get_ptr(session);
    struct reason reason = {"no_certificate", GNUTLS_A_CERTIFICATE_REQUIRED};
    unsigned sent = 0, imported = 0;
    const gnutls_datum_t *encoded = gnutls_certificate_get_peers(session, &sent);
    gnutls_x509_crt_t chain[2];
    bool is_readable = encoded != NULL && sent > 0;
    while (is_readable && imported < 2 && imported < sent) {
        if (gnutls_x509_crt_init(&chain[imported]) < 0) break;
        imported++;
        is_readable = gnutls_x509_crt_import(chain[imported - 1], &encoded[imported - 1], GNUTLS_X509_FMT_DER) >= 0;
        if (!is_readable) reason = (struct reason){"certificate_unreadable", GNUTLS_A_BAD_CERTIFICATE};
    }
    bool is_admitted = is_readable && imported > 0 && examine(peer, chain, imported, &reason);
    for (unsigned index = 0; index < imported; index++) gnutls_x509_crt_deinit(chain[index]);
    if (!is_admitted) {
        report(peer, reason.name);
        gnutls_alert_send(session, GNUTLS_AL_FATAL, reason.alert);
        return GNUTLS_E_CERTIFICATE_ERROR;
    }
    atomic_store(&peer->verified, true);
    // From here the connection is as silent as it likes, within the usual limit.
    MHD_set_connection_option(
        peer->connection, MHD_CONNECTION_OPTION_TIMEOUT, peer->server->configuration.idle_timeout_seconds);
    return 0;
}
