// epoll, eventfd and TCP sockets as Swift can call them: glibc's module has no epoll, and addresses are unions in C.
#ifndef COLUMBA_SOCKETS_H
#define COLUMBA_SOCKETS_H

#include <stdint.h>

enum columba_interest {
    COLUMBA_READABLE = 1,
    COLUMBA_WRITABLE = 2,
    COLUMBA_BROKEN = 4, // reported always, never asked for: error or hang-up
};

struct columba_poll_event {
    uint64_t token;
    uint32_t interest;
};

enum columba_poll_change { COLUMBA_POLL_ADD = 1, COLUMBA_POLL_REMOVE = 2, COLUMBA_POLL_MODIFY = 3 };

/// An epoll descriptor, close-on-exec; -1 with errno.
int columba_poll_create(void);

/// Level-triggered. 0, or -1 with errno.
int columba_poll_change(int poll, int change, int descriptor, uint32_t interest, uint64_t token);

/// The number of events, 0 after the timeout, -1 with errno (EINTR is tried again).
int columba_poll_wait(int poll, struct columba_poll_event *events, int capacity, int timeout_milliseconds);

/// An eventfd, non-blocking, close-on-exec; -1 with errno.
int columba_wake_create(void);
void columba_wake_ring(int wake);
void columba_wake_clear(int wake);

/// Listens on a numeric IPv4 or IPv6 address, non-blocking. `port` holds the wanted port (0: any) and gets the bound
/// one. The descriptor, or -1 with errno.
int columba_listen(const char *host, uint16_t *port, int backlog);

/// The next connection, non-blocking, without Nagle's delay, with TCP keep-alive probes; -1 with errno.
int columba_accept(int listener);

/// The peer's numeric address, without its port; false if it is unknown.
_Bool columba_peer_address(int descriptor, char *text, uint64_t capacity);

/// Bytes moved; 0: the peer closed (receive only); -1 with errno. Never raises SIGPIPE.
long columba_receive(int descriptor, void *bytes, uint64_t capacity);
long columba_send(int descriptor, const void *bytes, uint64_t count);

/// No more bytes will be sent; what was sent still arrives.
void columba_shutdown_writing(int descriptor);

#endif
