/* libnl.c - libnl's route cache kept by its cache manager; count the changes.
 *
 * Prints "ready", then one JSON object once --count changes came, or two
 * seconds after the last one.
 */
#define _GNU_SOURCE
#include <getopt.h>
#include <netlink/cache.h>
#include <netlink/errno.h>
#include <netlink/netlink.h>
#include <netlink/route/route.h>
#include <sys/resource.h>

#include "bench.h"

#define IDLE_MS 2000
#define PATIENCE_MS 30000

struct tally {
    uint64_t messages;
    int64_t first_ns, last_ns;
    int64_t *stamps;
};

static void
changed(struct nl_cache *cache, struct nl_object *object, int action,
        void *self)
{
    struct tally *tally = self;

    (void)cache;
    (void)object;
    (void)action;
    tally->last_ns = now_ns();
    if (tally->messages == 0) {
        tally->first_ns = tally->last_ns;
    }
    if (tally->stamps != NULL) {
        tally->stamps[tally->messages] = tally->last_ns;
    }
    tally->messages++;
}

static void
need(int result, const char *call)
{
    if (result < 0) {
        fprintf(stderr, "libnl: %s: %s\n", call, nl_geterror(result));
        exit(1);
    }
}

/* An overrun is an error, after which the cache is wrong but news still come.
 * Return: the last error, or "".
 */
static const char *
read_all(struct nl_cache_mngr *manager, const struct tally *tally,
         uint64_t count)
{
    const char *error = "";
    int got = 1;

    while (tally->messages < count && got != 0) {
        got = nl_cache_mngr_poll(manager,
                                 tally->messages == 0 ? PATIENCE_MS : IDLE_MS);
        error = got < 0 ? nl_geterror(got) : error;
    }
    return error;
}

static void
report(const struct tally *tally, const char *error,
       const struct rusage *before)
{
    struct rusage after;

    getrusage(RUSAGE_SELF, &after);
    printf("{\"messages\": %llu, \"error\": \"%s\", \"seconds\": %.6f, "
           "\"cpu_user\": %.6f, \"cpu_system\": %.6f}\n",
           (unsigned long long)tally->messages, error,
           (double)(tally->last_ns - tally->first_ns) / 1e9,
           seconds(after.ru_utime) - seconds(before->ru_utime),
           seconds(after.ru_stime) - seconds(before->ru_stime));
}

int
main(int argc, char **argv)
{
    static const struct option known[] = {
        {"count", required_argument, NULL, 'n'},
        {"stamps", required_argument, NULL, 's'},
        {NULL, 0, NULL, 0},
    };
    struct nl_cache_mngr *manager;
    struct nl_cache *cache;
    struct rusage before;
    struct tally tally = {0};
    const char *path = NULL;
    uint64_t count = 1;
    int letter;

    while ((letter = getopt_long(argc, argv, "", known, NULL)) != -1) {
        if (letter == 'n') {
            count = strtoull(optarg, NULL, 10);
        } else if (letter == 's') {
            path = optarg;
        } else {
            return 2;
        }
    }
    /* Of one datagram there may be several changes: room for some more. */
    tally.stamps =
        path != NULL ? calloc(count + 1024, sizeof *tally.stamps) : NULL;
    need(nl_cache_mngr_alloc(NULL, 0, 0, &manager), "nl_cache_mngr_alloc");
    need(rtnl_route_alloc_cache(NULL, AF_UNSPEC, 0, &cache),
         "rtnl_route_alloc_cache");
    need(nl_cache_mngr_add_cache(manager, cache, changed, &tally),
         "nl_cache_mngr_add_cache");
    puts("ready");
    fflush(stdout);
    getrusage(RUSAGE_SELF, &before);
    const char *error = read_all(manager, &tally, count);
    report(&tally, error, &before);
    if (path != NULL) {
        write_stamps(path, tally.stamps, tally.messages);
    }
    nl_cache_mngr_free(manager);
    return 0;
}
