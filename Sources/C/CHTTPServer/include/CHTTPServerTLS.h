// TLS for CHTTPServer: credentials that can be exchanged while the server runs, and what is known of the client behind
// a connection. See tls.c.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// A server's certificate, key and trusted authorities, immutable and counted by reference.
typedef struct chs_tls chs_tls;

enum { CHS_PEER_IDENTITY = 256, CHS_PEER_SERIAL = 64 };

/// A verified client certificate. Empty texts: none.
typedef struct chs_peer_certificate {
    char identity[CHS_PEER_IDENTITY];  // the only URI among the subject's alternative names
    char serial[CHS_PEER_SERIAL];      // lowercase hexadecimal, no leading zeros
    // Of the intermediate that signed it; empty where a trusted authority did so itself.
    char issuer_identity[CHS_PEER_IDENTITY];
    char issuer_serial[CHS_PEER_SERIAL];
    int64_t expires;  // seconds since 1970: the earlier end of certificate and intermediate
} chs_peer_certificate;

/// All PEM. `authorities` NULL: clients are asked for no certificate. NULL on failure, with a reason in `problem`.
chs_tls *chs_tls_create(
    const char *certificates, const char *key, const char *authorities, char *problem, size_t problem_length);
void chs_tls_release(chs_tls *tls);
