/* test_provider.c - the Windows provider without Python, against the double.
 *
 * What Python cannot bring about: a sink that loses for want of memory, and
 * files of the provider called on their own.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rn_alloc.h"
#include "rn_check.h"
#include "rn_windows_notify.h"
#include "rn_windows_row.h"

#define RECORDS 65536u

#include "../double/double.h"

long rn_alloc_fail_at;
long rn_alloc_calls;

/* The double's control functions. */
static int(WINAPI *change)(const MIB_IPFORWARD_ROW2 *row, int type);
static void(WINAPI *table_set)(const MIB_IPFORWARD_ROW2 *rows, uint32_t n);
static void(WINAPI *set_mode)(uint32_t bits);
static void(WINAPI *inject)(int api, DWORD code, uint32_t count);
static void(WINAPI *row_get)(uint32_t n, int family, MIB_IPFORWARD_ROW2 *out);
static int(WINAPI *churn)(uint32_t count, uint32_t seed, uint32_t spread,
                          uint32_t gap_us);
static void(WINAPI *join)(int stop);
static void(WINAPI *table_delay)(DWORD ms);
static void(WINAPI *stats_get)(struct rnd_stats *out);

static void
find(HMODULE dll, const char *name, void *function)
{
    FARPROC found = GetProcAddress(dll, name);

    if (found == NULL) {
        fprintf(stderr, "%s: this iphlpapi is not the double\n", name);
        exit(1);
    }
    memcpy(function, &found, sizeof found);
}

static void
bind_all(void)
{
    HMODULE dll = LoadLibraryW(L"iphlpapi.dll");

    find(dll, "rnd_change", &change);
    find(dll, "rnd_table_set", &table_set);
    find(dll, "rnd_mode", &set_mode);
    find(dll, "rnd_inject", &inject);
    find(dll, "rnd_row_get", &row_get);
    find(dll, "rnd_churn_async", &churn);
    find(dll, "rnd_join", &join);
    find(dll, "rnd_table_delay", &table_delay);
    find(dll, "rnd_stats_get", &stats_get);
}

/* The path of the one that is the system's. */
static void
in_system32(WCHAR out[MAX_PATH])
{
    CHECK(GetSystemDirectoryW(out, MAX_PATH) < MAX_PATH - 16);
    wcscat(out, L"\\iphlpapi.dll");
}

/* One that is planted beside the program, which is the working directory too,
 * is not looked at, and there is one: the rig builds the double there.
 */
static void
test_only_system32_is_looked_in(void)
{
    WCHAR planted[MAX_PATH], wanted[MAX_PATH], loaded[MAX_PATH];
    struct rn_fail fail;

    CHECK(GetModuleFileNameW(NULL, planted, MAX_PATH) < MAX_PATH - 16);
    wcscpy(wcsrchr(planted, L'\\') + 1, L"iphlpapi.dll");
    CHECK(GetFileAttributesW(planted) != INVALID_FILE_ATTRIBUTES);
    CHECK(GetModuleHandleW(L"iphlpapi.dll") == NULL);
    CHECK(rn_windows_api_get(&fail) != NULL);
    CHECK(GetModuleFileNameW(GetModuleHandleW(L"iphlpapi.dll"), loaded,
                             MAX_PATH) != 0);
    in_system32(wanted);
    CHECK_EQ(0, lstrcmpiW(wanted, loaded));
}

/* A sink that keeps everything, and loses when told. */
struct collector {
    CRITICAL_SECTION lock;
    CONDITION_VARIABLE more;
    struct rn_record records[RECORDS];
    uint32_t count;
    LONG losing; /* how often lost() will say so */
    LONG closed; /* a call after it is a failure */
};

static void
collect(void *self, const struct rn_record *record)
{
    struct collector *c = self;

    CHECK(!c->closed);
    EnterCriticalSection(&c->lock);
    CHECK(c->count < RECORDS);
    c->records[c->count++] = *record;
    WakeAllConditionVariable(&c->more);
    LeaveCriticalSection(&c->lock);
}

static void
flushed(void *self)
{
    struct collector *c = self;

    CHECK(!c->closed);
}

static void
ended(void *self, uint32_t code, const char *call)
{
    (void)self;
    (void)code;
    (void)call;
    CHECK(!"the Windows provider never ends by itself");
}

static int
lost(void *self)
{
    struct collector *c = self;

    LONG times = c->losing;

    /* Nobody else takes one away meanwhile: the producer lock is held. */
    return times > 0 &&
           InterlockedCompareExchange(&c->losing, times - 1, times) == times;
}

