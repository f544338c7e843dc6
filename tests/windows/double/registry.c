/* registry.c - registrations of the double and how they are called. */
#include "double.h"

#include <stdlib.h>
#include <string.h>

#define SLOTS 8192u
#define POISON 0xDD
#define ROWS_KEPT 32u /* poisoned rows watched per registration */
#define PAGES_KEPT 512u

struct registration {
    HANDLE handle; /* never reused; NULL: slot is free */
    ADDRESS_FAMILY family;
    PIPFORWARD_CHANGE_CALLBACK callback;
    void *context;
    uint32_t inflight; /* calls running; one at most, or RND_OVERLAP */
    int cancelled;
    CONDITION_VARIABLE idle; /* with rnd_lock */
    MIB_IPFORWARD_ROW2 rows[ROWS_KEPT];
    uint8_t used[ROWS_KEPT]; /* 0 never, 1 in a call, 2 poisoned */
    uint32_t next_row;
};

struct call {
    struct registration *to;
    MIB_IPFORWARD_ROW2 *row;
    MIB_NOTIFICATION_TYPE type;
};

CRITICAL_SECTION rnd_lock;
struct rnd_stats rnd_counts;
static struct registration *slots[SLOTS];
static uint32_t slots_used;
static uintptr_t next_handle = 0x1000;
static uint32_t mode;
static DWORD inside; /* TLS: the registration whose callback runs here */
static struct {
    DWORD code;
    uint32_t count;
} injections[RND_APIS];
static void *pages[PAGES_KEPT];
static uint32_t next_page;
static struct {
    uint64_t count, sum_ns, max_ns;
} clocked;
static LARGE_INTEGER frequency;

BOOL WINAPI
DllMain(HINSTANCE module, DWORD reason, void *reserved)
{
    (void)module;
    (void)reserved;
    if (reason == DLL_PROCESS_ATTACH) {
        InitializeCriticalSection(&rnd_lock);
        inside = TlsAlloc();
        QueryPerformanceFrequency(&frequency);
    }
    return TRUE;
}

int
rnd_is_mode(uint32_t bit)
{
    return (mode & bit) != 0;
}

DWORD
rnd_injected(int api)
{
    DWORD code = 0;

    EnterCriticalSection(&rnd_lock);
    if (injections[api].count != 0) {
        injections[api].count--;
        code = injections[api].code;
    }
    LeaveCriticalSection(&rnd_lock);
    return code;
}

/* Rows: memory that is the system's, and that says so afterwards. */

static int
is_poisoned(const MIB_IPFORWARD_ROW2 *row)
{
    const unsigned char *bytes = (const void *)row;

    for (size_t i = 0; i < sizeof *row; i++) {
        if (bytes[i] != POISON) {
            return 0;
        }
    }
    return 1;
}

static void
check_row(struct registration *r, uint32_t at)
{
    if (r->used[at] == 2 && !is_poisoned(&r->rows[at])) {
        rnd_counts.touched++;
    }
}

/* Under rnd_lock. */
static MIB_IPFORWARD_ROW2 *
lend_row(struct registration *r, const MIB_IPFORWARD_ROW2 *row)
{
    uint32_t at;

    if (mode & RND_PAGES) {
        void **page = &pages[next_page++ % PAGES_KEPT];

        if (*page != NULL) {
            VirtualFree(*page, 0, MEM_RELEASE);
        }
        *page = VirtualAlloc(NULL, 4096, MEM_COMMIT, PAGE_READWRITE);
        memcpy(*page, row, sizeof *row);
        return *page;
    }
    do { /* fewer storms than rows: one is free */
        at = r->next_row++ % ROWS_KEPT;
    } while (r->used[at] == 1);
    check_row(r, at);
    r->used[at] = 1;
    r->rows[at] = *row;
    return &r->rows[at];
}

static void
poison_row(struct registration *r, MIB_IPFORWARD_ROW2 *row)
{
    DWORD before;

    if (row >= r->rows && row < r->rows + ROWS_KEPT) {
        memset(row, POISON, sizeof *row);
        r->used[row - r->rows] = 2;
    } else {
        VirtualProtect(row, 4096, PAGE_NOACCESS, &before);
    }
}

/* Calling. */

static void
clock_call(uint64_t ticks)
{
    uint64_t ns = ticks * 1000000000u / (uint64_t)frequency.QuadPart;

    clocked.count++;
    clocked.sum_ns += ns;
    if (ns > clocked.max_ns) {
        clocked.max_ns = ns;
    }
}

static DWORD WINAPI
run_call(void *argument)
{
    struct call *call = argument;
    struct registration *r = call->to;
    LARGE_INTEGER before, after;
    int clock = (mode & RND_CLOCK) != 0;

    TlsSetValue(inside, r);
    if (clock) {
        QueryPerformanceCounter(&before);
    }
    r->callback(r->context, call->row, call->type);
    if (clock) {
        QueryPerformanceCounter(&after);
        EnterCriticalSection(&rnd_lock);
        clock_call((uint64_t)(after.QuadPart - before.QuadPart));
        LeaveCriticalSection(&rnd_lock);
    }
    TlsSetValue(inside, NULL);
    return 0;
}

