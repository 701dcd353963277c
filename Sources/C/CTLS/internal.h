// Shared by the files of CTLS only.
#pragma once
#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <stdatomic.h>

#include "CTLS.h"

struct ctls_credentials {
    atomic_int references;
    gnutls_certificate_credentials_t own;
    gnutls_x509_trust_list_t authorities;  // NULL: clients are asked for no certificate
};

struct ctls_peer {
    gnutls_session_t session;
    ctls_credentials *credentials;
    ctls_policy policy;
    atomic_bool verified;  // `certificate` is written before and never after
    atomic_bool refused;   // by a later look at the deny-list
    bool settled;
    ctls_peer_certificate certificate;
};
