/* bench.h - what the injector and the baselines share: clock, core, report. */
#ifndef BENCH_H
#define BENCH_H

#include <errno.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

static inline void
die(const char *program, const char *what)
{
    fprintf(stderr, "%s: %s: %s\n", program, what, strerror(errno));
    exit(2);
}

/* The clock that two processes can compare: Python's time.monotonic_ns(). */
static inline int64_t
now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static inline double
seconds(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

/* A negative core: wherever the scheduler likes. */
static inline void
pin(int core)
{
    cpu_set_t set;
    if (core < 0) {
        return;
    }
    CPU_ZERO(&set);
    CPU_SET((size_t)core, &set);
    if (sched_setaffinity(0, sizeof set, &set) != 0) {
        die("bench", "sched_setaffinity");
    }
}

/* The stamps of a run, native int64 each, for array.array("q"). */
static inline void
write_stamps(const char *path, const int64_t *stamps, size_t count)
{
    FILE *file = fopen(path, "wb");
    if (file == NULL || fwrite(stamps, sizeof *stamps, count, file) != count) {
        die("bench", path);
    }
    fclose(file);
}

#endif
