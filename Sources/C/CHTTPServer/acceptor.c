// Accepts connections on a thread of its own and deals them out to libmicrohttpd's threads.
//
// Why not let libmicrohttpd accept: its way to stop accepting (MHD_quiesce_daemon, 0.9.75) aborts the process when a
// server thread looks at its listening socket at the same moment ("Failed to remove listen FD from epoll set"), and
// whichever thread wakes first takes most connections. Here connections are dealt out evenly, their number is exact,
// and stopping is: wake the thread, join it, close the socket.
#define _GNU_SOURCE  // accept4
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "internal.h"

enum { CHS_BACKLOG = 4096, CHS_RETRY_ACCEPT_MS = 10 };

static int open_listen_socket(const chs_configuration *configuration, const char **operation, int *error_number) {
    char port[8];
    snprintf(port, sizeof port, "%u", (unsigned)configuration->port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE};
    struct addrinfo *address = NULL;
    *operation = "read the address";
    if (getaddrinfo(configuration->host, port, &hints, &address) != 0) {
        *error_number = EINVAL;
        return -1;
    }
    int on = 1;
    *operation = "socket";
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool ready = fd >= 0;
    if (ready) {
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        // Accepted sockets inherit this: an answer is never held back to wait for more.
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        *operation = "bind";
        ready = bind(fd, address->ai_addr, address->ai_addrlen) == 0;
    }
    if (ready) {
        *operation = "listen";
        ready = listen(fd, CHS_BACKLOG) == 0;
    }
    if (!ready) {
        *error_number = errno;
        if (fd >= 0) close(fd);
        fd = -1;
    }
    freeaddrinfo(address);
    return fd;
}

static uint16_t bound_port(int fd) {
    struct sockaddr_storage address;
    socklen_t length = sizeof address;
    if (getsockname(fd, (struct sockaddr *)&address, &length) != 0) return 0;
    if (address.ss_family == AF_INET6) return ntohs(((struct sockaddr_in6 *)&address)->sin6_port);
    return ntohs(((struct sockaddr_in *)&address)->sin_port);
}

bool chs_listen(chs_server *server, const char **operation, int *error_number) {
    server->listen_socket = open_listen_socket(&server->configuration, operation, error_number);
    if (server->listen_socket < 0) return false;
    server->port = bound_port(server->listen_socket);
    return true;
}

int chs_open_placeholder_socket(void) {
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    // Without a path Linux gives it an abstract name of its own.
    if (fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof(sa_family_t)) == 0 && listen(fd, 1) == 0) return fd;
    int error_number = errno;
    if (fd >= 0) close(fd);
    errno = error_number;
    return -1;
}

enum MHD_Result chs_accept_policy(void *context, const struct sockaddr *address, socklen_t length) {
    (void)context, (void)length;
    return address != NULL && address->sa_family != AF_UNIX ? MHD_YES : MHD_NO;
}

static void connection_gone(chs_server *server) {
    pthread_mutex_lock(&server->places);
    server->connections -= 1;
    pthread_cond_signal(&server->place_free);
    pthread_mutex_unlock(&server->places);
}

void chs_connection_changed(
    void *context, struct MHD_Connection *connection, void **socket_context,
    enum MHD_ConnectionNotificationCode change) {
    chs_server *server = context;
    chs_connection *watched = *socket_context;
    if (change == MHD_CONNECTION_NOTIFY_STARTED) {
        *socket_context = watched = chs_watch_begin(server, connection);
        if (watched != NULL && server->configuration.tls != NULL) watched->peer = chs_peer_begin(server, connection);
    } else if (change == MHD_CONNECTION_NOTIFY_CLOSED) {
        if (watched != NULL && watched->peer != NULL) chs_peer_end(watched->peer);
        pthread_mutex_lock(&server->places);
        chs_watch_end(server, connection, watched);
        pthread_mutex_unlock(&server->places);
        *socket_context = NULL;
        connection_gone(server);
    }
}

