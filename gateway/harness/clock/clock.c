/* A library to preload (LD_PRELOAD) that gives a process a wall clock which a test can set.
 *
 * The file $HARNESS_CLOCK contains an int64: the seconds by which the clock is ahead. It is mapped, so that a change takes
 * effect at once. As with the kernel's clock, a wait until a wall-clock time ends when the clock shows that time, even if
 * the clock is set during the wait. The monotonic clock is unchanged. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

static const long SECOND = 1000000000L;
/* How often a wait checks whether the clock was set, in nanoseconds. */
static const long CHECK_PERIOD = 50000000L;

static long long not_set;
static const volatile long long *ahead = &not_set;

__attribute__((constructor)) static void open_clock(void) {
    const char *path = getenv("HARNESS_CLOCK");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0)
        return;
    void *map = mmap(NULL, sizeof *ahead, PROT_READ, MAP_SHARED, file, 0);
    if (map != MAP_FAILED)
        ahead = map;
    close(file);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    long result = syscall(SYS_clock_gettime, clock, now);
    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += *ahead;
    return (int)result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec precise;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &precise);
    now->tv_sec = precise.tv_sec;
    now->tv_usec = precise.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *out) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out)
        *out = now.tv_sec;
    return now.tv_sec;
}

int pthread_cond_timedwait(pthread_cond_t *restrict condition, pthread_mutex_t *restrict mutex,
                           const struct timespec *restrict until) {
    for (;;) {
        struct timespec now, slice;
        clock_gettime(CLOCK_REALTIME, &now);
        long long left = (long long)(until->tv_sec - now.tv_sec) * SECOND + (until->tv_nsec - now.tv_nsec);
        if (left <= 0)
            return ETIMEDOUT;
        syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &slice);
        slice.tv_nsec += left < CHECK_PERIOD ? (long)left : CHECK_PERIOD;
        slice.tv_sec += slice.tv_nsec / SECOND;
        slice.tv_nsec %= SECOND;
        int error = pthread_cond_clockwait(condition, mutex, CLOCK_MONOTONIC, &slice);
        if (error != ETIMEDOUT)
            return error;
    }
}

int cnd_timedwait(cnd_t *restrict condition, mtx_t *restrict mutex, const struct timespec *restrict until) {
    int error = pthread_cond_timedwait((pthread_cond_t *)condition, (pthread_mutex_t *)mutex, until);
    return error == 0 ? thrd_success : error == ETIMEDOUT ? thrd_timedout : thrd_error;
}
