// Who is let in. A session is given the server's current credentials before its handshake, so credentials are exchanged
// while the server runs: open connections keep those they began with.
//
// A client is let in only if (in this order)
//   1. its certificate was signed by a trusted authority, or by the one certificate it sent after its own, which a
//      trusted authority signed; dates, signatures, key usage, basic constraints and the purpose "TLS client" hold;
//   2. exactly one URI stands among its alternative names, and besides it only DNS names and addresses. The
//      distinguished name is never looked at;
//   3. the policy says so: it reads the URI, knows who may sign whom, and has the deny-list.
// 3 is asked again for every open connection when the deny-list changes.
//
// There are no session tickets (nobody enables any) and no early data, so every connection is verified anew.
#include <gnutls/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "internal.h"

static void settle(ctls_peer *peer, const char *reason) {
    if (peer->settled) return;
    peer->settled = true;
    peer->policy.settled(peer->policy.settled_context, reason);
}

/// False unless exactly one URI stands there, and besides it nothing but DNS names and addresses.
static bool read_identity(gnutls_x509_crt_t certificate, char identity[CTLS_IDENTITY]) {
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
        if (type != GNUTLS_SAN_URI || found || length == 0 || length >= CTLS_IDENTITY) return false;
        if (memchr(name, 0, length) != NULL) return false;
        memcpy(identity, name, length);
        identity[length] = 0;
        found = true;
    }
}

static bool read_serial(gnutls_x509_crt_t certificate, char serial[CTLS_SERIAL]) {
    unsigned char bytes[CTLS_SERIAL / 2 - 1];
    size_t length = sizeof bytes;
    if (gnutls_x509_crt_get_serial(certificate, bytes, &length) < 0) return false;
    size_t first = 0;
    while (first + 1 < length && bytes[first] == 0) first++;
    for (size_t index = first; index < length; index++) {
        snprintf(serial + 2 * (index - first), 3, "%02x", bytes[index]);
    }
    return true;
}

static bool is_trusted(
    ctls_credentials *credentials, gnutls_x509_crt_t *chain, unsigned length, unsigned *status) {
    gnutls_typed_vdata_st purpose = {.type = GNUTLS_DT_KEY_PURPOSE_OID, .data = (void *)GNUTLS_KP_TLS_WWW_CLIENT};
    *status = 0;
    int result = gnutls_x509_trust_list_verify_crt2(
        credentials->authorities, chain, length, &purpose, 1, 0, status, NULL);
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
static bool examine(ctls_peer *peer, gnutls_x509_crt_t *chain, unsigned sent, struct reason *reason) {
    ctls_peer_certificate *found = &peer->certificate;
    unsigned status = 0;
    bool is_direct = is_trusted(peer->credentials, chain, 1, &status);
    if (!is_direct && !(sent > 1 && is_trusted(peer->credentials, chain, 2, &status))) {
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
    return peer->policy.admit(peer->policy.admit_context, found);
}

/// GnuTLS asks this in the handshake.
static int verify(gnutls_session_t session) {
    ctls_peer *peer = gnutls_session_get_ptr(session);
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
        settle(peer, reason.name);
        gnutls_alert_send(session, GNUTLS_AL_FATAL, reason.alert);
        return GNUTLS_E_CERTIFICATE_ERROR;
    }
    atomic_store(&peer->verified, true);
    // A list that changed since we asked was not asked about this peer.
    if (!peer->policy.admit(peer->policy.admit_context, &peer->certificate)) atomic_store(&peer->refused, true);
    settle(peer, NULL);
    return 0;
}

// MARK: A peer's life

ctls_peer *ctls_peer_begin(gnutls_session_t session, ctls_credentials *credentials, const ctls_policy *policy) {
    ctls_peer *peer = calloc(1, sizeof *peer);
    if (peer == NULL) return NULL;
    peer->session = session;
    peer->credentials = ctls_credentials_retain(credentials);
    peer->policy = *policy;
    gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, credentials->own);
    if (credentials->authorities != NULL) {
        gnutls_session_set_ptr(session, peer);
        gnutls_session_set_verify_function(session, verify);
        gnutls_certificate_server_set_request(session, GNUTLS_CERT_REQUIRE);
    }
    return peer;
}

void ctls_peer_end(ctls_peer *peer) {
    if (ctls_peer_is_asked(peer)) settle(peer, "handshake_failed");
    gnutls_credentials_clear(peer->session);
    ctls_credentials_release(peer->credentials);
    free(peer);
}

bool ctls_peer_is_asked(const ctls_peer *peer) { return peer->credentials->authorities != NULL; }

bool ctls_peer_is_refused(const ctls_peer *peer) {
    if (!ctls_peer_is_asked(peer)) return false;
    return !atomic_load(&peer->verified) || atomic_load(&peer->refused) || time(NULL) > peer->certificate.expires;
}

bool ctls_peer_recheck(ctls_peer *peer) {
    if (!atomic_load(&peer->verified) || atomic_load(&peer->refused)) return false;
    if (peer->policy.admit(peer->policy.admit_context, &peer->certificate)) return false;
    atomic_store(&peer->refused, true);
    return true;
}

const ctls_peer_certificate *ctls_peer_certificate_of(const ctls_peer *peer) {
    return peer != NULL && atomic_load(&peer->verified) ? &peer->certificate : NULL;
}
