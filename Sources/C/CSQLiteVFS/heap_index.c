// The distribution's own VFS with its four shared-memory methods replaced. Connections to one file, told by device and
// inode, share an `Index`: regions of memory and the eight locks that SQLite arranges itself with. Sources:
// https://www.sqlite.org/c3ref/io_methods.html and https://www.sqlite.org/walformat.html, "The WAL-Index File Format".
// And a database can be written in steps, each flushed, for checkpoints beside somebody who waits for the same disk.

#include "CSQLiteVFS.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

/// What the connections to one file have in common; freed with the last of them.
typedef struct Index {
    struct Index *next;
    dev_t device;
    ino_t inode;
    int connections;
    int regionCount;
    void **regions;
    /// Connections that hold each lock shared.
    int shared[SQLITE_SHM_NLOCK];
    /// The connection that holds it alone.
    const void *exclusive[SQLITE_SHM_NLOCK];
} Index;

/// One open file. The real one lies behind it in the same memory.
typedef struct File {
    sqlite3_file base;
    sqlite3_file *real;
    dev_t device;
    ino_t inode;
    /// Null until SQLite asks for the index.
    Index *index;
    /// The locks that this connection shares.
    unsigned shared;
    /// Flushed after so many bytes; 0: only when SQLite asks.
    int64_t stepBytes;
    int64_t unflushedBytes;
} File;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static Index *indexes;

static sqlite3_file *real(sqlite3_file *file) { return ((File *)file)->real; }

// MARK: - The index

/// The caller holds the mutex.
static Index *joinIndex(File *file) {
    if (file->index) return file->index;
    Index *index = indexes;
    while (index && !(index->device == file->device && index->inode == file->inode)) index = index->next;
    if (!index) {
        index = calloc(1, sizeof(Index));
        if (!index) return NULL;
        index->device = file->device;
        index->inode = file->inode;
        index->next = indexes;
        indexes = index;
    }
    index->connections += 1;
    file->index = index;
    return index;
}

static int shmMap(sqlite3_file *opened, int region, int bytes, int extend, void volatile **address) {
    File *file = (File *)opened;
    int result = SQLITE_OK;
    *address = NULL;
    pthread_mutex_lock(&mutex);
    Index *index = joinIndex(file);
    if (!index) result = SQLITE_IOERR_NOMEM;
    if (index && extend && region >= index->regionCount) {
        void **regions = realloc(index->regions, (size_t)(region + 1) * sizeof(void *));
        if (regions) index->regions = regions;
        while (regions && index->regionCount <= region) {
            void *memory = calloc(1, (size_t)bytes);
            if (!memory) break;
            regions[index->regionCount++] = memory;
        }
        if (index->regionCount <= region) result = SQLITE_IOERR_NOMEM;
    }
    if (index && region < index->regionCount) *address = index->regions[region];
    pthread_mutex_unlock(&mutex);
    return result;
}

/// The caller holds the mutex.
static void releaseLocks(File *file, int first, int count) {
    for (int lock = first; lock < first + count; lock++) {
        if (file->shared & 1u << lock) {
            file->shared &= ~(1u << lock);
            file->index->shared[lock] -= 1;
        }
        if (file->index->exclusive[lock] == file) file->index->exclusive[lock] = NULL;
    }
}

/// The caller holds the mutex.
static int takeLocks(File *file, int first, int count, int isExclusive) {
    Index *index = file->index;
    for (int lock = first; lock < first + count; lock++) {
        if (index->exclusive[lock] && index->exclusive[lock] != file) return SQLITE_BUSY;
        int others = index->shared[lock] - (file->shared & 1u << lock ? 1 : 0);
        if (isExclusive && others > 0) return SQLITE_BUSY;
    }
    for (int lock = first; lock < first + count; lock++) {
        if (isExclusive) {
            index->exclusive[lock] = file;
        } else if (!(file->shared & 1u << lock)) {
            file->shared |= 1u << lock;
            index->shared[lock] += 1;
        }
    }
    return SQLITE_OK;
}

static int shmLock(sqlite3_file *opened, int first, int count, int flags) {
    File *file = (File *)opened;
    int result = SQLITE_OK;
    if (first < 0 || count < 1 || first + count > SQLITE_SHM_NLOCK) return SQLITE_IOERR_SHMLOCK;
    pthread_mutex_lock(&mutex);
    if (!file->index) {
        result = SQLITE_IOERR_SHMLOCK;
    } else if (flags & SQLITE_SHM_UNLOCK) {
        releaseLocks(file, first, count);
    } else {
        result = takeLocks(file, first, count, flags & SQLITE_SHM_EXCLUSIVE);
    }
    pthread_mutex_unlock(&mutex);
    return result;
}

static void shmBarrier(sqlite3_file *opened) {
    (void)opened;
    atomic_thread_fence(memory_order_seq_cst);
    // As SQLite's own VFS does, for compilers that move more than they should.
    pthread_mutex_lock(&mutex);
    pthread_mutex_unlock(&mutex);
}

static int shmUnmap(sqlite3_file *opened, int deletes) {
    (void)deletes;
    File *file = (File *)opened;
    pthread_mutex_lock(&mutex);
    Index *index = file->index;
    if (index) {
        releaseLocks(file, 0, SQLITE_SHM_NLOCK);
        file->index = NULL;
        index->connections -= 1;
        if (index->connections == 0) {
            Index **link = &indexes;
            while (*link != index) link = &(*link)->next;
            *link = index->next;
            for (int region = 0; region < index->regionCount; region++) free(index->regions[region]);
            free(index->regions);
            free(index);
        }
    }
    pthread_mutex_unlock(&mutex);
    return SQLITE_OK;
}

