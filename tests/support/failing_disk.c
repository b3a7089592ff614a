/* A disk that fails on command: LD_PRELOAD wraps every call by which SQLite writes.
 *
 * FAILING_DISK_FILE: writes to files whose path begins so are counted. FAILING_DISK_CONTROL: a file of
 * five 64-bit numbers that failing_disk.py shares with us: how many calls still pass, how many fail
 * after them (-1: all, until told otherwise), with which errno, how many have failed, how many came.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PASSING, FAILING, ERROR, FAILED, CALLS, NUMBERS };

static volatile int64_t *control;
static const char *prefix;

__attribute__((constructor)) static void begin(void) {
    const char *shared = getenv("FAILING_DISK_CONTROL");
    prefix = getenv("FAILING_DISK_FILE");
    int fd = shared && prefix ? open(shared, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    void *place = mmap(NULL, NUMBERS * sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (place != MAP_FAILED)
        control = place;
    close(fd);
}

static int fails(int fd) {
    char link[64], path[PATH_MAX];
    if (!control)
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path);
    if (length < (ssize_t)strlen(prefix) || strncmp(path, prefix, strlen(prefix)))
        return 0;
    __sync_fetch_and_add(&control[CALLS], 1);
    if (!control[FAILING])
        return 0;
    if (control[PASSING] > 0) {
        __sync_fetch_and_sub(&control[PASSING], 1);
        return 0;
    }
    if (control[FAILING] > 0)
        __sync_fetch_and_sub(&control[FAILING], 1);
    __sync_fetch_and_add(&control[FAILED], 1);
    errno = (int)control[ERROR];
    return 1;
}

#define WRAP(name, parameters, ...)                                    \
    int name parameters {                                              \
        static int (*real) parameters;                                 \
        if (!real)                                                     \
            real = (int (*) parameters)dlsym(RTLD_NEXT, #name);        \
        return fails(fd) ? -1 : real(__VA_ARGS__);                     \
    }
#define WRAP_WRITE(name, parameters, ...)                              \
    ssize_t name parameters {                                          \
        static ssize_t (*real) parameters;                             \
        if (!real)                                                     \
            real = (ssize_t (*) parameters)dlsym(RTLD_NEXT, #name);    \
        return fails(fd) ? -1 : real(__VA_ARGS__);                     \
    }

WRAP_WRITE(pwrite, (int fd, const void *bytes, size_t size, off_t at), fd, bytes, size, at)
WRAP_WRITE(pwrite64, (int fd, const void *bytes, size_t size, off64_t at), fd, bytes, size, at)
WRAP_WRITE(write, (int fd, const void *bytes, size_t size), fd, bytes, size)
WRAP(fdatasync, (int fd), fd)
WRAP(fsync, (int fd), fd)
WRAP(ftruncate, (int fd, off_t size), fd, size)
WRAP(ftruncate64, (int fd, off64_t size), fd, size)
