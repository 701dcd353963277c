// One blocking HTTP exchange over libcurl. What is switched off is switched off on purpose: redirects (a relay's
// central is configured, not discovered), proxies (loopback must never go through a proxy variable of the
// environment), signals, netrc, every protocol but HTTP.
#include "CHTTPClient.h"

#include "address_filter.h"

#include <curl/curl.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

/// No server of ours sends headers beyond a few hundred bytes.
enum { CHC_MAX_HEADERS = 64 * 1024 };

struct chc_client {
    CURL *easy;
};

struct transfer {
    const chc_request *request;
    chc_response *response;
    CURL *easy;
    size_t body_capacity, headers_capacity;
    bool too_large, cancelled, status_given;
};

static pthread_once_t global_once = PTHREAD_ONCE_INIT;
static void global_init(void) { curl_global_init(CURL_GLOBAL_DEFAULT); }

chc_client *chc_client_create(void) {
    pthread_once(&global_once, global_init);
    chc_client *client = calloc(1, sizeof *client);
    if (client == NULL) return NULL;
    client->easy = curl_easy_init();
    if (client->easy == NULL) {
        free(client);
        return NULL;
    }
    return client;
}

void chc_client_destroy(chc_client *client) {
    curl_easy_cleanup(client->easy);
    free(client);
}

static bool append(void **bytes, size_t *length, size_t *capacity, const void *more, size_t more_length) {
    if (*length + more_length > *capacity) {
        size_t larger = *capacity == 0 ? 1024 : *capacity;
        while (larger < *length + more_length) larger *= 2;
        void *grown = realloc(*bytes, larger);
        if (grown == NULL) return false;
        *bytes = grown;
        *capacity = larger;
    }
    memcpy((char *)*bytes + *length, more, more_length);
    *length += more_length;
    return true;
}

static size_t on_header(char *bytes, size_t size, size_t count, void *context) {
    struct transfer *transfer = context;
    size_t length = size * count;
    chc_response *response = transfer->response;
    // A new status line (after "100 Continue", say) begins a new answer.
    if (length >= 5 && memcmp(bytes, "HTTP/", 5) == 0) response->headers_length = 0;
    if (response->headers_length + length > CHC_MAX_HEADERS) {
        transfer->too_large = true;
        return 0;
    }
    void *headers = response->headers;
    bool added = append(&headers, &response->headers_length, &transfer->headers_capacity, bytes, length);
    response->headers = headers;
    return added ? length : 0;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *context) {
    struct transfer *transfer = context;
    const chc_request *request = transfer->request;
    chc_response *response = transfer->response;
    size_t length = size * count;
    if (request->on_bytes != NULL) {
        if (!transfer->status_given && request->on_status != NULL) {
            transfer->status_given = true;
            long status = 0;
            curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
            if (!request->on_status(request->context, status)) transfer->cancelled = true;
        }
        if (!transfer->cancelled && !request->on_bytes(request->context, bytes, length)) transfer->cancelled = true;
        return transfer->cancelled ? 0 : length;
    }
    if (length > request->max_response_bytes - response->body_length) {
        transfer->too_large = true;
        return 0;
    }
    void *body = response->body;
    bool added = append(&body, &response->body_length, &transfer->body_capacity, bytes, length);
    response->body = body;
    return added ? length : 0;
}

static int on_progress(void *context, curl_off_t total, curl_off_t now, curl_off_t up_total, curl_off_t up_now) {
    (void)total, (void)now, (void)up_total, (void)up_now;
    struct transfer *transfer = context;
    const chc_request *request = transfer->request;
    if (request->cancelled != NULL && request->cancelled(request->context)) transfer->cancelled = true;
    return transfer->cancelled;
}

static int outcome(CURLcode code, const struct transfer *transfer) {
    if (transfer->cancelled) return CHC_CANCELLED;
    if (transfer->too_large) return CHC_TOO_LARGE;
    switch (code) {
        case CURLE_OK: return CHC_OK;
        case CURLE_UNSUPPORTED_PROTOCOL:
        case CURLE_URL_MALFORMAT: return CHC_INVALID_REQUEST;
        case CURLE_COULDNT_RESOLVE_HOST: return CHC_COULD_NOT_RESOLVE;
        case CURLE_COULDNT_CONNECT: return CHC_COULD_NOT_CONNECT;
        case CURLE_OPERATION_TIMEDOUT: return CHC_TIMED_OUT;
        case CURLE_GOT_NOTHING:
        case CURLE_SEND_ERROR:
        case CURLE_RECV_ERROR:
        case CURLE_PARTIAL_FILE: return CHC_CLOSED;
        case CURLE_SSL_CONNECT_ERROR: return CHC_HANDSHAKE;
        case CURLE_PEER_FAILED_VERIFICATION:
        case CURLE_SSL_CERTPROBLEM:
        case CURLE_SSL_CACERT_BADFILE:
        case CURLE_SSL_CIPHER: return CHC_TLS;
        case CURLE_WEIRD_SERVER_REPLY:
        case CURLE_BAD_CONTENT_ENCODING:
        case CURLE_HTTP2:
        case CURLE_HTTP2_STREAM: return CHC_BAD_ANSWER;
        default: return CHC_OTHER;
    }
}