static struct collector *
new_collector(void)
{
    struct collector *c = calloc(1, sizeof *c);

    CHECK(c != NULL);
    InitializeCriticalSection(&c->lock);
    InitializeConditionVariable(&c->more);
    return c;
}

static struct rn_notify *
open_on(struct collector *c, int snapshot)
{
    struct rn_config config = {.snapshot = snapshot, .netns_fd = -1};
    struct rn_sink sink = {c, collect, flushed, ended, lost};
    struct rn_notify *notify;
    struct rn_fail fail;

    CHECK_EQ(0, rn_notify_open(&config, &sink, &notify, &fail));
    return notify;
}

static void
close_all(struct rn_notify *notify, struct collector *c)
{
    struct rn_fail fail;

    CHECK_EQ(0, rn_notify_close(notify, &fail));
    c->closed = 1;
    table_set(NULL, 0);
}

/* Wait until a record of the type is there from index `from` on. */
static uint32_t
wait_for(struct collector *c, uint8_t type, uint32_t from)
{
    uint32_t at = from;

    EnterCriticalSection(&c->lock);
    for (;;) {
        while (at < c->count && c->records[at].type != type) {
            at++;
        }
        if (at < c->count) {
            break;
        }
        CHECK(SleepConditionVariableCS(&c->more, &c->lock, 20000));
    }
    LeaveCriticalSection(&c->lock);
    return at;
}

static void
add_route(uint32_t n)
{
    MIB_IPFORWARD_ROW2 row;

    row_get(n, AF_INET, &row);
    CHECK(change(&row, RN_ADD));
}

static uint32_t
count_type(const struct collector *c, uint8_t type, uint32_t from, uint32_t to)
{
    uint32_t found = 0;

    for (uint32_t i = from; i < to; i++) {
        found += c->records[i].type == type;
    }
    return found;
}

/* A sink that lost gets the whole table again, between the markers that void
 * what it knew, without anybody asking.
 */
static void
test_lost_gets_the_table_again(int failures, int snapshot)
{
    struct collector *c = new_collector();
    struct rn_notify *notify = open_on(c, snapshot);
    uint32_t begin, end;

    for (uint32_t n = 0; n < 300; n++) {
        add_route(n);
    }
    inject(2, RN_ERROR_NOT_ENOUGH_MEMORY, (uint32_t)failures);
    InterlockedExchange(&c->losing, 1);
    add_route(300);
    begin = wait_for(c, RN_RESYNC_BEGIN, 0);
    end = wait_for(c, RN_RESYNC_END, begin);
    for (int i = 0; i < failures; i++) {
        CHECK_EQ(0, count_type(c, RN_ADD, begin, end));
        begin = wait_for(c, RN_RESYNC_BEGIN, end);
        end = wait_for(c, RN_RESYNC_END, begin);
    }
    CHECK_EQ(RN_CAUSE_MEMORY, c->records[begin].cause);
    CHECK_EQ(RN_CAUSE_MEMORY, c->records[end].cause);
    CHECK_EQ(301, count_type(c, RN_ADD, begin, end));
    CHECK_EQ(0, count_type(c, RN_DELETE, begin, end));
    close_all(notify, c);
}

/* The table that is told again has no row: the telling ends all the same. */
static void
test_lost_when_the_last_route_went(void)
{
    struct collector *c = new_collector();
    struct rn_notify *notify = open_on(c, 0);
    MIB_IPFORWARD_ROW2 row;
    uint32_t begin, end;

    set_mode(RND_NO_TABLE);
    add_route(0);
    row_get(0, AF_INET, &row);
    InterlockedExchange(&c->losing, 1);
    CHECK(change(&row, RN_DELETE));
    begin = wait_for(c, RN_RESYNC_BEGIN, 0);
    end = wait_for(c, RN_RESYNC_END, begin);
    CHECK_EQ(begin + 1, end);
    rn_lock_producer(notify); /* the telling is over then */
    CHECK_EQ(0, notify->retelling);
    rn_unlock_producer(notify);
    set_mode(0);
    close_all(notify, c);
}

/* Memory is not back at once: the next attempt comes in twice the time. */
static void
test_losing_on_and_on_is_told_ever_later(void)
{
    enum { VAIN = 8 };
    struct collector *c = new_collector();
    struct rn_notify *notify = open_on(c, 0);
    ULONGLONG begun = GetTickCount64();
    uint32_t end = 0;

    InterlockedExchange(&c->losing, VAIN);
    add_route(0);
    for (int i = 0; i < VAIN; i++) {
        end = wait_for(c, RN_RESYNC_END, end + 1);
    }
    /* Less the two ends of a clock that ticks 64 times a second. */
    CHECK(GetTickCount64() - begun + 32 >= (1u << VAIN) - 1);
    close_all(notify, c);
}

