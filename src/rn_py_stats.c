/* rn_py_stats.c - Monitor.stats: counters of channel and provider as one
 * structure.
 */
#include "rn_py_monitor.h"

#include <stddef.h>

enum stats_source { RN_OF_CHANNEL, RN_OF_PROVIDER };

#define CHANNEL_COUNT(name)                                 \
    RN_OF_CHANNEL, offsetof(struct rn_channel_stats, name), \
        sizeof(((struct rn_channel_stats *)0)->name)
#define PROVIDER_COUNT(name)                                  \
    RN_OF_PROVIDER, offsetof(struct rn_provider_stats, name), \
        sizeof(((struct rn_provider_stats *)0)->name)

/* Where the value of each field of MonitorStats comes from, in its order. */
static const struct {
    enum stats_source source;
    size_t offset;
    size_t size;
} stats_values[] = {
    {CHANNEL_COUNT(received)},      {CHANNEL_COUNT(delivered)},
    {CHANNEL_COUNT(filtered)},      {CHANNEL_COUNT(queued)},
    {CHANNEL_COUNT(conflated)},     {CHANNEL_COUNT(high_water)},
    {CHANNEL_COUNT(capacity)},      {PROVIDER_COUNT(overruns)},
    {PROVIDER_COUNT(kernel_drops)}, {PROVIDER_COUNT(resyncs)},
    {PROVIDER_COUNT(synthesised)},  {PROVIDER_COUNT(rcvbuf)},
    {PROVIDER_COUNT(malformed)},    {PROVIDER_COUNT(foreign)},
    {PROVIDER_COUNT(rows)},         {CHANNEL_COUNT(spill_lost)},
    {PROVIDER_COUNT(leaked)},       {PROVIDER_COUNT(overlaps)},
    {PROVIDER_COUNT(ringbuf)},
};
#define STATS_COUNT (sizeof(stats_values) / sizeof(stats_values[0]))

static PyStructSequence_Field stats_fields[STATS_COUNT + 1] = {
    {"received", "changes offered to this monitor"},
    {"delivered", "changes taken"},
    {"filtered", "changes nobody asked for: family, filter, markers"},
    {"queued", "changes waiting now"},
    {"conflated", "changes merged into others because the queue was full"},
    {"high_water", "most changes that ever waited"},
    {"capacity", "changes the queue holds before it merges"},
    {"overruns", "times the kernel's buffer overflowed"},
    {"kernel_drops", "messages the kernel dropped, by its own count"},
    {"resyncs", "comparisons with the system"},
    {"synthesised", "changes delivered that no message announced"},
    {"rcvbuf", "effective receive buffer in bytes; 0: there is none"},
    {"malformed", "messages that did not parse"},
    {"foreign", "messages whose sender was not the kernel"},
    {"rows", "rows of the mirrored table now"},
    {"spill_lost", "times memory for waiting changes ran out"},
    {"leaked", "registrations a failed cancel left (Windows)"},
    {"overlaps", "callbacks that met another one (Windows)"},
    {"ringbuf", "bytes of the BPF ring buffer in place of rcvbuf; 0: none"},
    {NULL, NULL},
};

PyStructSequence_Desc rn_stats_desc = {
    .name = "routenotify.MonitorStats",
    .doc = "What a monitor has done so far; received = filtered + conflated "
           "+ queued + delivered.",
    .fields = stats_fields,
    .n_in_sequence = STATS_COUNT,
};

static PyObject *
stats_object(struct rn_state *state, const struct rn_channel_stats *channel,
             const struct rn_provider_stats *provider)
{
    PyObject *result =
        PyStructSequence_New((PyTypeObject *)state->held[RN_HELD_STATS_TYPE]);
    for (size_t i = 0; result != NULL && i < STATS_COUNT; i++) {
        const char *base = stats_values[i].source == RN_OF_CHANNEL
                               ? (const char *)channel
                               : (const char *)provider;
        base += stats_values[i].offset;
        unsigned long long value = stats_values[i].size == sizeof(uint32_t)
                                       ? *(const uint32_t *)(const void *)base
                                       : *(const uint64_t *)(const void *)base;
        PyObject *number = PyLong_FromUnsignedLongLong(value);
        if (number == NULL) {
            Py_CLEAR(result);
        } else {
            PyStructSequence_SetItem(result, (Py_ssize_t)i, number);
        }
    }
    return result;
}

PyObject *
rn_monitor_stats(PyObject *self, void *closure)
{
    (void)closure;
    struct rn_monitor *monitor = rn_monitor_of(self);
    struct rn_channel_stats channel;
    struct rn_provider_stats provider;
    int usable;
    RN_BEGIN_TURN(self)
    usable = rn_monitor_usable(monitor, "stats") == 0;
    if (usable) {
        rn_channel_get_stats(monitor->channel, &channel);
        provider = monitor->last;
        if (monitor->notify != NULL) {
            rn_notify_stats(monitor->notify, &provider);
        }
    }
    RN_END_TURN()
    return usable ? stats_object(monitor->state, &channel, &provider) : NULL;
}
