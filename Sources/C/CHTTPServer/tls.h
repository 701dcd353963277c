// TLS among the files of CHTTPServer. A peer is the client behind one TLS connection; it is libmicrohttpd's context of
// that connection.
#pragma once
#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <microhttpd.h>

#include "CHTTPServer.h"

typedef struct chs_peer chs_peer;

struct sockaddr;
/// Tells Swift why a client was not let in.
void chs_report_refused(chs_server *server, const char *reason, const struct sockaddr *address);
/// NULL when out of memory: the handshake will fail.
chs_peer *chs_peer_begin(chs_server *server, struct MHD_Connection *connection);
void chs_peer_end(chs_peer *peer);
/// Its certificate has expired or was denied since the handshake.
bool chs_peer_is_refused(const chs_peer *peer);
/// NULL: it showed none.
const ctls_peer_certificate *chs_peer_certificate_of(const chs_peer *peer);
/// libmicrohttpd insists on knowing a certificate; every connection gets other credentials before it asks for one.
int chs_tls_unused_certificate_callback(
    gnutls_session_t session, const struct gnutls_cert_retr_st *info, gnutls_pcert_st **certificates,
    unsigned *certificate_count, gnutls_ocsp_data_st **ocsp, unsigned *ocsp_count, gnutls_privkey_t *key,
    unsigned *flags);
