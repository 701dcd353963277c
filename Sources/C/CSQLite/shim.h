// SQLite with what Swift cannot call: its variadic functions and macro constants that are casts.
#include <sqlite3.h>

/// A log entry of 1.5 KB costs fewer calls when its blobs are bound in place (SQLITE_STATIC is a cast macro).
static inline int columba_sqlite3_bind_blob_static(
    sqlite3_stmt *statement, int index, const void *bytes, sqlite3_uint64 count) {
    return sqlite3_bind_blob64(statement, index, bytes, count, SQLITE_STATIC);
}

static inline int columba_sqlite3_bind_blob_copied(
    sqlite3_stmt *statement, int index, const void *bytes, sqlite3_uint64 count) {
    return sqlite3_bind_blob64(statement, index, bytes, count, SQLITE_TRANSIENT);
}

static inline int columba_sqlite3_bind_text_copied(
    sqlite3_stmt *statement, int index, const char *text, sqlite3_uint64 count) {
    return sqlite3_bind_text64(statement, index, text, count, SQLITE_TRANSIENT, SQLITE_UTF8);
}

/// Sets SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE and reads the setting back: 1 set, 0 not set, -1 error.
static inline int columba_sqlite3_no_checkpoint_on_close(sqlite3 *database) {
    int setting = 0;
    return sqlite3_db_config(database, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, &setting) == SQLITE_OK ? setting : -1;
}

static const int columba_SQLITE_IOERR_FSYNC = SQLITE_IOERR_FSYNC;
static const int columba_SQLITE_IOERR_DIR_FSYNC = SQLITE_IOERR_DIR_FSYNC;
static const int columba_SQLITE_IOERR_SHORT_READ = SQLITE_IOERR_SHORT_READ;
