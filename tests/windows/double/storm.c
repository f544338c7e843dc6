/* storm.c - where the double's notifications come from. */
#include "double.h"

#include <stdlib.h>
#include <string.h>

#define THREADS 16u

struct storm {
    uint32_t count, first;
    int family, type;
    uint32_t gap_us;
    uint32_t spread; /* churn: distinct routes; 0: a plain series */
};

static HANDLE threads[THREADS];
static uint32_t thread_count;
static volatile LONG stopping;
static SRWLOCK order = SRWLOCK_INIT; /* table and notification together */

void
rnd_row(uint32_t n, int family, MIB_IPFORWARD_ROW2 *out)
{
    memset(out, 0, sizeof *out);
    out->InterfaceLuid.Value = RND_LUID_1;
    out->InterfaceIndex = RND_INDEX_1;
    if (family == AF_INET6) {
        uint8_t *address =
            (uint8_t *)&out->DestinationPrefix.Prefix.Ipv6.sin6_addr;
        uint32_t value = __builtin_bswap32(n);

        out->DestinationPrefix.Prefix.si_family = AF_INET6;
        address[0] = 0xfd;
        memcpy(address + 12, &value, 4);
        out->DestinationPrefix.PrefixLength = 128;
        out->NextHop.si_family = AF_INET6;
    } else {
        out->DestinationPrefix.Prefix.si_family = AF_INET;
        out->DestinationPrefix.Prefix.Ipv4.sin_addr.s_addr =
            __builtin_bswap32(0x0A000000u + n);
        out->DestinationPrefix.PrefixLength = 32;
        out->NextHop.si_family = AF_INET;
        out->NextHop.Ipv4.sin_addr.s_addr = __builtin_bswap32(0xC0000201);
    }
    out->SitePrefixLength = 255;
    out->ValidLifetime = 0xffffffff;
    out->PreferredLifetime = 0xffffffff;
    out->Metric = 256;
    out->Protocol = 3;
    out->Immortal = 1;
}

/* A table change and its notification: nobody else's comes between, but
 * GetIpForwardTable2 may see the table before the notification is out.
 */
static int
change(const MIB_IPFORWARD_ROW2 *row, MIB_NOTIFICATION_TYPE type)
{
    int applied;

    AcquireSRWLockExclusive(&order);
    EnterCriticalSection(&rnd_lock);
    applied = rnd_table_apply(row, type);
    LeaveCriticalSection(&rnd_lock);
    if (applied) {
        rnd_deliver(row, type);
    }
    ReleaseSRWLockExclusive(&order);
    return applied;
}

static uint64_t
next_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(2685821657736338717) >> 33;
}

static void
pause_us(uint32_t us)
{
    if (us >= 1000) {
        Sleep(us / 1000);
    } else if (us != 0) {
        SwitchToThread();
    }
}

static void
churn(const struct storm *storm)
{
    uint64_t state = (uint64_t)storm->first * 2 + 1;
    MIB_IPFORWARD_ROW2 row;

    for (uint32_t i = 0; i < storm->count && !stopping; i++) {
        uint32_t n = (uint32_t)(next_random(&state) % storm->spread);

        rnd_row(n, n & 1 ? AF_INET : AF_INET6, &row);
        row.Metric = (ULONG)(next_random(&state) % 3);
        if (!change(&row, (MIB_NOTIFICATION_TYPE)(next_random(&state) % 3))) {
            change(&row, MibAddInstance);
        }
        pause_us(storm->gap_us);
    }
}

static void
series(const struct storm *storm)
{
    MIB_IPFORWARD_ROW2 row;

    for (uint32_t i = 0; i < storm->count && !stopping; i++) {
        rnd_row(storm->first + i, storm->family, &row);
        rnd_deliver(&row,
                    (MIB_NOTIFICATION_TYPE)(storm->type < 0 ? (int)(i % 3)
                                                            : storm->type));
        pause_us(storm->gap_us);
    }
}

static DWORD WINAPI
run_storm(void *argument)
{
    struct storm storm = *(struct storm *)argument;

    free(argument);
    if (storm.spread != 0) {
        churn(&storm);
    } else {
        series(&storm);
    }
    return 0;
}

