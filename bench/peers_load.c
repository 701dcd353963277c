// Loads one of Columba's peers the way `columba-bench load` loads a relay: N connections on one thread, each sends a
// message of B bytes, waits until the peer acknowledges it, and sends the next. Prints one JSON object.
//   cc -O2 -o peers_load bench/peers_load.c && ./peers_load redis|nats|mqtt PORT CONNECTIONS SECONDS BYTES
// redis: XADD to one stream. nats: JetStream publish with a reply (the stream "reports" is made first). mqtt: QoS 1 to
// a topic for which a sleeping subscriber with a persistent session waits, so that the broker has to keep every
// message.
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

enum { MAX_CONNECTIONS = 1024, MAX_SAMPLES = 8000000, INPUT = 16384, PACKET = 16384 };
enum protocol { REDIS, NATS, MQTT };

struct client {
    int socket, number;
    uint64_t began;
    char input[INPUT];
    int have;
    char packet[PACKET];
    int length;
};

static enum protocol protocol;
static int port, bytes;
static char *payload;
static struct client clients[MAX_CONNECTIONS];
static uint32_t samples[MAX_SAMPLES];
static size_t sampled;

static void fail(const char *what, const char *text, int length) {
    fprintf(stderr, "peers_load: %s: %.*s\n", what, length, text);
    exit(1);
}

static uint64_t now_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void send_all(struct client *client, const char *data, int length) {
    while (length > 0) {
        ssize_t sent = send(client->socket, data, (size_t)length, MSG_NOSIGNAL);
        if (sent <= 0) fail("send", strerror(errno), 100);
        data += sent;
        length -= (int)sent;
    }
}

static int receive(struct client *client) {
    ssize_t got = recv(client->socket, client->input + client->have, (size_t)(INPUT - client->have - 1), 0);
    if (got <= 0) fail("the peer closed the connection", got < 0 ? strerror(errno) : "", 100);
    client->have += (int)got;
    client->input[client->have] = 0;
    return client->have;
}

static void drop(struct client *client, int count) {
    memmove(client->input, client->input + count, (size_t)(client->have - count + 1));
    client->have -= count;
}

/// Takes one answer from the input. False: more must be received.
static int take_answer(struct client *client) {
    for (;;) {
        if (client->have == 0) return 0;
        if (protocol == MQTT) {
            if (client->have < 4) return 0;
            if ((client->input[0] & 0xf0) != 0x40) fail("not a PUBACK", "", 0);
            drop(client, 4);
            return 1;
        }
        char *end = memmem(client->input, (size_t)client->have, "\r\n", 2);
        if (!end) return 0;
        int line = (int)(end - client->input) + 2;
        if (protocol == REDIS) {
            if (client->input[0] != '$') fail("Redis answers", client->input, line);
            int whole = line + atoi(client->input + 1) + 2;
            if (client->have < whole) return 0;
            drop(client, whole);
            return 1;
        }
        if (strncmp(client->input, "MSG ", 4) != 0) {
            if (client->input[0] == '-') fail("NATS answers", client->input, line);
            if (strncmp(client->input, "PING", 4) == 0) send_all(client, "PONG\r\n", 6);
            drop(client, line);
            continue;
        }
        *end = 0;
        int whole = line + atoi(strrchr(client->input, ' ') + 1) + 2;
        *end = '\r';
        if (client->have < whole) return 0;
        if (memmem(client->input, (size_t)whole, "\"error\"", 7)) fail("JetStream answers", client->input, whole);
        drop(client, whole);
        return 1;
    }
}

static void wait_answer(struct client *client) {
    while (!take_answer(client)) receive(client);
}

