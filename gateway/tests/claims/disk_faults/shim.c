/* LD_PRELOAD: calls on files whose names end with a suffix fail, as a file in the folder $DISK_FAULTS says:
   `sync`, `read` or `write` holds "SUFFIX ERRNO" (it is removed by the first call that fails: that fails alone) or
   "SUFFIX ERRNO always". A write that fails for ever makes opening for writing fail, too, as on a disk that is read-only. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

/* The error with which a call on `path` has to fail, or 0. */
static int fault(const char *what, const char *path, int only_lasting) {
    const char *folder = getenv("DISK_FAULTS");
    char rule[PATH_MAX], suffix[256], lasting[16] = "";
    int number, before = errno;
    if (!folder || snprintf(rule, sizeof rule, "%s/%s", folder, what) >= (int)sizeof rule) return 0;
    FILE *file = fopen(rule, "r");
    errno = before;
    if (!file) return 0;
    int read = fscanf(file, "%255s %d %15s", suffix, &number, lasting);
    fclose(file);
    size_t length = strlen(path), tail = read < 2 ? 0 : strlen(suffix);
    int hit = read >= 2 && length >= tail && !strcmp(path + length - tail, suffix) && (!only_lasting || read == 3);
    if (hit && read == 2 && unlink(rule)) hit = 0; /* Another thread was first. */
    errno = before;
    return hit ? number : 0;
}

static int fault_on(const char *what, int fd) {
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return fault(what, path, 0);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define FAIL(what) do { int error = fault_on(what, fd); if (error) { errno = error; return -1; } } while (0)

int fsync(int fd) { FAIL("sync"); return REAL(fsync)(fd); }
int fdatasync(int fd) { FAIL("sync"); return REAL(fdatasync)(fd); }
ssize_t pread(int fd, void *to, size_t count, off_t at) { FAIL("read"); return REAL(pread)(fd, to, count, at); }
ssize_t pread64(int fd, void *to, size_t count, off64_t at) { FAIL("read"); return REAL(pread64)(fd, to, count, at); }
ssize_t pwrite(int fd, const void *from, size_t count, off_t at) { FAIL("write"); return REAL(pwrite)(fd, from, count, at); }
ssize_t pwrite64(int fd, const void *from, size_t count, off64_t at) { FAIL("write"); return REAL(pwrite64)(fd, from, count, at); }
int ftruncate(int fd, off_t to) { FAIL("write"); return REAL(ftruncate)(fd, to); }
int ftruncate64(int fd, off64_t to) { FAIL("write"); return REAL(ftruncate64)(fd, to); }

static int opened(const char *name, const char *path, int flags, mode_t mode) {
    int error = (flags & O_ACCMODE) == O_RDONLY ? 0 : fault("write", path, 1);
    if (error) { errno = error; return -1; }
    return ((int (*)(const char *, int, ...))dlsym(RTLD_NEXT, name))(path, flags, mode);
}
#define OPEN(name) int name(const char *path, int flags, ...) { \
    mode_t mode = 0; \
    if (flags & (O_CREAT | O_TMPFILE)) { va_list more; va_start(more, flags); mode = va_arg(more, mode_t); va_end(more); } \
    return opened(#name, path, flags, mode); }
OPEN(open)
OPEN(open64)