static void
run_on_thread(struct call *call)
{
    HANDLE thread = CreateThread(NULL, 0, run_call, call, 0, NULL);

    WaitForSingleObject(thread, INFINITE);
    CloseHandle(thread);
}

/* Under rnd_lock. */
static int
is_open(const struct registration *r, HANDLE handle)
{
    return r->handle == handle && !r->cancelled;
}

/* One call, serialised as the page on NotifyRouteChange2 says; none if the
 * slot no longer is the registration the caller meant.
 */
static void
call_one(struct registration *r, HANDLE handle, const MIB_IPFORWARD_ROW2 *row,
         MIB_NOTIFICATION_TYPE type)
{
    struct call call = {r, NULL, type};

    EnterCriticalSection(&rnd_lock);
    while (r->inflight != 0 && is_open(r, handle) && !(mode & RND_OVERLAP)) {
        SleepConditionVariableCS(&r->idle, &rnd_lock, INFINITE);
    }
    if (!is_open(r, handle)) {
        LeaveCriticalSection(&rnd_lock);
        return;
    }
    rnd_counts.overlaps += r->inflight != 0;
    r->inflight++;
    rnd_counts.called++;
    rnd_counts.initial += type == MibInitialNotification;
    call.row = row != NULL ? lend_row(r, row) : NULL;
    LeaveCriticalSection(&rnd_lock);
    if (mode & RND_FRESH_THREAD) {
        run_on_thread(&call);
    } else {
        run_call(&call);
    }
    EnterCriticalSection(&rnd_lock);
    if (call.row != NULL) {
        poison_row(r, call.row);
    }
    r->inflight--;
    WakeAllConditionVariable(&r->idle);
    LeaveCriticalSection(&rnd_lock);
}

/* The handle if the registration wants rows of the family, else NULL. */
static HANDLE
wants(const struct registration *r, ADDRESS_FAMILY family)
{
    HANDLE handle;

    EnterCriticalSection(&rnd_lock);
    handle = r->family == AF_UNSPEC || r->family == family ? r->handle : NULL;
    LeaveCriticalSection(&rnd_lock);
    return handle;
}

void
rnd_deliver(const MIB_IPFORWARD_ROW2 *row, MIB_NOTIFICATION_TYPE type)
{
    ADDRESS_FAMILY family = row->DestinationPrefix.Prefix.si_family;

    for (uint32_t i = 0; i < slots_used; i++) {
        HANDLE handle = wants(slots[i], family);

        if (handle != NULL) {
            call_one(slots[i], handle, row, type);
        }
    }
}

/* The functions themselves. */

/* Slots are reused, their memory is never freed: a deliverer may still look. */
static struct registration *
take_slot(void)
{
    uint32_t i = 0;

    while (i < slots_used && slots[i]->handle != NULL) {
        i++;
    }
    if (i == SLOTS) {
        return NULL;
    }
    if (i == slots_used) {
        slots[i] = calloc(1, sizeof *slots[i]);
        if (slots[i] == NULL) {
            return NULL;
        }
        InitializeConditionVariable(&slots[i]->idle);
        slots_used++;
    }
    return slots[i];
}

struct first {
    struct registration *to;
    HANDLE handle;
    DWORD wait_ms;
    int initial;
};

static DWORD WINAPI
first_call(void *argument)
{
    struct first first = *(struct first *)argument;
    MIB_IPFORWARD_ROW2 row;

    free(argument);
    Sleep(first.wait_ms);
    if (first.initial) {
        call_one(first.to, first.handle, NULL, MibInitialNotification);
    } else {
        rnd_row(0xEA51, first.to->family, &row);
        call_one(first.to, first.handle, &row, MibAddInstance);
    }
    return 0;
}

static void
call_elsewhere(struct registration *r, int initial, DWORD wait_ms)
{
    struct first *first = malloc(sizeof *first);
    HANDLE thread;

    *first = (struct first){r, r->handle, wait_ms, initial};
    thread = CreateThread(NULL, 0, first_call, first, 0, NULL);
    if (wait_ms == 0) {
        WaitForSingleObject(thread, INFINITE);
    }
    CloseHandle(thread);
}

static struct registration *
enter(ADDRESS_FAMILY family, PIPFORWARD_CHANGE_CALLBACK callback,
      void *context)
{
    struct registration *r;

    EnterCriticalSection(&rnd_lock);
    r = take_slot();
    if (r != NULL) {
        r->family = family;
        r->callback = callback;
        r->context = context;
        r->cancelled = 0;
        r->next_row = 0;
        memset(r->used, 0, sizeof r->used);
        r->handle = (HANDLE)next_handle;
        next_handle += 8;
        rnd_counts.live++;
        rnd_counts.opened++;
    }
    LeaveCriticalSection(&rnd_lock);
    return r;
}

