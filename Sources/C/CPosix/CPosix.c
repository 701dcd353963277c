// See CPosix.h. `vfork` is used as in glibc's posix_spawn: the parent's thread is stopped until exec, the memory is
// shared (so a large process starts a child in microseconds and the child can hand back its errno), and all signals are
// blocked until the child has put its handlers back to default, so no handler of the parent can run in the child.
#define _GNU_SOURCE
#include "CPosix.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

int columba_open(const char *path, int flags, unsigned mode) {
    return open(path, flags | O_CLOEXEC, (mode_t)mode);
}

int columba_pipe(int ends[2]) { return pipe2(ends, O_CLOEXEC); }

const char *columba_error_text(int error) {
    const char *text = strerrordesc_np(error);
    return text != NULL ? text : "unknown error";
}

char **columba_environment(void) { return environ; }

int columba_set_nonblocking(int descriptor) {
    int flags = fcntl(descriptor, F_GETFL);
    return flags < 0 ? -1 : fcntl(descriptor, F_SETFL, flags | O_NONBLOCK);
}

int columba_pidfd_signal(int pidfd, int signal) {
    return (int)syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0);
}

void columba_name_thread(const char *name) {
    char cut[16];
    strncpy(cut, name, sizeof cut - 1);
    cut[sizeof cut - 1] = 0;
    pthread_setname_np(pthread_self(), cut);
}

int columba_renice_thread(int increment) {
    pid_t thread = (pid_t)syscall(SYS_gettid);
    errno = 0;
    int niceness = getpriority(PRIO_PROCESS, (id_t)thread);
    if (errno != 0) return -1;
    return setpriority(PRIO_PROCESS, (id_t)thread, niceness + increment);
}

int columba_idle_io_thread(void) {
    const int who_process = 1, class_idle = 3, class_shift = 13;
    return (int)syscall(SYS_ioprio_set, who_process, 0, class_idle << class_shift);
}

/// Sets both the soft and the hard limit, never above the hard limit the parent has.
static int set_limit(int resource, uint64_t value) {
    if (value == COLUMBA_UNLIMITED) return 0;
    struct rlimit limit;
    if (getrlimit((__rlimit_resource_t)resource, &limit) != 0) return -1;
    rlim_t wanted = (rlim_t)value;
    if (limit.rlim_max != RLIM_INFINITY && wanted > limit.rlim_max) wanted = limit.rlim_max;
    limit.rlim_cur = limit.rlim_max = wanted;
    return setrlimit((__rlimit_resource_t)resource, &limit);
}

/// Runs in the child: only async-signal-safe calls, no return on success.
static int become_program(const struct columba_spawn_request *request, const int descriptors[3], pid_t parent) {
    if (request->own_process_group && setpgid(0, 0) != 0) return COLUMBA_SPAWN_LIMITS;
    if (request->death_signal != 0) {
        if (prctl(PR_SET_PDEATHSIG, request->death_signal) != 0) return COLUMBA_SPAWN_LIMITS;
        if (getppid() != parent) _exit(127); // the parent died before prctl took effect
    }
    for (int target = 0; target < 3; target++)
        if (dup2(descriptors[target], target) < 0) return COLUMBA_SPAWN_DESCRIPTORS;
    if (syscall(SYS_close_range, 3u, ~0u, CLOSE_RANGE_UNSHARE) != 0) return COLUMBA_SPAWN_DESCRIPTORS;
    if (request->working_directory != NULL && chdir(request->working_directory) != 0) return COLUMBA_SPAWN_DIRECTORY;
    if (request->niceness != 0) {
        errno = 0;
        if (nice(request->niceness) == -1 && errno != 0) return COLUMBA_SPAWN_LIMITS;
    }
    // All zero: default handler, no flags, no mask. The kernel's call, as the library's refuses the two signals it
    // uses.
    const unsigned long standard[4] = {0, 0, 0, 0};
    const size_t mask_bytes = 8;
    for (int number = 1; number < NSIG; number++)
        if (number != SIGKILL && number != SIGSTOP) syscall(SYS_rt_sigaction, number, standard, NULL, mask_bytes);
    if (set_limit(RLIMIT_CPU, request->cpu_seconds) != 0 || set_limit(RLIMIT_FSIZE, request->file_size_bytes) != 0 ||
        set_limit(RLIMIT_NOFILE, request->open_files) != 0 || set_limit(RLIMIT_AS, request->address_space_bytes) != 0)
        return COLUMBA_SPAWN_LIMITS;
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execve(request->executable, request->arguments, request->environment);
    return COLUMBA_SPAWN_EXECUTE;
}

/// Copies the descriptors above 2, so that no dup2 in the child overwrites one that is still needed.
static int prepare_descriptors(const struct columba_spawn_request *request, int prepared[3]) {
    for (int index = 0; index < 3; index++) prepared[index] = -1;
    for (int index = 0; index < 3; index++) {
        int source = request->descriptors[index];
        int null = -1;
        if (source < 0 || fcntl(source, F_GETFD) < 0) source = null = open("/dev/null", O_RDWR | O_CLOEXEC);
        if (source >= 0) prepared[index] = fcntl(source, F_DUPFD_CLOEXEC, 3);
        int error = errno;
        if (null >= 0) close(null);
        if (prepared[index] < 0) return error;
    }
    return 0;
}

struct columba_spawn_result columba_spawn(const struct columba_spawn_request *request) {
    struct columba_spawn_result result = {.process = -1, .pidfd = -1, .step = COLUMBA_SPAWN_OK, .error = 0};
    int descriptors[3];
    int error = prepare_descriptors(request, descriptors);
    if (error != 0) {
        result.step = COLUMBA_SPAWN_DESCRIPTORS;
        result.error = error;
    } else {
        sigset_t all, before;
        sigfillset(&all);
        pthread_sigmask(SIG_BLOCK, &all, &before);
        pid_t parent = getpid();
        volatile int failed_step = COLUMBA_SPAWN_OK, failed_error = 0; // written by the child: the memory is shared
        pid_t child = vfork();
        if (child == 0) {
            failed_step = become_program(request, descriptors, parent);
            failed_error = errno;
            _exit(127);
        }
        result.step = child < 0 ? COLUMBA_SPAWN_FORK : failed_step;
        result.error = child < 0 ? errno : failed_error;
        if (child > 0 && result.step == COLUMBA_SPAWN_OK) {
            result.process = child;
            result.pidfd = (int)syscall(SYS_pidfd_open, child, 0);
            if (result.pidfd < 0) {
                result.step = COLUMBA_SPAWN_DESCRIPTORS;
                result.error = errno;
                kill(child, SIGKILL);
            }
        }
        if (child > 0 && result.step != COLUMBA_SPAWN_OK)
            while (waitpid(child, NULL, 0) < 0 && errno == EINTR) {
            }
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    for (int index = 0; index < 3; index++)
        if (descriptors[index] >= 0) close(descriptors[index]);
    return result;
}

uint64_t columba_raise_open_files(uint64_t wanted) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
    if (limit.rlim_cur >= wanted) return limit.rlim_cur;
    limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : (rlim_t)wanted;
    // Where the kernel refuses, the old limit stays in force.
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0 && getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
    return limit.rlim_cur;
}

int64_t columba_filesystem_magic(const char *path) {
    struct statfs status;
    return statfs(path, &status) == 0 ? (int64_t)(uint32_t)status.f_type : -1;
}

int columba_allocate(int descriptor, uint64_t bytes) { return fallocate(descriptor, 0, 0, (off_t)bytes); }
