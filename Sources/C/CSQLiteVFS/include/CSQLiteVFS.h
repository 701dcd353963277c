// A file system for SQLite ("VFS") that keeps the index of a write-ahead log in this process's memory, not in a mapped
// `-shm` file. Writing to a mapped file ends the process (SIGBUS) where the file system has no block left for the page:
// Btrfs, reflinked XFS and thin volumes need one at every write after a flush.
//
// CONSTRAINT: a database in WAL mode is written by one process. Another process may read it, but nothing tells the
// writer of it: what it reads may change under its eyes.
#ifndef COLUMBA_SQLITE_VFS_H
#define COLUMBA_SQLITE_VFS_H

#include <stdint.h>

/// File control of a database, with the address of an `int64_t`: from now on the file is flushed after every so many
/// bytes written to it, and the writing thread rests for as long as the flush took. 0: no more.
/// A checkpoint that leaves a whole segment to one flush holds up everyone else's flush for as long as that takes.
enum { columba_SQLITE_FCNTL_STEPS = 0x636f6c };

/// Registers it, once. Returns its name for `sqlite3_open_v2`, or a null pointer.
const char *columba_sqlite_vfs(void);

#endif
