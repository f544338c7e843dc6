/* channel.cc - the real ring, wake-up and channel between two threads, in any
 * order of steps and with every old value that C11 lets a load return.
 *
 * usage: channel ITERATIONS [MUTANT]; exits 0 when no iteration went wrong.
 * rn_spill.c, which knows no thread, is linked as it is.
 */
#include "checked.hh"

extern "C" {
#include "rn_channel.h"
#include "rn_ring.h"
#include "rn_spill.h"
#include "rn_wake.h"

long rn_alloc_fail_at;
long rn_alloc_calls;
}

static int
popped(int result, const void *slot)
{
    if (result) {
        note_write(slot);
    }
    return result;
}

#define rn_spill_pop(spill, slot) popped(rn_spill_pop(spill, slot), slot)
#include "rn_channel.c"
#include "rn_ring.c"
#include "rn_wake.c"
#include "rn_wake_linux.c"
#include "rn_wake_posix.c"

enum { ROWS = 2, CHANGES = 6 };

struct table {
    uint32_t values[ROWS]; /* 0: no such row */
};

struct two_threads : rl::test_suite<two_threads, 2> {
    struct rn_channel *channel;
    struct table truth;
    struct table told;
    uint64_t sequence;
    uint64_t merged;

    void
    before()
    {
        const struct rn_channel_config config = {CAPACITY, 0, 0};

        kernel = new rl::mutex;
        readable = new rl::condition_variable;
        first_slot = NULL;
        counter_count = 0;
        channel = rn_channel_new(&config);
        first_slot = (const char *)channel->ring.slots;
        for (int i = 0; i < CAPACITY; i++) {
            slots[i] = new rl::var<unsigned>(0u);
        }
        touch(&channel->spilling);
        touch(&channel->ended);
        touch(&channel->end_claimed);
        touch(&channel->enough);
        touch(&channel->gathered.state);
        truth = told = table();
        sequence = merged = 0;
    }

    /* Of a random row what can happen to it; now and then the last of a batch,
     * now and then after the consumer had time to take all.
     */
    void
    produce()
    {
        for (uint32_t value = 1; value <= CHANGES; value++) {
            struct rn_record record;
            uint32_t row = rl::rand(ROWS);
            memset((void *)&record, 0, sizeof(record));
            record.type = truth.values[row] == 0 ? RN_ADD
                          : rl::rand(2)          ? RN_DELETE
                                                 : RN_PARAMETER;
            truth.values[row] = record.type == RN_DELETE ? 0 : value;
            record.ip_version = 4;
            record.table = row;
            record.mtu = value;
            rn_channel_emit(channel, &record);
            if (rl::rand(2) == 0) {
                rn_channel_flush(channel);
            }
        }
        rn_channel_flush(channel);
        rn_channel_end(channel, 6, "recvmmsg");
    }

    void
    apply(const struct rn_record *record)
    {
        const struct rn_record copy = *record; /* which reads the slot */
        uint32_t *value = &told.values[copy.table];

        RL_ASSERT(copy.sequence > sequence);
        RL_ASSERT((copy.type == RN_ADD) == (*value == 0));
        sequence = copy.sequence;
        merged += copy.merged;
        *value = copy.type == RN_DELETE ? 0 : copy.mtu;
    }

    uint32_t
    take()
    {
        const struct rn_record *records;
        uint32_t count = rn_channel_peek(channel, &records, 1 + rl::rand(2));

        for (uint32_t i = 0; i < count; i++) {
            apply(&records[i]);
        }
        rn_channel_release(channel, count);
        return count;
    }

    /* A wake-up that is lost leaves the wait without an end. */
    void
    consume()
    {
        for (;;) {
            uint32_t code;
            const char *call;
            int ended = rn_channel_ended(channel, &code, &call);

            if (take() != 0) {
                continue;
            }
            if (ended) {
                return;
            }
            if (rl::rand(2) == 0) {
                if (!rn_channel_settle(channel)) {
                    (void)rn_channel_wait(channel, -1);
                }
            } else if (rn_channel_gather(channel, 1 + rl::rand(2)) == 0) {
                (void)rn_channel_gather_wait(channel, -1);
            }
        }
    }

    void
    thread(unsigned index)
    {
        index == 0 ? produce() : consume();
    }

    void
    after()
    {
        RL_ASSERT(memcmp(&truth, &told, sizeof(told)) == 0);
        RL_ASSERT(channel->delivered.value + channel->conflated.value ==
                  CHANGES);
        RL_ASSERT(channel->spill.count == 0);
        rn_channel_free(channel);
        forget_words();
        for (int i = 0; i < CAPACITY; i++) {
            delete slots[i];
        }
        delete readable;
        delete kernel;
    }
};

int
main(int argc, char **argv)
{
    rl::test_params params;

    params.iteration_count = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000;
    params.search_type = rl::random_scheduler_type;
    mutant = argc > 2 ? argv[2] : "";
    return rl::simulate<two_threads>(params) ? 0 : 1;
}