/// A peer that is gone without a word: bytes it does not acknowledge end the connection (TCP_USER_TIMEOUT), and while
/// nothing is under way probes ask for it, three within the same time.
static int watch_peer(void *context, curl_socket_t socket, curlsocktype purpose) {
    (void)purpose;
    const chc_request *request = context;
    unsigned milliseconds = request->dead_peer_seconds * 1000;
    int interval = (int)(request->dead_peer_seconds / 3 > 0 ? request->dead_peer_seconds / 3 : 1), count = 2, on = 1;
    setsockopt(socket, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    setsockopt(socket, IPPROTO_TCP, TCP_KEEPIDLE, &interval, sizeof interval);
    setsockopt(socket, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
    setsockopt(socket, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
    setsockopt(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, &milliseconds, sizeof milliseconds);
    return CURL_SOCKOPT_OK;
}

static long round_trip_us(CURL *easy) {
    curl_socket_t socket = CURL_SOCKET_BAD;
    if (curl_easy_getinfo(easy, CURLINFO_ACTIVESOCKET, &socket) != CURLE_OK || socket == CURL_SOCKET_BAD) return 0;
    struct tcp_info info;
    memset(&info, 0, sizeof info);
    socklen_t length = sizeof info;
    if (getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &length) != 0) return 0;
    if (length < offsetof(struct tcp_info, tcpi_min_rtt) + sizeof info.tcpi_min_rtt) return 0;
    return info.tcpi_min_rtt == ~0U ? 0 : (long)info.tcpi_min_rtt;
}

static void set_method(CURL *easy, const chc_request *request) {
    if (request->has_body) {
        curl_easy_setopt(easy, CURLOPT_POST, 1L);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_length);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request->body_length > 0 ? request->body : "");
    } else if (strcmp(request->method, "HEAD") == 0) {
        curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    } else {
        curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
    }
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method);
}

static void set_limits(CURL *easy, const chc_request *request) {
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, request->timeout_ms);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, request->connect_timeout_ms);
    if (request->stall_timeout_seconds > 0) {
        curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
        curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, request->stall_timeout_seconds);
    }
    if (request->fresh_connection) curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
}

static void set_security(CURL *easy, const chc_request *request) {
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (request->ca_file != NULL) curl_easy_setopt(easy, CURLOPT_CAINFO, request->ca_file);
    if (request->certificate_file != NULL) curl_easy_setopt(easy, CURLOPT_SSLCERT, request->certificate_file);
    if (request->key_file != NULL) curl_easy_setopt(easy, CURLOPT_SSLKEY, request->key_file);
}

/// Headers curl would add by itself are left out unless the caller gave them: "Expect" costs a round trip, and a
/// guessed "Content-Type" is wrong.
static struct curl_slist *header_list(const chc_request *request, bool *complete) {
    struct curl_slist *list = NULL;
    bool has_content_type = false;
    *complete = true;
    for (size_t index = 0; index < request->header_count && *complete; index++) {
        struct curl_slist *longer = curl_slist_append(list, request->headers[index]);
        if (longer != NULL) list = longer;
        *complete = longer != NULL;
        if (strncasecmp(request->headers[index], "content-type:", 13) == 0) has_content_type = true;
    }
    const char *const removed[] = {"Expect:", "Accept-Encoding:", has_content_type ? NULL : "Content-Type:"};
    for (size_t index = 0; index < 3 && *complete; index++) {
        if (removed[index] == NULL) continue;
        bool given = false;
        for (size_t other = 0; other < request->header_count; other++) {
            given = given || strncasecmp(request->headers[other], removed[index], strlen(removed[index])) == 0;
        }
        if (given) continue;
        struct curl_slist *longer = curl_slist_append(list, removed[index]);
        if (longer != NULL) list = longer;
        *complete = longer != NULL;
    }
    return list;
}

void chc_perform(chc_client *client, const chc_request *request, chc_response *response) {
    CURL *easy = client->easy;
    memset(response, 0, sizeof *response);
    char error[CURL_ERROR_SIZE] = "";
    struct transfer transfer = {.request = request, .response = response, .easy = easy};
    bool complete = false;
    struct curl_slist *headers = header_list(request, &complete);
    // Options only: open connections and the DNS cache stay.
    curl_easy_reset(easy);
    curl_easy_setopt(easy, CURLOPT_URL, request->url);
    curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(easy, CURLOPT_MAXCONNECTS, 4L);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, error);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, &transfer);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, &transfer);
    if (request->cancelled != NULL) {
        curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
        curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, on_progress);
        curl_easy_setopt(easy, CURLOPT_XFERINFODATA, &transfer);
    }
    set_method(easy, request);
    set_limits(easy, request);
    set_security(easy, request);
    if (request->dead_peer_seconds > 0) {
        curl_easy_setopt(easy, CURLOPT_SOCKOPTFUNCTION, watch_peer);
        curl_easy_setopt(easy, CURLOPT_SOCKOPTDATA, (void *)request);
    }
    struct address_filter filter = {.allowed = request->addresses};
    chc_filter_addresses(easy, &filter);
    CURLcode code = complete ? curl_easy_perform(easy) : CURLE_OUT_OF_MEMORY;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &response->status);
    response->round_trip_us = round_trip_us(easy);
    response->outcome = code != CURLE_OK && filter.refused ? CHC_ADDRESS_REFUSED : outcome(code, &transfer);
    const char *detail = error[0] != 0 ? error : curl_easy_strerror(code);
    strncpy(response->detail, detail, sizeof response->detail - 1);
    // The buffer and the list are about to go: the handle must not keep their addresses.
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, NULL);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, NULL);
    curl_slist_free_all(headers);
}

void chc_response_clear(chc_response *response) {
    free(response->body);
    free(response->headers);
    memset(response, 0, sizeof *response);
}
