// One request's memory: its body, and what Swift asks about it. Exchanges are reused per server thread: beginning one
// allocates nothing once the thread has seen as many requests at a time before.
#define _GNU_SOURCE  // POLLRDHUP
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "internal.h"

/// Bodies up to this are not counted against max_body_bytes_in_flight, and their buffers are kept for reuse.
enum { CHS_SMALL_BODY = 16 * 1024, CHS_FREE_EXCHANGES = 512, CHS_FIRST_BODY = 4096, CHS_MAX_RESERVE = 256 * 1024 };

struct free_list {
    chs_exchange *first;
    unsigned count;
};
static pthread_once_t free_list_once = PTHREAD_ONCE_INIT;
static pthread_key_t free_list_key;
static _Thread_local struct free_list *thread_free_list;

static void destroy_free_list(void *value) {
    struct free_list *list = value;
    while (list->first != NULL) {
        chs_exchange *exchange = list->first;
        list->first = exchange->next_free;
        free(exchange->body);
        free(exchange);
    }
    free(list);
}

static void create_free_list_key(void) { pthread_key_create(&free_list_key, destroy_free_list); }

static struct free_list *free_list(void) {
    if (thread_free_list == NULL) {
        pthread_once(&free_list_once, create_free_list_key);
        thread_free_list = calloc(1, sizeof *thread_free_list);
        pthread_setspecific(free_list_key, thread_free_list);
    }
    return thread_free_list;
}

chs_exchange *chs_exchange_begin(
    chs_server *server, struct MHD_Connection *connection, const char *method, const char *path) {
    struct free_list *list = free_list();
    chs_exchange *exchange = list != NULL ? list->first : NULL;
    if (exchange != NULL) {
        list->first = exchange->next_free;
        list->count -= 1;
    } else {
        exchange = calloc(1, sizeof *exchange);
        if (exchange == NULL) return NULL;
    }
    exchange->server = server;
    exchange->connection = connection;
    exchange->method = method;
    exchange->path = path;
    exchange->content_length = -1;
    exchange->next_free = NULL;
    exchange->watched = chs_watched(connection);
    exchange->peer = exchange->watched == NULL ? NULL : exchange->watched->peer;
    atomic_store_explicit(&exchange->state, CHS_RECEIVING, memory_order_relaxed);
    atomic_fetch_add_explicit(&server->active, 1, memory_order_relaxed);
    return exchange;
}

void chs_exchange_drop_large_body(chs_exchange *exchange) {
    if (exchange->capacity > CHS_SMALL_BODY) {
        free(exchange->body);
        exchange->body = NULL;
        exchange->capacity = 0;
        exchange->length = 0;
    }
    if (exchange->counted > 0) {
        atomic_fetch_sub_explicit(&exchange->server->body_bytes, exchange->counted, memory_order_relaxed);
        exchange->counted = 0;
    }
}

void chs_exchange_end(chs_exchange *exchange) {
    chs_server *server = exchange->server;
    if (exchange->response != NULL) MHD_destroy_response(exchange->response);
    chs_exchange_drop_large_body(exchange);
    uint8_t *body = exchange->body;
    size_t capacity = exchange->capacity;
    memset(exchange, 0, sizeof *exchange);
    exchange->body = body;
    exchange->capacity = capacity;
    struct free_list *list = free_list();
    if (list != NULL && list->count < CHS_FREE_EXCHANGES) {
        exchange->next_free = list->first;
        list->first = exchange;
        list->count += 1;
    } else {
        free(body);
        free(exchange);
    }
    atomic_fetch_sub_explicit(&server->active, 1, memory_order_release);
}

static bool grow(chs_exchange *exchange, size_t needed) {
    size_t capacity = exchange->capacity == 0 ? CHS_FIRST_BODY : exchange->capacity;
    while (capacity < needed) capacity *= 2;
    // A declared length saves the doublings, but an honest client only: it commits memory up to CHS_MAX_RESERVE.
    if (exchange->content_length > 0) {
        size_t declared = (size_t)exchange->content_length + CHS_BODY_PADDING;
        if (declared > CHS_MAX_RESERVE) declared = CHS_MAX_RESERVE;
        if (capacity < declared) capacity = declared;
    }
    if (capacity > CHS_SMALL_BODY) {
        chs_server *server = exchange->server;
        size_t more = capacity - exchange->counted;
        size_t before = atomic_fetch_add_explicit(&server->body_bytes, more, memory_order_relaxed);
        exchange->counted += more;
        if (before + more > server->configuration.max_body_bytes_in_flight) return false;
    }
    uint8_t *body = realloc(exchange->body, capacity);
    if (body == NULL) return false;
    exchange->body = body;
    exchange->capacity = capacity;
    return true;
}

