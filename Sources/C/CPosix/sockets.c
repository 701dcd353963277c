// See sockets.h.
#define _GNU_SOURCE
#include "sockets.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

int columba_poll_create(void) { return epoll_create1(EPOLL_CLOEXEC); }

int columba_poll_change(int poll, int change, int descriptor, uint32_t interest, uint64_t token) {
    struct epoll_event event = {.events = 0, .data = {.u64 = token}};
    if (interest & COLUMBA_READABLE) event.events |= EPOLLIN;
    if (interest & COLUMBA_WRITABLE) event.events |= EPOLLOUT;
    int operation = change == COLUMBA_POLL_ADD      ? EPOLL_CTL_ADD
                    : change == COLUMBA_POLL_REMOVE ? EPOLL_CTL_DEL
                                                    : EPOLL_CTL_MOD;
    return epoll_ctl(poll, operation, descriptor, &event);
}

int columba_poll_wait(int poll, struct columba_poll_event *events, int capacity, int timeout_milliseconds) {
    struct epoll_event found[256];
    if (capacity > 256) capacity = 256;
    int count;
    do count = epoll_wait(poll, found, capacity, timeout_milliseconds);
    while (count < 0 && errno == EINTR);
    for (int index = 0; index < count; index++) {
        uint32_t interest = 0;
        if (found[index].events & EPOLLIN) interest |= COLUMBA_READABLE;
        if (found[index].events & EPOLLOUT) interest |= COLUMBA_WRITABLE;
        if (found[index].events & (EPOLLERR | EPOLLHUP)) interest |= COLUMBA_BROKEN;
        events[index].token = found[index].data.u64;
        events[index].interest = interest;
    }
    return count;
}

int columba_wake_create(void) { return eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC); }

void columba_wake_ring(int wake) {
    uint64_t one = 1;
    // EAGAIN: the counter is full, so the other side is awake already.
    while (write(wake, &one, sizeof one) < 0 && errno == EINTR) {
    }
}

void columba_wake_clear(int wake) {
    uint64_t rings;
    while (read(wake, &rings, sizeof rings) < 0 && errno == EINTR) {
    }
}

int columba_listen(const char *host, uint16_t *port, int backlog) {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address;
    memset(&address, 0, sizeof address);
    socklen_t length;
    if (inet_pton(AF_INET, host, &address.v4.sin_addr) == 1) {
        address.v4.sin_family = AF_INET;
        address.v4.sin_port = htons(*port);
        length = sizeof address.v4;
    } else if (inet_pton(AF_INET6, host, &address.v6.sin6_addr) == 1) {
        address.v6.sin6_family = AF_INET6;
        address.v6.sin6_port = htons(*port);
        length = sizeof address.v6;
    } else {
        errno = EINVAL;
        return -1;
    }
    int descriptor = socket(address.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (descriptor < 0) return -1;
    const int on = 1;
    // Restarting must not wait for the connections of the life before to leave TIME_WAIT.
    setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (address.any.sa_family == AF_INET6) setsockopt(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    if (bind(descriptor, &address.any, length) != 0 || listen(descriptor, backlog) != 0 ||
        getsockname(descriptor, &address.any, &length) != 0) {
        int error = errno;
        close(descriptor);
        errno = error;
        return -1;
    }
    *port = ntohs(address.any.sa_family == AF_INET ? address.v4.sin_port : address.v6.sin6_port);
    return descriptor;
}

int columba_accept(int listener) {
    int descriptor;
    do descriptor = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    while (descriptor < 0 && (errno == EINTR || errno == ECONNABORTED));
    if (descriptor < 0) return -1;
    const int on = 1, idle_seconds = 60, interval_seconds = 15, probes = 4;
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(descriptor, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    setsockopt(descriptor, IPPROTO_TCP, TCP_KEEPIDLE, &idle_seconds, sizeof idle_seconds);
    setsockopt(descriptor, IPPROTO_TCP, TCP_KEEPINTVL, &interval_seconds, sizeof interval_seconds);
    setsockopt(descriptor, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
    return descriptor;
}

_Bool columba_peer_address(int descriptor, char *text, uint64_t capacity) {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address;
    socklen_t length = sizeof address;
    if (getpeername(descriptor, &address.any, &length) != 0) return 0;
    const void *bytes = address.any.sa_family == AF_INET ? (const void *)&address.v4.sin_addr : &address.v6.sin6_addr;
    return inet_ntop(address.any.sa_family, bytes, text, (socklen_t)capacity) != NULL;
}

long columba_receive(int descriptor, void *bytes, uint64_t capacity) {
    ssize_t count;
    do count = recv(descriptor, bytes, capacity, 0);
    while (count < 0 && errno == EINTR);
    return count;
}

long columba_send(int descriptor, const void *bytes, uint64_t count) {
    ssize_t sent;
    do sent = send(descriptor, bytes, count, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent;
}

void columba_shutdown_writing(int descriptor) { shutdown(descriptor, SHUT_WR); }
