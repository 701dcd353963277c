// A server's certificate, key and authorities, as GnuTLS wants them.
#include <gnutls/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

/// Everything older goes with its ciphers.
const char *const ctls_priorities = "NORMAL:-VERS-ALL:+VERS-TLS1.3";

static gnutls_datum_t datum(const char *text) {
    return (gnutls_datum_t){.data = (unsigned char *)text, .size = text == NULL ? 0 : (unsigned)strlen(text)};
}

void ctls_credentials_release(ctls_credentials *credentials) {
    if (credentials == NULL || atomic_fetch_sub(&credentials->references, 1) != 1) return;
    if (credentials->own != NULL) gnutls_certificate_free_credentials(credentials->own);
    if (credentials->authorities != NULL) gnutls_x509_trust_list_deinit(credentials->authorities, 1);
    free(credentials);
}

ctls_credentials *ctls_credentials_retain(ctls_credentials *credentials) {
    if (credentials != NULL) atomic_fetch_add(&credentials->references, 1);
    return credentials;
}

static int load(
    ctls_credentials *credentials, const char *certificates, const char *key, const char *authorities,
    const char **step) {
    *step = "allocate";
    int result = gnutls_certificate_allocate_credentials(&credentials->own);
    if (result < 0) return result;
    gnutls_datum_t certificate_text = datum(certificates), key_text = datum(key), authority_text = datum(authorities);
    *step = "certificate and key";
    result = gnutls_certificate_set_x509_key_mem2(
        credentials->own, &certificate_text, &key_text, GNUTLS_X509_FMT_PEM, NULL, 0);
    if (result < 0 || authorities == NULL) return result;
    *step = "authorities";
    // The names of these are sent to the client, which may choose its certificate by them.
    result = gnutls_certificate_set_x509_trust_mem(credentials->own, &authority_text, GNUTLS_X509_FMT_PEM);
    if (result == 0) result = GNUTLS_E_NO_CERTIFICATE_FOUND;
    if (result > 0) result = gnutls_x509_trust_list_init(&credentials->authorities, 0);
    if (result >= 0) {
        result = gnutls_x509_trust_list_add_trust_mem(
            credentials->authorities, &authority_text, NULL, GNUTLS_X509_FMT_PEM, 0, 0);
    }
    return result;
}

ctls_credentials *ctls_credentials_create(
    const char *certificates, const char *key, const char *authorities, char *problem, size_t problem_length) {
    ctls_credentials *credentials = calloc(1, sizeof *credentials);
    if (credentials == NULL) return NULL;
    atomic_init(&credentials->references, 1);
    const char *step = NULL;
    int result = load(credentials, certificates, key, authorities, &step);
    if (result >= 0) return credentials;
    snprintf(problem, problem_length, "%s: %s", step, gnutls_strerror(result));
    ctls_credentials_release(credentials);
    return NULL;
}
