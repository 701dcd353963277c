// Room for clients with a certificate (F100). Who connects to a TLS port is nobody until its handshake is done; a flood
// of such connections must not take the places of drones. So connections that are not known may have all places but
// those reserved; when one more comes, the oldest of them is closed: an honest handshake takes milliseconds, and
// whoever only holds a place has held it longest. Guarded by `places`.
#include <sys/socket.h>

#include "internal.h"

static void unlink_unknown(chs_server *server, chs_connection *watched) {
    if (watched->older != NULL) watched->older->younger = watched->younger;
    if (watched->younger != NULL) watched->younger->older = watched->older;
    if (server->oldest_unknown == watched) server->oldest_unknown = watched->younger;
    if (server->youngest_unknown == watched) server->youngest_unknown = watched->older;
    watched->older = watched->younger = NULL;
}

/// The connection is not, or no longer, one that was cut and has yet to end.
static void stays(chs_server *server, chs_connection *watched) {
    if (watched == NULL || !watched->is_leaving) return;
    watched->is_leaving = false;
    server->leaving -= 1;
}

void chs_unknown_begin(chs_server *server, chs_connection *watched) {
    watched->older = server->youngest_unknown;
    if (watched->older != NULL) watched->older->younger = watched;
    server->youngest_unknown = watched;
    if (server->oldest_unknown == NULL) server->oldest_unknown = watched;
}

void chs_unknown_end(chs_server *server, chs_connection *watched) {
    if (watched != NULL && watched->is_known) return;
    if (watched != NULL) unlink_unknown(server, watched);
    stays(server, watched);
    server->unknown -= 1;
}

void chs_now_known(chs_server *server, struct MHD_Connection *connection) {
    chs_connection *watched = chs_watched(connection);
    if (watched == NULL) return;
    pthread_mutex_lock(&server->places);
    if (!watched->is_known) {
        unlink_unknown(server, watched);
        stays(server, watched);
        watched->is_known = true;
        // The handshake's bytes were not a header's: the watcher begins anew.
        watched->seen_requests = ~0u;
        server->unknown -= 1;
    }
    pthread_mutex_unlock(&server->places);
}

void chs_make_room(chs_server *server) {
    if (server->limits.reserved_for_known == 0 || server->handshakes == NULL) return;
    // Asked at each accept and again when a connection has begun: those that libmicrohttpd has not begun yet cannot be
    // cut, and with nothing but such ones the last place would wait for their time limit.
    while (server->oldest_unknown != NULL
           && server->unknown - server->leaving + server->limits.reserved_for_known > server->limits.max_connections) {
        chs_connection *oldest = server->oldest_unknown;
        unlink_unknown(server, oldest);
        oldest->is_cut = true;
        oldest->is_leaving = true;
        server->leaving += 1;
        server->cuts[CHS_CUT_FOR_ROOM] += 1;
        shutdown(oldest->fd, SHUT_RDWR);
    }
}

bool chs_is_reserved(const chs_server *server, const chs_connection *watched) {
    return watched->is_known && server->connections - server->unknown <= server->limits.reserved_for_known;
}
