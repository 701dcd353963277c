// What Swift cannot call or must not do itself: starting a child process (between fork and exec only
// async-signal-safe calls are allowed), pidfds and other variadic or macro interfaces.
#ifndef COLUMBA_CPOSIX_H
#define COLUMBA_CPOSIX_H

#include <stdint.h>

#include "sockets.h"

/// Limit or identifier that is not set.
#define COLUMBA_UNLIMITED UINT64_MAX

/// The step of a start that failed: tells "no such program" from "no such working directory".
enum columba_spawn_step {
    COLUMBA_SPAWN_OK = 0,
    COLUMBA_SPAWN_DESCRIPTORS = 1,
    COLUMBA_SPAWN_FORK = 2,
    COLUMBA_SPAWN_DIRECTORY = 3,
    COLUMBA_SPAWN_LIMITS = 4,
    COLUMBA_SPAWN_EXECUTE = 5,
};

struct columba_spawn_request {
    const char *executable;        // absolute or relative path; PATH is not searched
    char *const *arguments;        // NULL-terminated, including argument 0
    char *const *environment;      // NULL-terminated
    const char *working_directory; // NULL: the caller's
    int descriptors[3];            // stdin, stdout, stderr of the child; -1: /dev/null
    uint64_t address_space_bytes;  // RLIMIT_AS, COLUMBA_UNLIMITED: unchanged
    uint64_t cpu_seconds;          // RLIMIT_CPU
    uint64_t file_size_bytes;      // RLIMIT_FSIZE
    uint64_t open_files;           // RLIMIT_NOFILE
    int niceness;                  // added to the caller's
    int death_signal;              // PR_SET_PDEATHSIG, 0: none
    int own_process_group;         // 1: terminal signals do not reach the child
};

struct columba_spawn_result {
    int process;
    int pidfd;
    int step;       // enum columba_spawn_step
    int error;      // errno of that step
};

/// Starts a child with exactly three open files, all signals unblocked and at their defaults.
struct columba_spawn_result columba_spawn(const struct columba_spawn_request *request);

/// Sends a signal through a pidfd: never reaches another process that was given the same number.
int columba_pidfd_signal(int pidfd, int signal);

/// Opens a file (the variadic `open`); always close-on-exec.
int columba_open(const char *path, int flags, unsigned mode);

/// A pipe whose ends are close-on-exec; 0 or -1 with errno.
int columba_pipe(int ends[2]);

/// The magic number of the file system that holds a path (statfs), 0 or positive; -1 with errno.
int64_t columba_filesystem_magic(const char *path);

/// Takes blocks for a file without writing them (fallocate); 0 or -1 with errno.
int columba_allocate(int descriptor, uint64_t bytes);

/// The words for an error number; thread-safe, never NULL.
const char *columba_error_text(int error);

/// The process's environment, NULL-terminated; NULL if it has none.
char **columba_environment(void);

/// Makes a descriptor non-blocking; 0 or -1 with errno.
int columba_set_nonblocking(int descriptor);

/// The thread's name as `top -H` shows it, cut to 15 bytes.
void columba_name_thread(const char *name);

/// Adds to the niceness of the calling thread only (Linux), so that background work yields to the rest.
int columba_renice_thread(int increment);

/// Puts the calling thread in the idle I/O class (ioprio_set): it writes only when nothing else does. 0 or -1.
int columba_idle_io_thread(void);

/// Raises the soft limit of open files towards `wanted`, at most to the hard limit. Returns the limit now in force.
uint64_t columba_raise_open_files(uint64_t wanted);

#endif
