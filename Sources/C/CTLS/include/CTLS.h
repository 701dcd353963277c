// TLS 1.3 with client certificates, for servers: credentials that can be exchanged while a server runs, the one way in
// which clients are verified whatever they speak behind it (verify.c), and a stream over a socket (stream.c).
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// GnuTLS's session, for those who make their own (libmicrohttpd).
struct gnutls_session_int;

/// A server's certificate, key and trusted authorities, immutable and counted by reference.
typedef struct ctls_credentials ctls_credentials;

enum { CTLS_IDENTITY = 256, CTLS_SERIAL = 64 };

/// A verified client certificate. Empty texts: none.
typedef struct ctls_peer_certificate {
    char identity[CTLS_IDENTITY];  // the only URI among the subject's alternative names
    char serial[CTLS_SERIAL];      // lowercase hexadecimal, no leading zeros
    // Of the intermediate that signed it; empty where a trusted authority did so itself.
    char issuer_identity[CTLS_IDENTITY];
    char issuer_serial[CTLS_SERIAL];
    int64_t expires;  // seconds since 1970: the earlier end of certificate and intermediate
} ctls_peer_certificate;

/// All PEM. `authorities` NULL: clients are asked for no certificate. NULL on failure, with a reason in `problem`.
ctls_credentials *ctls_credentials_create(
    const char *certificates, const char *key, const char *authorities, char *problem, size_t problem_length);
ctls_credentials *ctls_credentials_retain(ctls_credentials *credentials);
/// NULL is fine.
void ctls_credentials_release(ctls_credentials *credentials);

// MARK: Who is behind a session

/// What a server decides about its clients.
typedef struct ctls_policy {
    /// Whether the holder of this verified certificate may come in (and stay). Any thread.
    bool (*admit)(void *context, const ctls_peer_certificate *certificate);
    void *admit_context;
    /// Called once: with NULL when the client was let in, else with the reason why not. In the handshake, or by
    /// `ctls_peer_end` where it was never finished. Not called where clients are asked for no certificate.
    void (*settled)(void *context, const char *reason);
    void *settled_context;
} ctls_policy;

typedef struct ctls_peer ctls_peer;

extern const char *const ctls_priorities;

/// Before the handshake: gives the session these credentials, and verifies its client by the policy. NULL when out of
/// memory: the handshake will fail.
ctls_peer *ctls_peer_begin(
    struct gnutls_session_int *session, ctls_credentials *credentials, const ctls_policy *policy);
/// Before the session goes: it must not know credentials that may go now.
void ctls_peer_end(ctls_peer *peer);
/// Clients are asked for certificates.
bool ctls_peer_is_asked(const ctls_peer *peer);
/// Not verified, or its certificate has expired or was denied since the handshake. False where none is asked for.
bool ctls_peer_is_refused(const ctls_peer *peer);
/// Asks the policy again; true if it refuses now what it admitted before. Any thread, while the peer lives.
bool ctls_peer_recheck(ctls_peer *peer);
/// NULL: it showed none (yet).
const ctls_peer_certificate *ctls_peer_certificate_of(const ctls_peer *peer);

// MARK: How often an address may come

/// An IPv4 address counts by itself, an IPv6 address by its /64: one customer has at least that many.
typedef struct ctls_address_key {
    uint8_t bytes[8];
    bool is_v6, is_loopback;
} ctls_address_key;

struct sockaddr;
/// False for unknown families.
bool ctls_read_address(const struct sockaddr *address, ctls_address_key *key);
uint64_t ctls_hash_address(const ctls_address_key *key, uint64_t seed);

/// Any thread.
typedef struct ctls_rate ctls_rate;
ctls_rate *ctls_rate_create(uint64_t seed);
/// NULL is fine.
void ctls_rate_free(ctls_rate *rate);
/// Whether this address may begin a handshake now. `per_second` 0: no limit. Times are monotonic.
bool ctls_rate_take(
    ctls_rate *rate, const ctls_address_key *key, double per_second, double burst, uint64_t now_ms);
/// The same for the peer of a socket; true where nobody knows who that is.
bool ctls_rate_take_socket(
    ctls_rate *rate, int socket, bool exempt_loopback, double per_second, double burst, uint64_t now_ms);

// MARK: A stream over a socket that never blocks. Used by one thread.

typedef struct ctls_stream ctls_stream;

enum { CTLS_WOULD_BLOCK = -1, CTLS_CLOSED = 0, CTLS_MAX_RECORD = 16384 };

/// NULL when out of memory. The socket stays the caller's. `policy.settled_context` must live as long as the stream.
ctls_stream *ctls_stream_begin(int socket, ctls_credentials *credentials, const ctls_policy *policy);
void ctls_stream_end(ctls_stream *stream);
/// Goes on with the handshake, or reads; `capacity` is at least CTLS_MAX_RECORD. Bytes read, or one of the above.
long ctls_stream_receive(ctls_stream *stream, void *bytes, size_t capacity);
/// After CTLS_WOULD_BLOCK the next call must offer the same bytes again (more may stand behind them).
long ctls_stream_send(ctls_stream *stream, const void *bytes, size_t count);
/// The handshake goes on when the socket can be written to.
bool ctls_stream_wants_to_write(const ctls_stream *stream);
/// Says goodbye if the handshake was finished; bytes that still come are read over.
void ctls_stream_finish_writing(ctls_stream *stream);
ctls_peer *ctls_stream_peer(ctls_stream *stream);
