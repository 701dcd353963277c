// A streamed answer (Server-Sent Events): any thread writes, libmicrohttpd reads. The connection is suspended while
// there is nothing to send and resumed by the next write; `suspended` is only changed under the mutex, so exactly one
// side resumes. The mutex is never held across I/O: both sides only copy bytes.
#include <stdlib.h>
#include <string.h>

#include "internal.h"

struct chs_stream {
    pthread_mutex_t mutex;
    atomic_int references;  // the writer's and libmicrohttpd's
    struct MHD_Connection *connection;
    uint8_t *bytes;
    size_t offset, length, capacity, max_pending_bytes;
    bool suspended, finished, overflowed, closed;
    void *context;
    void (*on_closed)(void *);
};

void chs_stream_release(chs_stream *stream) {
    if (atomic_fetch_sub(&stream->references, 1) != 1) return;
    pthread_mutex_destroy(&stream->mutex);
    free(stream->bytes);
    free(stream);
}

static ssize_t read_stream(void *context, uint64_t position, char *buffer, size_t room) {
    (void)position;
    chs_stream *stream = context;
    pthread_mutex_lock(&stream->mutex);
    ssize_t result = (ssize_t)(stream->length - stream->offset);
    if (result > 0) {
        if ((size_t)result > room) result = (ssize_t)room;
        memcpy(buffer, stream->bytes + stream->offset, (size_t)result);
        stream->offset += (size_t)result;
        if (stream->offset == stream->length) stream->offset = stream->length = 0;
    } else if (stream->overflowed) {
        result = MHD_CONTENT_READER_END_WITH_ERROR;
    } else if (stream->finished) {
        result = MHD_CONTENT_READER_END_OF_STREAM;
    } else {
        MHD_suspend_connection(stream->connection);
        stream->suspended = true;
    }
    pthread_mutex_unlock(&stream->mutex);
    return result;
}

static void close_stream(void *context) {
    chs_stream *stream = context;
    pthread_mutex_lock(&stream->mutex);
    stream->closed = true;
    pthread_mutex_unlock(&stream->mutex);
    stream->on_closed(stream->context);
    chs_stream_release(stream);
}

chs_stream *chs_stream_create(
    chs_exchange *exchange, size_t max_pending_bytes, void *context, void (*closed)(void *), chs_response **response) {
    chs_stream *stream = calloc(1, sizeof *stream);
    if (stream == NULL) return NULL;
    pthread_mutex_init(&stream->mutex, NULL);
    atomic_init(&stream->references, 2);
    stream->connection = exchange->connection;
    exchange->is_stream = true;
    stream->max_pending_bytes = max_pending_bytes;
    stream->context = context;
    stream->on_closed = closed;
    *response = (chs_response *)MHD_create_response_from_callback(
        MHD_SIZE_UNKNOWN, 16 * 1024, read_stream, stream, close_stream);
    if (*response == NULL) {
        pthread_mutex_destroy(&stream->mutex);
        free(stream);
        return NULL;
    }
    return stream;
}

/// With the mutex held: makes room for `length` more bytes within the limit.
static bool make_room(chs_stream *stream, size_t length) {
    size_t pending = stream->length - stream->offset;
    if (length > stream->max_pending_bytes - pending) {
        // A reader this slow has lost events anyway: what is pending is sent, then the connection closes, and the
        // client resumes from the last id it saw.
        stream->overflowed = true;
        return false;
    }
    if (stream->offset > 0) {
        memmove(stream->bytes, stream->bytes + stream->offset, pending);
        stream->offset = 0;
        stream->length = pending;
    }
    if (pending + length <= stream->capacity) return true;
    size_t capacity = stream->capacity == 0 ? 4096 : stream->capacity;
    while (capacity < pending + length) capacity *= 2;
    uint8_t *bytes = realloc(stream->bytes, capacity);
    if (bytes == NULL) {
        stream->overflowed = true;
        return false;
    }
    stream->bytes = bytes;
    stream->capacity = capacity;
    return true;
}

bool chs_stream_write(chs_stream *stream, const void *bytes, size_t length) {
    pthread_mutex_lock(&stream->mutex);
    bool open = !stream->closed && !stream->finished && !stream->overflowed;
    bool taken = open && make_room(stream, length);
    if (taken && length > 0) {
        memcpy(stream->bytes + stream->length, bytes, length);
        stream->length += length;
    }
    // Also after an overflow: the reader has to see it.
    bool resume = stream->suspended && (stream->length > stream->offset || stream->overflowed);
    if (resume) stream->suspended = false;
    pthread_mutex_unlock(&stream->mutex);
    // Suspended until this very call: nobody else can end the connection in between.
    if (resume) MHD_resume_connection(stream->connection);
    return taken;
}

void chs_stream_finish(chs_stream *stream) {
    pthread_mutex_lock(&stream->mutex);
    stream->finished = true;
    bool resume = stream->suspended;
    stream->suspended = false;
    pthread_mutex_unlock(&stream->mutex);
    if (resume) MHD_resume_connection(stream->connection);
}