static void connect_client(struct client *client, int number) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int on = 1;
    client->number = number;
    client->have = 0;
    client->socket = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(client->socket, (struct sockaddr *)&address, sizeof address) != 0)
        fail("connect", strerror(errno), 100);
    setsockopt(client->socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static int mqtt_string(char *to, const char *text) {
    int length = (int)strlen(text);
    to[0] = (char)(length >> 8);
    to[1] = (char)length;
    memcpy(to + 2, text, (size_t)length);
    return length + 2;
}

/// CONNECT, and its answer of four bytes. `flags` 0: the session stays.
static void mqtt_connect(struct client *client, const char *name, char flags) {
    char packet[128] = {0x10, 0, 0, 4, 'M', 'Q', 'T', 'T', 4, flags, 0, 0};
    int length = 12 + mqtt_string(packet + 12, name);
    packet[1] = (char)(length - 2);
    send_all(client, packet, length);
    while (receive(client) < 4) {}
    if (client->input[0] != 0x20 || client->input[3] != 0) fail("the broker refuses", "", 0);
    drop(client, 4);
}

/// Once, before the load: what makes the peer keep the messages.
static void prepare(void) {
    static struct client keeper;
    if (protocol == REDIS) return;
    connect_client(&keeper, -1);
    if (protocol == NATS) {
        const char *config =
            "{\"name\":\"reports\",\"subjects\":[\"reports\"],\"storage\":\"file\",\"num_replicas\":1}";
        char packet[512];
        int length = sprintf(
            packet,
            "CONNECT {\"verbose\":false}\r\nSUB keeper 1\r\n"
            "PUB $JS.API.STREAM.CREATE.reports keeper %d\r\n%s\r\n",
            (int)strlen(config), config);
        send_all(&keeper, packet, length);
        wait_answer(&keeper);
    } else {
        mqtt_connect(&keeper, "keeper", 0);
        char packet[64] = {(char)0x82, 0, 0, 1};
        int length = 4 + mqtt_string(packet + 4, "reports");
        packet[length++] = 1;
        packet[1] = (char)(length - 2);
        send_all(&keeper, packet, length);
        while (receive(&keeper) < 5) {}
        send_all(&keeper, "\xe0\0", 2);
    }
    close(keeper.socket);
}

static void begin(struct client *client) {
    char name[32];
    sprintf(name, "client-%d", client->number);
    if (protocol == REDIS) {
        client->length = sprintf(
            client->packet, "*5\r\n$4\r\nXADD\r\n$7\r\nreports\r\n$1\r\n*\r\n$1\r\nr\r\n$%d\r\n%s\r\n", bytes, payload);
    } else if (protocol == NATS) {
        char packet[128];
        send_all(client, packet, sprintf(packet, "CONNECT {\"verbose\":false}\r\nSUB %s 1\r\n", name));
        client->length = sprintf(client->packet, "PUB reports %s %d\r\n%s\r\n", name, bytes, payload);
    } else {
        mqtt_connect(client, name, 2);
        int rest = 2 + 7 + 2 + bytes;
        client->packet[0] = 0x32;
        client->packet[1] = (char)(rest % 128 | 128);
        client->packet[2] = (char)(rest / 128);
        int length = 3 + mqtt_string(client->packet + 3, "reports");
        client->packet[length++] = 0;
        client->packet[length++] = 1;
        memcpy(client->packet + length, payload, (size_t)bytes);
        client->length = length + bytes;
    }
}

static void send_next(struct client *client) {
    client->began = now_us();
    send_all(client, client->packet, client->length);
}

static int ascending(const void *left, const void *right) {
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    return a < b ? -1 : a > b;
}

int main(int count, char **arguments) {
    const char *names[] = {"redis", "nats", "mqtt"};
    int known = 0;
    for (int index = 0; count == 6 && index < 3; index++)
        if (strcmp(arguments[1], names[index]) == 0) protocol = (enum protocol)index, known = 1;
    if (!known) return fprintf(stderr, "usage: peers_load redis|nats|mqtt PORT CONNECTIONS SECONDS BYTES\n"), 2;
    port = atoi(arguments[2]);
    int connections = atoi(arguments[3]);
    double seconds = atof(arguments[4]);
    bytes = atoi(arguments[5]);
    if (connections < 1 || connections > MAX_CONNECTIONS || bytes < 128 || bytes > 8192)
        return fprintf(stderr, "peers_load: 1 to %d connections, 128 to 8192 bytes\n", MAX_CONNECTIONS), 2;
    payload = malloc((size_t)bytes + 1);
    for (int index = 0; index < bytes; index++) payload[index] = "abcdefghijklmnopqrstuvwxyz0123456789"[rand() % 36];
    payload[bytes] = 0;
    prepare();
    int poll = epoll_create1(EPOLL_CLOEXEC);
    for (int index = 0; index < connections; index++) {
        connect_client(&clients[index], index);
        begin(&clients[index]);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &clients[index]};
        epoll_ctl(poll, EPOLL_CTL_ADD, clients[index].socket, &event);
    }
    uint64_t start = now_us(), end = start + (uint64_t)(seconds * 1e6);
    for (int index = 0; index < connections; index++) send_next(&clients[index]);
    while (now_us() < end) {
        struct epoll_event events[MAX_CONNECTIONS];
        int ready = epoll_wait(poll, events, MAX_CONNECTIONS, 100);
        for (int index = 0; index < ready; index++) {
            struct client *client = events[index].data.ptr;
            receive(client);
            while (take_answer(client)) {
                if (sampled < MAX_SAMPLES) samples[sampled++] = (uint32_t)(now_us() - client->began);
                send_next(client);
            }
        }
    }
    double elapsed = (double)(now_us() - start) / 1e6;
    if (sampled == 0) fail("no message was acknowledged", "", 0);
    qsort(samples, sampled, sizeof samples[0], ascending);
    printf("{\"per_s\":%.0f,\"p50_ms\":%.3f,\"p99_ms\":%.3f}\n", (double)sampled / elapsed, samples[sampled / 2] / 1e3,
           samples[sampled * 99 / 100] / 1e3);
    return 0;
}