/* close() while the table is told again, at every moment of it. */
static void
test_close_while_telling_again(void)
{
    for (uint32_t round = 0; round < 300; round++) {
        struct collector *c = new_collector();
        struct rn_notify *notify = open_on(c, 0);

        for (uint32_t n = 0; n < 100; n++) {
            add_route(n);
        }
        inject(2, RN_ERROR_NOT_ENOUGH_MEMORY, round & 1);
        InterlockedExchange(&c->losing, 1);
        add_route(100);
        if (round % 3 == 0) {
            (void)wait_for(c, RN_RESYNC_BEGIN, 0);
        }
        for (volatile uint32_t spin = 0; spin < round * 1000; spin++) {
        }
        close_all(notify, c);
        inject(2, 0, 0);
        free(c);
    }
}

/* Until the system has made a table, and sleeps before it gives it. */
static void
wait_for_a_table(void)
{
    ULONGLONG begun = GetTickCount64();
    struct rnd_stats stats;

    do {
        CHECK(GetTickCount64() - begun < 20000);
        Sleep(0);
        stats_get(&stats);
    } while (stats.tables == 0);
}

/* close() does not return before the table that is being told is done with. */
static void
test_close_waits_for_the_telling(void)
{
    struct collector *c = new_collector();
    struct rn_notify *notify = open_on(c, 0);
    struct rnd_stats stats;

    add_route(0);
    table_delay(100);
    InterlockedExchange(&c->losing, 1);
    add_route(1);
    (void)wait_for(c, RN_RESYNC_BEGIN, 0);
    wait_for_a_table();
    close_all(notify, c);
    stats_get(&stats);
    CHECK_EQ(0, stats.tables);
    table_delay(0);
}

static uint64_t
nowhere(void *self)
{
    (void)self;
    return 0;
}

static int
ask(struct rn_notify *notify, enum rn_question question,
    struct rn_answer *answer, struct rn_fail *fail)
{
    struct rn_asked *asked;

    return rn_notify_ask(notify, question, nowhere, &asked, fail) < 0
               ? -1
               : rn_asked_wait(asked, NULL, answer, fail);
}

static int
resync(struct rn_notify *notify, struct rn_fail *fail)
{
    struct rn_answer answer;

    return ask(notify, RN_ASK_RESYNC, &answer, fail);
}

/* Routes came and there was no memory to note them: a snapshot has them all the
 * same, and while there is none it is an error, not a table with holes.
 */
static void
test_snapshot_of_what_could_not_be_noted(void)
{
    enum { BEFORE = 200, ROUTES = 700 };
    struct collector *c = new_collector();
    struct rn_notify *notify = open_on(c, 1);
    struct rn_answer answer;
    struct rn_fail fail;

    for (uint32_t n = 0; n < ROUTES; n++) {
        rn_alloc_fail_at = n < BEFORE ? 0 : 1;
        add_route(n);
    }
    CHECK_EQ(-1, ask(notify, RN_ASK_SNAPSHOT, &answer, &fail));
    CHECK_EQ(RN_ERROR_NOT_ENOUGH_MEMORY, fail.code);
    for (long allowed = 1; allowed < 5; allowed++) {
        rn_alloc_calls = 0; /* of the answer, of the ledger twice, of rows */
        rn_alloc_fail_at = allowed;
        if (ask(notify, RN_ASK_SNAPSHOT, &answer, &fail) == 0) {
            CHECK_EQ(ROUTES, answer.rows->count);
            rn_rows_free(answer.rows);
        }
    }
    rn_alloc_fail_at = 0;
    CHECK_EQ(0, ask(notify, RN_ASK_SNAPSHOT, &answer, &fail));
    CHECK_EQ(ROUTES, answer.rows->count);
    rn_rows_free(answer.rows);
    close_all(notify, c);
}

/* Losing again and again in a storm still ends with the right table. */