bool chs_exchange_append(chs_exchange *exchange, const void *bytes, size_t length) {
    size_t needed = exchange->length + length + CHS_BODY_PADDING;
    if (needed > exchange->capacity && !grow(exchange, needed)) return false;
    if (length > 0) memcpy(exchange->body + exchange->length, bytes, length);
    exchange->length += length;
    memset(exchange->body + exchange->length, 0, CHS_BODY_PADDING);
    return true;
}

const ctls_peer_certificate *chs_exchange_peer(const chs_exchange *exchange) {
    return chs_peer_certificate_of(exchange->peer);
}

const char *chs_exchange_method(const chs_exchange *exchange) { return exchange->method; }
const char *chs_exchange_path(const chs_exchange *exchange) { return exchange->path; }
int64_t chs_exchange_content_length(const chs_exchange *exchange) { return exchange->content_length; }
const uint8_t *chs_exchange_body(const chs_exchange *exchange) { return exchange->body; }
size_t chs_exchange_body_length(const chs_exchange *exchange) { return exchange->length; }
size_t chs_exchange_body_capacity(const chs_exchange *exchange) { return exchange->length + CHS_BODY_PADDING; }

const char *chs_exchange_header(const chs_exchange *exchange, const char *name) {
    return MHD_lookup_connection_value(exchange->connection, MHD_HEADER_KIND, name);
}

struct query_visit {
    void *context;
    void (*each)(void *, const char *, size_t, const char *, size_t);
};

static enum MHD_Result visit_query_item(
    void *context, enum MHD_ValueKind kind, const char *name, size_t name_length, const char *value,
    size_t value_length) {
    (void)kind;
    struct query_visit *visit = context;
    visit->each(visit->context, name, name_length, value, value_length);
    return MHD_YES;
}

void chs_exchange_query(
    const chs_exchange *exchange, void *context,
    void (*each)(void *, const char *, size_t, const char *, size_t)) {
    struct query_visit visit = {.context = context, .each = each};
    MHD_get_connection_values_n(exchange->connection, MHD_GET_ARGUMENT_KIND, visit_query_item, &visit);
}

bool chs_exchange_remote_address(const chs_exchange *exchange, char *buffer, size_t buffer_length, uint16_t *port) {
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(exchange->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    if (info == NULL || info->client_addr == NULL) return false;
    if (info->client_addr->sa_family == AF_INET) {
        const struct sockaddr_in *address = (const struct sockaddr_in *)info->client_addr;
        *port = ntohs(address->sin_port);
        return inet_ntop(AF_INET, &address->sin_addr, buffer, (socklen_t)buffer_length) != NULL;
    }
    if (info->client_addr->sa_family == AF_INET6) {
        const struct sockaddr_in6 *address = (const struct sockaddr_in6 *)info->client_addr;
        *port = ntohs(address->sin6_port);
        return inet_ntop(AF_INET6, &address->sin6_addr, buffer, (socklen_t)buffer_length) != NULL;
    }
    return false;
}

bool chs_exchange_client_gone(const chs_exchange *exchange) {
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(exchange->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    if (info == NULL) return true;
    struct pollfd socket = {.fd = info->connect_fd, .events = POLLRDHUP};
    return poll(&socket, 1, 0) > 0 && (socket.revents & (POLLRDHUP | POLLHUP | POLLERR | POLLNVAL)) != 0;
}

chs_response *chs_response_create(const void *body, size_t body_length) {
    return (chs_response *)MHD_create_response_from_buffer(body_length, (void *)body, MHD_RESPMEM_MUST_COPY);
}

chs_response *chs_response_create_from_file(chs_exchange *exchange, const char *path) {
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return NULL;
    struct stat about;
    struct MHD_Response *response =
        fstat(file, &about) == 0 ? MHD_create_response_from_fd64((uint64_t)about.st_size, file) : NULL;
    if (response == NULL) {
        close(file);
        return NULL;
    }
    // A client that takes its time with gigabytes is no slow reader; the idle timeout still looks after it.
    exchange->is_stream = true;
    return (chs_response *)response;
}

bool chs_response_add_header(chs_response *response, const char *name, const char *value) {
    return MHD_add_response_header((struct MHD_Response *)response, name, value) == MHD_YES;
}
