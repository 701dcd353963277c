// Measures the relay's MQTT listener: N connections on one thread, each with a window of QoS 1 publishes, for some
// seconds. Prints acknowledged publishes a second and the time from publish to PUBACK (p50, p99).
//   cc -O2 -o mqtt_load bench/mqtt_load.c && ./mqtt_load PORT CONNECTIONS WINDOW SECONDS [BYTES]
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MAX_WINDOW = 64, MAX_CONNECTIONS = 4096, MAX_SAMPLES = 4000000, PACKET = 4096 };

struct drone {
    int socket, number, under_way;
    uint32_t sent, acknowledged;
    uint64_t began[MAX_WINDOW];
    uint8_t input[1024];
    int have;
};

static struct drone drones[MAX_CONNECTIONS];
static uint32_t samples[MAX_SAMPLES];
static size_t sampled;
static int body_bytes = 1400;

static uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void die(const char *what) {
    perror(what);
    exit(1);
}

static int build(struct drone *drone, uint8_t *packet) {
    static char filler[PACKET];
    static int boot;
    if (filler[0] == 0) {
        memset(filler, 'x', sizeof filler);
        boot = (int)getpid();
    }
    char topic[64], body[PACKET];
    int topic_bytes = snprintf(topic, sizeof topic, "drones/load-%d/reports", drone->number);
    int count = snprintf(body, sizeof body,
                         "{\"drone_id\":\"load-%d\",\"boot\":\"%d\",\"seq\":%u,\"location\":{\"lat\":48.8,\"lon\":2.3},"
                         "\"citizens\":[{\"name\":\"Ada Martin\",\"peacescore\":72.5,\"confidence\":0.93}],\"words\":[",
                         drone->number, boot, drone->sent + 1);
    while (count < body_bytes - 14) count += snprintf(body + count, sizeof body - count, "\"%.8s\",", filler);
    count += snprintf(body + count, sizeof body - count, "\"end\"]}");
    int rest = 2 + topic_bytes + 2 + count, at = 0;
    packet[at++] = 0x32;
    packet[at++] = (uint8_t)(rest % 128 | 128);
    packet[at++] = (uint8_t)(rest / 128);
    packet[at++] = 0;
    packet[at++] = (uint8_t)topic_bytes;
    memcpy(packet + at, topic, topic_bytes);
    at += topic_bytes;
    uint16_t identifier = (uint16_t)(drone->sent % 60000 + 1);
    packet[at++] = (uint8_t)(identifier >> 8);
    packet[at++] = (uint8_t)identifier;
    memcpy(packet + at, body, count);
    return at + count;
}

static void fill(struct drone *drone, int window) {
    static uint8_t packets[MAX_WINDOW * PACKET];
    int bytes = 0;
    uint64_t began = now();
    while (drone->under_way < window) {
        bytes += build(drone, packets + bytes);
        drone->began[drone->sent % MAX_WINDOW] = began;
        drone->sent++;
        drone->under_way++;
    }
    for (int sent = 0; sent < bytes;) {
        ssize_t count = send(drone->socket, packets + sent, bytes - sent, MSG_NOSIGNAL);
        if (count < 0) die("send");
        sent += count;
    }
}

static int by_value(const void *a, const void *b) {
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    return left < right ? -1 : left > right;
}

int main(int count, char **arguments) {
    if (count < 5) return fprintf(stderr, "usage: mqtt_load PORT CONNECTIONS WINDOW SECONDS [BYTES]\n"), 2;
    int connections = atoi(arguments[2]), window = atoi(arguments[3]), poll = epoll_create1(0);
    double seconds = atof(arguments[4]);
    if (count > 5) body_bytes = atoi(arguments[5]);
    if (connections > MAX_CONNECTIONS || window > MAX_WINDOW || body_bytes > PACKET - 200) return 2;
    for (int index = 0; index < connections; index++) {
        struct drone *drone = &drones[index];
        struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(arguments[1]))};
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        drone->number = index;
        drone->socket = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(drone->socket, (struct sockaddr *)&address, sizeof address) != 0) die("connect");
        int on = 1;
        setsockopt(drone->socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        uint8_t hello[32] = {0x10, 0, 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 60, 0}, answer[4];
        int name = snprintf((char *)hello + 14, 16, "load-%d", index);
        hello[13] = (uint8_t)name;
        hello[1] = (uint8_t)(12 + name);
        if (send(drone->socket, hello, 14 + name, 0) < 0 || recv(drone->socket, answer, 4, MSG_WAITALL) != 4)
            die("CONNECT");
        struct epoll_event event = {.events = EPOLLIN, .data = {.ptr = drone}};
        epoll_ctl(poll, EPOLL_CTL_ADD, drone->socket, &event);
    }
    uint64_t began = now(), end = began + (uint64_t)(seconds * 1e9), acknowledged = 0;
    for (int index = 0; index < connections; index++) fill(&drones[index], window);
    while (now() < end) {
        struct epoll_event events[256];
        int ready = epoll_wait(poll, events, 256, 100);
        for (int index = 0; index < ready; index++) {
            struct drone *drone = events[index].data.ptr;
            ssize_t bytes = recv(drone->socket, drone->input + drone->have, sizeof drone->input - drone->have, 0);
            if (bytes <= 0) die("the relay closed a connection");
            drone->have += bytes;
            uint64_t at = now();
            int used = 0;
            for (; drone->have - used >= 4; used += 4) {
                if (drone->input[used] != 0x40) die("not a PUBACK");
                if (sampled < MAX_SAMPLES)
                    samples[sampled++] = (uint32_t)((at - drone->began[drone->acknowledged % MAX_WINDOW]) / 1000);
                drone->acknowledged++;
                drone->under_way--;
                acknowledged++;
            }
            drone->have -= used;
            memmove(drone->input, drone->input + used, drone->have);
            fill(drone, window);
        }
    }
    double elapsed = (double)(now() - began) / 1e9;
    qsort(samples, sampled, sizeof samples[0], by_value);
    if (sampled == 0) return 1;
    printf("%d connections, window %d: %.0f publishes/s acknowledged, p50 %.2f ms, p99 %.2f ms\n", connections, window,
           (double)acknowledged / elapsed, samples[sampled / 2] / 1e3, samples[sampled * 99 / 100] / 1e3);
    return 0;
}