static void
call_first(struct registration *r, BOOLEAN initial)
{
    if (mode & RND_EARLY) {
        call_elsewhere(r, 0, 0);
    }
    if (initial && (mode & (RND_INITIAL_WORKER | RND_INITIAL_LATE))) {
        call_elsewhere(r, 1, mode & RND_INITIAL_LATE ? 30 : 0);
    } else if (initial) {
        call_one(r, r->handle, NULL, MibInitialNotification);
    }
}

DWORD WINAPI
NotifyRouteChange2(ADDRESS_FAMILY family, PIPFORWARD_CHANGE_CALLBACK callback,
                   void *context, BOOLEAN initial, HANDLE *handle)
{
    DWORD code = rnd_injected(RND_NOTIFY);
    struct registration *r;

    *handle = NULL;
    if (code != 0) {
        return code;
    }
    if (callback == NULL ||
        (family != AF_UNSPEC && family != AF_INET && family != AF_INET6)) {
        return ERROR_INVALID_PARAMETER;
    }
    if (mode & RND_NULL_HANDLE) {
        return NO_ERROR;
    }
    r = enter(family, callback, context);
    if (r == NULL) {
        return ERROR_NOT_ENOUGH_MEMORY;
    }
    call_first(r, initial);
    *handle = r->handle;
    return NO_ERROR;
}

/* Under rnd_lock. */
static struct registration *
find(HANDLE handle)
{
    for (uint32_t i = 0; i < slots_used; i++) {
        if (slots[i]->handle == handle) {
            return slots[i];
        }
    }
    return NULL;
}

/* Why this handle cannot be cancelled, or 0; under rnd_lock. */
static DWORD
refuse_cancel(HANDLE handle, const struct registration *r)
{
    if (r != NULL && TlsGetValue(inside) == r) {
        rnd_counts.self_cancels++;
        return ERROR_POSSIBLE_DEADLOCK;
    }
    if (r != NULL && !r->cancelled) {
        return NO_ERROR;
    }
    if (handle != NULL && (uintptr_t)handle < next_handle) {
        rnd_counts.double_cancels++;
        return ERROR_INVALID_HANDLE;
    }
    rnd_counts.bad_cancels++;
    return ERROR_INVALID_PARAMETER;
}

DWORD WINAPI
CancelMibChangeNotify2(HANDLE handle)
{
    DWORD code = rnd_injected(RND_CANCEL);
    struct registration *r;

    if (code != 0) {
        return code;
    }
    EnterCriticalSection(&rnd_lock);
    r = handle != NULL ? find(handle) : NULL;
    code = refuse_cancel(handle, r);
    if (code == NO_ERROR) {
        r->cancelled = 1;
        WakeAllConditionVariable(&r->idle);
        while (r->inflight != 0) {
            SleepConditionVariableCS(&r->idle, &rnd_lock, INFINITE);
        }
        for (uint32_t i = 0; i < ROWS_KEPT; i++) {
            check_row(r, i);
        }
        r->handle = NULL;
        rnd_counts.live--;
    }
    LeaveCriticalSection(&rnd_lock);
    return code;
}

/* Control. */

__declspec(dllexport) void WINAPI rnd_mode(uint32_t bits)
{
    mode = bits;
}

__declspec(dllexport) void WINAPI
    rnd_inject(int api, DWORD code, uint32_t count)
{
    EnterCriticalSection(&rnd_lock);
    injections[api].code = code;
    injections[api].count = count;
    LeaveCriticalSection(&rnd_lock);
}

__declspec(dllexport) void WINAPI rnd_stats_get(struct rnd_stats *out)
{
    EnterCriticalSection(&rnd_lock);
    *out = rnd_counts;
    LeaveCriticalSection(&rnd_lock);
}

/* Forget registrations a failed cancel left behind, so that one test's leak
 * is not another's.
 */
__declspec(dllexport) uint32_t WINAPI rnd_drop_all(void)
{
    uint32_t dropped = 0;

    EnterCriticalSection(&rnd_lock);
    for (uint32_t i = 0; i < slots_used; i++) {
        if (slots[i]->handle != NULL) {
            slots[i]->cancelled = 1;
            slots[i]->handle = NULL;
            rnd_counts.live--;
            dropped++;
        }
    }
    LeaveCriticalSection(&rnd_lock);
    return dropped;
}

__declspec(dllexport) void WINAPI
    rnd_cbtime(uint64_t *count, uint64_t *sum_ns, uint64_t *max_ns)
{
    EnterCriticalSection(&rnd_lock);
    *count = clocked.count;
    *sum_ns = clocked.sum_ns;
    *max_ns = clocked.max_ns;
    memset(&clocked, 0, sizeof clocked);
    LeaveCriticalSection(&rnd_lock);
}
