// A file system for SQLite ("VFS") that keeps the index of a write-ahead log in this process's memory, not in a mapped
// `-shm` file. Writing to a mapped file ends the process (SIGBUS) where the file system has no block left for the page:
// Btrfs, reflinked XFS and thin volumes need one at every write after a flush.
//
// CONSTRAINT: a database in WAL mode is written by one process. Another process may read it, but nothing tells the
// writer of it: what it reads may change under its eyes.
#ifndef COLUMBA_SQLITE_VFS_H
#define COLUMBA_SQLITE_VFS_H

/// Registers it, once. Returns its name for `sqlite3_open_v2`, or a null pointer.
const char *columba_sqlite_vfs(void);

#endif