/// False when the server is closing.
static bool wait_for_place(chs_server *server) {
    pthread_mutex_lock(&server->places);
    while (server->connections >= server->limits.max_connections && !atomic_load(&server->closing)) {
        pthread_cond_wait(&server->place_free, &server->places);
    }
    pthread_mutex_unlock(&server->places);
    return !atomic_load(&server->closing);
}

/// Takes a place for the connection; false when its address has too many.
static bool take_place(chs_server *server, const struct sockaddr *address) {
    pthread_mutex_lock(&server->places);
    bool taken = chs_address_take(server, address);
    if (taken) {
        server->connections += 1;
        server->unknown += 1;
        chs_make_room(server);
    } else {
        server->cuts[CHS_CUT_ADDRESS] += 1;
    }
    pthread_mutex_unlock(&server->places);
    return taken;
}

static void turn_away(chs_server *server, int fd) {
    static const char body[] =
        "{\"type\":\"about:blank\",\"title\":\"Too Many Requests\",\"status\":429,\"code\":\"too_many_connections\","
        "\"detail\":\"This address has too many connections without a good request. Close some, then try again.\"}";
    char answer[512];
    int length = snprintf(
        answer, sizeof answer,
        "HTTP/1.1 429 Too Many Requests\r\nContent-Type: application/problem+json\r\nContent-Length: %zu\r\n"
        "Retry-After: 10\r\nConnection: close\r\n\r\n%s",
        sizeof body - 1, body);
    // One try: an address that already has too many connections is not waited for.
    if (server->configuration.is_plain) send(fd, answer, (size_t)length, MSG_NOSIGNAL | MSG_DONTWAIT);
    shutdown(fd, SHUT_WR);
    close(fd);
}

static void *accept_connections(void *context) {
    chs_server *server = context;
    while (wait_for_place(server)) {
        struct sockaddr_storage address;
        socklen_t length = sizeof address;
        int fd = accept4(server->listen_socket, (struct sockaddr *)&address, &length, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0) {
            // Out of descriptors or memory: others have to close some first. Anything else concerns that client only.
            bool exhausted = errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM;
            if (exhausted) poll(NULL, 0, CHS_RETRY_ACCEPT_MS);
            continue;
        }
        if (!chs_address_may_shake_hands(server, (struct sockaddr *)&address)) {
            chs_report_refused(server, "handshake_rate", (struct sockaddr *)&address);
            close(fd);
            continue;
        }
        if (!take_place(server, (struct sockaddr *)&address)) {
            turn_away(server, fd);
            continue;
        }
        // Closes the socket itself when it fails.
        if (MHD_add_connection(server->daemon, fd, (struct sockaddr *)&address, length) != MHD_YES) {
            pthread_mutex_lock(&server->places);
            chs_address_give_back(server, (struct sockaddr *)&address);
            chs_unknown_end(server, NULL);
            pthread_mutex_unlock(&server->places);
            connection_gone(server);
        }
    }
    return NULL;
}

bool chs_start_accepting(chs_server *server) {
    if (pthread_create(&server->acceptor, NULL, accept_connections, server) != 0) return false;
    pthread_setname_np(server->acceptor, "http-accept");
    return true;
}

void chs_server_stop_accepting(chs_server *server) {
    if (atomic_exchange(&server->closing, true)) return;
    pthread_mutex_lock(&server->places);
    pthread_cond_signal(&server->place_free);
    pthread_mutex_unlock(&server->places);
    shutdown(server->listen_socket, SHUT_RDWR);  // wakes accept
    pthread_join(server->acceptor, NULL);
    close(server->listen_socket);
}

unsigned chs_server_connections(chs_server *server) {
    pthread_mutex_lock(&server->places);
    unsigned connections = server->connections;
    pthread_mutex_unlock(&server->places);
    return connections;
}
