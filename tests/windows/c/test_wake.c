/* test_wake.c - the wake-up on a Windows event: none lost, none too many.
 *
 * The producer goes idle after every step, so that a lost wake-up shows as a
 * wait that passes its limit.
 */
#include <stdio.h>

#include <windows.h>

#include "rn_check.h"
#include "rn_wake.h"

#define ROUNDS 50000u
#define LOST_MS 10000

struct side {
    struct rn_wake wake;
    rn_atomic_u32 put;
    uint32_t taken; /* the consumer's */
};

static struct side ping, pong;

static int
nonempty(void *self)
{
    struct side *side = self;

    return rn_load_acquire(&side->put) != side->taken;
}

static void
put(struct side *side)
{
    (void)rn_fetch_add(&side->put, 1);
    rn_wake_signal(&side->wake);
}

static void
take(struct side *side)
{
    while (!rn_wake_settle(&side->wake, nonempty, side)) {
        CHECK_EQ(1, rn_wake_wait(&side->wake, LOST_MS));
    }
    side->taken++;
}

static DWORD WINAPI
answer(void *unused)
{
    (void)unused;
    for (uint32_t i = 0; i < ROUNDS; i++) {
        take(&ping);
        put(&pong);
    }
    return 0;
}

static void
test_ping_pong(void)
{
    HANDLE thread = CreateThread(NULL, 0, answer, NULL, 0, NULL);

    for (uint32_t i = 0; i < ROUNDS; i++) {
        put(&ping);
        take(&pong);
    }
    CHECK_EQ(WAIT_OBJECT_0, WaitForSingleObject(thread, LOST_MS));
    CloseHandle(thread);
}

static int
is_set(struct side *side)
{
    return rn_wake_wait(&side->wake, 0);
}

static void
test_set_exactly_while_something_is_queued(void)
{
    struct side side = {0};

    CHECK_EQ(0, rn_wake_init(&side.wake));
    put(&side);
    CHECK_EQ(0, is_set(&side)); /* OFF: nobody asked yet */
    CHECK(rn_wake_settle(&side.wake, nonempty, &side));
    CHECK_EQ(1, is_set(&side));
    CHECK_EQ(1, is_set(&side)); /* manual reset: looking changes nothing */
    side.taken++;
    CHECK(!rn_wake_settle(&side.wake, nonempty, &side));
    CHECK_EQ(0, is_set(&side));
    put(&side);
    CHECK_EQ(1, is_set(&side));
    rn_wake_destroy(&side.wake);
}

int
main(void)
{
    CHECK_EQ(0, rn_wake_init(&ping.wake));
    CHECK_EQ(0, rn_wake_init(&pong.wake));
    test_set_exactly_while_something_is_queued();
    test_ping_pong();
    rn_wake_destroy(&ping.wake);
    rn_wake_destroy(&pong.wake);
    puts("ok");
    return 0;
}