static void
test_lost_in_a_storm(uint64_t seed)
{
    enum { SPREAD = 50, LOSSES = 5 };
    struct collector *c = new_collector();
    struct rn_notify *notify = open_on(c, 1);
    uint32_t begin = 0, rows = 0;
    struct rn_table *table;
    struct rn_fail fail;

    CHECK_EQ(0, churn(20000, (uint32_t)seed, SPREAD, 0));
    for (uint32_t i = 0; i < LOSSES; i++) {
        InterlockedExchange(&c->losing, 1);
        add_route(SPREAD + i); /* the storm may be over */
        begin = wait_for(c, RN_RESYNC_BEGIN, begin) + 1;
    }
    join(0);
    begin = wait_for(c, RN_RESYNC_END, begin);
    CHECK_EQ(0, resync(notify, &fail));
    CHECK_EQ(0, rn_table_get(0, -1, &table, &fail));
    /* Nothing is left to tell: the ledger agrees with the system. */
    begin = c->count;
    CHECK_EQ(0, resync(notify, &fail));
    CHECK_EQ(begin + 2, c->count);
    rows = (uint32_t)table->count;
    CHECK(rows <= SPREAD + LOSSES);
    rn_table_free(table);
    close_all(notify, c);
}

static struct rn_record
record_of(uint32_t n, uint8_t type)
{
    struct rn_record record;
    MIB_IPFORWARD_ROW2 row;

    row_get(n, n & 1 ? AF_INET : AF_INET6, &row);
    CHECK_EQ(0, rn_windows_record(&row, &record));
    record.type = type;
    return record;
}

/* The ledger against a plain array, over random histories. */
static void
test_ledger_random(uint64_t *random)
{
    enum { ROUTES = 700 };
    static uint8_t told[ROUTES]; /* what the ledger should have */
    static uint8_t real[ROUTES]; /* the system */
    static uint8_t touched[ROUTES];
    struct rn_ledger ledger = {0};

    memset(told, 0, sizeof told);
    memset(real, 0, sizeof real);
    for (int round = 0; round < 40; round++) {
        uint32_t alive = 0, cursor = 0;
        struct rn_record record;
        int found;

        memset(touched, 0, sizeof touched);
        for (uint32_t n = 0; n < ROUTES; n++) {
            real[n] = (uint8_t)rn_check_below(random, 2);
        }
        rn_ledger_begin(&ledger);
        for (int i = 0; i < 200; i++) {
            uint32_t n = rn_check_below(random, ROUTES);
            uint8_t type = (uint8_t)rn_check_below(random, 3);

            record = record_of(n, type);
            rn_ledger_note(&ledger, &record);
            touched[n] = 1;
            told[n] = type != RN_DELETE;
        }
        for (uint32_t n = 0; n < ROUTES; n++) {
            if (real[n]) {
                record = record_of(n, RN_ADD);
                found = rn_ledger_dumped(&ledger, &record, 1);
                CHECK_EQ(!touched[n] && !told[n], found == RN_ADD);
                told[n] = told[n] || found == RN_ADD;
            }
        }
        do {
            found = rn_ledger_sweep(&ledger, &cursor, 7, &record);
            alive += found > 0;
        } while (found != 0);
        for (uint32_t n = 0; n < ROUTES; n++) {
            if (told[n] && !real[n] && !touched[n]) {
                told[n] = 0;
                CHECK(alive-- != 0);
            }
        }
        CHECK_EQ(0, alive);
        rn_ledger_end(&ledger);
        for (uint32_t n = 0; n < ROUTES; n++) {
            alive += told[n];
        }
        CHECK_EQ(alive, ledger.alive);
        CHECK_EQ(0, ledger.broken);
    }
    rn_ledger_clear(&ledger);
}

/* A record of every shape survives the way there and back. */
static void
test_rows_there_and_back(void)
{
    for (uint32_t n = 0; n < 1000; n++) {
        struct rn_record first = record_of(n, 0), second;
        MIB_IPFORWARD_ROW2 row;

        rn_windows_request(&first, &row);
        CHECK_EQ(first.ip_version == 4 ? AF_INET : AF_INET6,
                 row.NextHop.si_family);
        CHECK_EQ(0, rn_windows_record(&row, &second));
        CHECK_EQ(0, memcmp(&first, &second, sizeof first));
    }
}

int
main(void)
{
    uint64_t seed = rn_check_seed(GetTickCount());

    test_only_system32_is_looked_in();
    bind_all();
    test_rows_there_and_back();
    test_ledger_random(&seed);
    test_lost_gets_the_table_again(0, 0);
    test_lost_gets_the_table_again(0, 1);
    test_lost_gets_the_table_again(2, 0);
    test_lost_when_the_last_route_went();
    test_losing_on_and_on_is_told_ever_later();
    test_snapshot_of_what_could_not_be_noted();
    test_lost_in_a_storm(seed & 0xffff);
    test_close_while_telling_again();
    test_close_waits_for_the_telling();
    puts("ok");
    return 0;
}
