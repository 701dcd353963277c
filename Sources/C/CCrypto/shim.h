// OpenSSL marks SHA256_Init/Update/Final deprecated in favour of EVP. They are the only way to hash without a
// memory allocation and a provider lookup for every report, and reach the same SHA-NI code, so the mark is silenced.
#define OPENSSL_SUPPRESS_DEPRECATED 1
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
// Certificates (module Certificates).
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
