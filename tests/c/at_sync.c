/* Does something at the moment at which a program asks the disk, for the AT_SYNC-th time, to keep what it has written: ends it as
 * `kill -9` does, or, where AT_SYNC_UNPLUG names a folder, moves that to AT_SYNC_AWAY first and leaves an empty one, and lets the
 * program go on. For LD_PRELOAD; tests/src/at_sync.rs compiles it. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static atomic_long syncs;

static void at_sync(void) {
    const char *at = getenv("AT_SYNC");
    if (at == NULL || atomic_fetch_add(&syncs, 1) + 1 != atol(at)) {
        return;
    }
    static const char told[] = "at_sync: now\n";
    if (write(STDERR_FILENO, told, sizeof told - 1) < 0) {
        /* Whoever looks for it finds it missing. */
    }
    const char *from = getenv("AT_SYNC_UNPLUG");
    if (from == NULL) {
        kill(getpid(), SIGKILL);
        pause();
    }
    if (rename(from, getenv("AT_SYNC_AWAY")) != 0 || mkdir(from, 0700) != 0) {
        abort();
    }
}

int fsync(int file) {
    static int (*original)(int);
    if (original == NULL) {
        original = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    }
    at_sync();
    return original(file);
}

int fdatasync(int file) {
    static int (*original)(int);
    if (original == NULL) {
        original = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    }
    at_sync();
    return original(file);
}
