// Preloaded into a relay by bench/run: while the file named by COLUMBA_SLOW_DISK exists, every flush takes 2 s.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

int fdatasync(int descriptor) {
    static int (*flush)(int);
    if (!flush) flush = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    const char *path = getenv("COLUMBA_SLOW_DISK");
    if (path && access(path, F_OK) == 0) sleep(2);
    return flush(descriptor);
}