static int
start(struct storm storm)
{
    struct storm *copy = malloc(sizeof *copy);

    if (copy == NULL || thread_count == THREADS) {
        free(copy);
        return -1;
    }
    *copy = storm;
    threads[thread_count] = CreateThread(NULL, 0, run_storm, copy, 0, NULL);
    return threads[thread_count++] != NULL ? 0 : -1;
}

struct timed {
    struct storm storm;
    uint64_t ns;
};

static uint64_t
ticks_of(FILETIME time)
{
    return (uint64_t)time.dwHighDateTime << 32 | time.dwLowDateTime;
}

/* CPU time of the calling thread; it may go on in steps of a clock tick. */
static uint64_t
cpu_ns(void)
{
    FILETIME created, ended, kernel, user;

    GetThreadTimes(GetCurrentThread(), &created, &ended, &kernel, &user);
    return (ticks_of(kernel) + ticks_of(user)) * 100;
}

static DWORD WINAPI
run_timed(void *argument)
{
    struct timed *timed = argument;
    uint64_t before = cpu_ns();

    series(&timed->storm);
    timed->ns = cpu_ns() - before;
    return 0;
}

/* Fire a series on a thread that is none of Python's, as the system's are, and
 * wait for it.  type -1 cycles 0, 1, 2.  Return: nanoseconds of CPU the calls
 * took, in that thread.
 */
__declspec(dllexport) uint64_t WINAPI
    rnd_fire(uint32_t count, uint32_t first, int family, int type)
{
    struct timed timed = {{count, first, family, type, 0, 0}, 0};
    HANDLE thread = CreateThread(NULL, 0, run_timed, &timed, 0, NULL);

    WaitForSingleObject(thread, INFINITE);
    CloseHandle(thread);
    return timed.ns;
}

static void WINAPI
do_nothing(void *context, MIB_IPFORWARD_ROW2 *row, MIB_NOTIFICATION_TYPE type)
{
    (void)context;
    (void)row;
    (void)type;
}

/* Register a callback that does nothing: what the double itself costs. */
__declspec(dllexport) HANDLE WINAPI rnd_register_nothing(void)
{
    HANDLE handle = NULL;

    (void)NotifyRouteChange2(AF_UNSPEC, do_nothing, NULL, FALSE, &handle);
    return handle;
}

/* The same without waiting, gap_us between two; then rnd_join. */
__declspec(dllexport) int WINAPI
    rnd_fire_async(uint32_t count, uint32_t first, int family, int type,
                   uint32_t gap_us)
{
    return start((struct storm){count, first, family, type, gap_us, 0});
}

/* Random changes of `spread` routes on a thread of its own, table and all. */
__declspec(dllexport) int WINAPI
    rnd_churn_async(uint32_t count, uint32_t seed, uint32_t spread,
                    uint32_t gap_us)
{
    return start((struct storm){count, seed, 0, 0, gap_us, spread});
}

/* Wait for the storms; stop: they end after the call they are in. */
__declspec(dllexport) void WINAPI rnd_join(int stop)
{
    InterlockedExchange(&stopping, stop);
    for (uint32_t i = 0; i < thread_count; i++) {
        WaitForSingleObject(threads[i], INFINITE);
        CloseHandle(threads[i]);
    }
    thread_count = 0;
    InterlockedExchange(&stopping, 0);
}

/* One change, table and all.  Return: nonzero if it applied. */
__declspec(dllexport) int WINAPI
    rnd_change(const MIB_IPFORWARD_ROW2 *row, int type)
{
    return change(row, (MIB_NOTIFICATION_TYPE)type);
}

/* One notification, whatever the table says. */
__declspec(dllexport) void WINAPI
    rnd_fire_row(const MIB_IPFORWARD_ROW2 *row, int type)
{
    rnd_deliver(row, (MIB_NOTIFICATION_TYPE)type);
}

/* For tests that need a row of the right shape. */
__declspec(dllexport) void WINAPI
    rnd_row_get(uint32_t n, int family, MIB_IPFORWARD_ROW2 *out)
{
    rnd_row(n, family, out);
}
