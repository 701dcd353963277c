// GnuTLS: the TLS under libmicrohttpd.
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