// MARK: - Everything else goes to the real file

static int closeFile(sqlite3_file *file) {
    shmUnmap(file, 0);
    return real(file)->pMethods->xClose(real(file));
}
static int readFile(sqlite3_file *file, void *bytes, int count, sqlite3_int64 offset) {
    return real(file)->pMethods->xRead(real(file), bytes, count, offset);
}

static int64_t microseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/// Flushes what was written and leaves the disk to others for as long. A failed flush must not be forgotten: the next
/// one would succeed without having written anything.
static int flushStep(File *file) {
    const int64_t longestRest = 50000;
    int64_t start = microseconds();
    int result = file->real->pMethods->xSync(file->real, SQLITE_SYNC_NORMAL | SQLITE_SYNC_DATAONLY);
    if (result != SQLITE_OK) return SQLITE_IOERR_FSYNC;
    file->unflushedBytes = 0;
    int64_t rest = microseconds() - start;
    if (rest > longestRest) rest = longestRest;
    struct timespec pause = {0, (long)rest * 1000};
    nanosleep(&pause, NULL);
    return SQLITE_OK;
}

static int writeFile(sqlite3_file *opened, const void *bytes, int count, sqlite3_int64 offset) {
    File *file = (File *)opened;
    int result = file->real->pMethods->xWrite(file->real, bytes, count, offset);
    if (result != SQLITE_OK || file->stepBytes == 0) return result;
    file->unflushedBytes += count;
    return file->unflushedBytes < file->stepBytes ? SQLITE_OK : flushStep(file);
}
static int truncateFile(sqlite3_file *file, sqlite3_int64 size) {
    return real(file)->pMethods->xTruncate(real(file), size);
}
static int syncFile(sqlite3_file *file, int flags) { return real(file)->pMethods->xSync(real(file), flags); }
static int fileSize(sqlite3_file *file, sqlite3_int64 *size) {
    return real(file)->pMethods->xFileSize(real(file), size);
}
static int lockFile(sqlite3_file *file, int lock) { return real(file)->pMethods->xLock(real(file), lock); }
static int unlockFile(sqlite3_file *file, int lock) { return real(file)->pMethods->xUnlock(real(file), lock); }
static int checkReservedLock(sqlite3_file *file, int *result) {
    return real(file)->pMethods->xCheckReservedLock(real(file), result);
}
static int fileControl(sqlite3_file *file, int operation, void *argument) {
    if (operation == columba_SQLITE_FCNTL_STEPS) {
        ((File *)file)->stepBytes = *(const int64_t *)argument;
        ((File *)file)->unflushedBytes = 0;
        return SQLITE_OK;
    }
    return real(file)->pMethods->xFileControl(real(file), operation, argument);
}
static int sectorSize(sqlite3_file *file) { return real(file)->pMethods->xSectorSize(real(file)); }
static int deviceCharacteristics(sqlite3_file *file) {
    return real(file)->pMethods->xDeviceCharacteristics(real(file));
}

/// Version 2: without the methods of version 3, which map the database itself.
static const sqlite3_io_methods methods = {
    2, closeFile, readFile, writeFile, truncateFile, syncFile, fileSize, lockFile, unlockFile, checkReservedLock,
    fileControl, sectorSize, deviceCharacteristics, shmMap, shmLock, shmBarrier, shmUnmap, NULL, NULL,
};

static int openFile(sqlite3_vfs *vfs, const char *path, sqlite3_file *opened, int flags, int *outFlags) {
    sqlite3_vfs *system = vfs->pAppData;
    File *file = (File *)opened;
    memset(file, 0, sizeof(File));
    file->real = (sqlite3_file *)(file + 1);
    memset(file->real, 0, (size_t)system->szOsFile);
    int result = system->xOpen(system, path, file->real, flags, outFlags);
    if (result == SQLITE_OK && path && flags & SQLITE_OPEN_MAIN_DB) {
        // Whose index it shares. The path may be renamed meanwhile: only if it still is this file then, the numbers are
        // this file's.
        struct stat facts;
        int hasMoved = stat(path, &facts) != 0;
        if (!hasMoved) file->real->pMethods->xFileControl(file->real, SQLITE_FCNTL_HAS_MOVED, &hasMoved);
        if (hasMoved) {
            result = SQLITE_CANTOPEN;
        } else {
            file->device = facts.st_dev;
            file->inode = facts.st_ino;
        }
    }
    if (result != SQLITE_OK) {
        if (file->real->pMethods) file->real->pMethods->xClose(file->real);
        return result;
    }
    file->base.pMethods = &methods;
    return SQLITE_OK;
}

static sqlite3_vfs vfs;
static const char *registered;

/// The system's functions serve as they are: of them only `xOpen` looks at its VFS, and it is given the real one.
static void registerVFS(void) {
    sqlite3_vfs *system = sqlite3_vfs_find("unix");
    if (!system) return;
    vfs = *system;
    vfs.pNext = NULL;
    vfs.zName = "columba";
    vfs.szOsFile = (int)sizeof(File) + system->szOsFile;
    vfs.pAppData = system;
    vfs.xOpen = openFile;
    if (sqlite3_vfs_register(&vfs, 0) == SQLITE_OK) registered = vfs.zName;
}

const char *columba_sqlite_vfs(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, registerVFS);
    return registered;
}
