// What the load generator (bench/columba-bench) needs and Swift's Glibc module doesn't offer: epoll and memmem.
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>

#include "CHTTPClient.h"

int chc_poll_create(void) { return epoll_create1(EPOLL_CLOEXEC); }

int chc_poll_add(int poll, int descriptor, uint64_t tag) {
    struct epoll_event event = {.events = EPOLLIN, .data = {.u64 = tag}};
    return epoll_ctl(poll, EPOLL_CTL_ADD, descriptor, &event);
}

int chc_poll_wait(int poll, uint64_t *tags, int capacity, int64_t timeout_ns) {
    struct epoll_event events[256];
    if (capacity > 256) capacity = 256;
    struct timespec timeout = {.tv_sec = timeout_ns / 1000000000, .tv_nsec = timeout_ns % 1000000000};
    int count = epoll_pwait2(poll, events, capacity, &timeout, NULL);
    if (count < 0) return errno == EINTR ? 0 : -1;
    for (int index = 0; index < count; index++) tags[index] = events[index].data.u64;
    return count;
}

ptrdiff_t chc_find(const void *bytes, size_t length, const void *needle, size_t needle_length) {
    const char *found = memmem(bytes, length, needle, needle_length);
    return found == NULL ? -1 : found - (const char *)bytes;
}
