/* rn_py_ask.c - questions a Monitor puts to its stream: snapshot, resync.
 *
 * While one is under way the monitor may be closed, by another thread or by a
 * signal's handler in this one, and Ctrl-C may come: then the wait is given up,
 * and the provider throws the answer away when it has it.
 */
#include "rn_py_monitor.h"

struct asking {
    PyObject *self;
    PyThreadState *thread; /* while detached */
};

/* Attaches for a moment; what a signal's handler raised stays set. */
static int
is_over(void *argument)
{
    struct asking *asking = argument;
    struct rn_monitor *monitor = rn_monitor_of(asking->self);
    PyEval_RestoreThread(asking->thread);
    int over = PyErr_CheckSignals() < 0;
    RN_BEGIN_TURN(asking->self)
    over |= monitor->phase != RN_PHASE_OPEN || rn_monitor_forked(monitor);
    RN_END_TURN()
    asking->thread = PyEval_SaveThread();
    return over;
}

/* Detached; drops the gate in between. */
static int
ask(struct asking *asking, struct rn_notify *notify, enum rn_question question,
    struct rn_answer *answer, struct rn_fail *fail)
{
    struct rn_patience patience = {is_over, asking};
    struct rn_asked *asked;
    int result =
        rn_notify_ask(notify, question, rn_channel_mark, &asked, fail);
    struct rn_monitor *monitor = rn_monitor_of(asking->self);
    PyThread_release_lock(monitor->gate);
    result =
        result < 0 ? result : rn_asked_wait(asked, &patience, answer, fail);
    if (result == 0 && answer->rows != NULL) {
        rn_channel_keep(monitor->channel, answer->rows);
    }
    return result;
}

/* 0, or -1 with an exception. */
static int
ask_and_wait(PyObject *self, enum rn_question question, const char *call,
             struct rn_answer *answer)
{
    struct rn_state *state = rn_monitor_of(self)->state;
    struct asking asking = {.self = self};
    struct rn_notify *notify;
    struct rn_fail fail;
    if (rn_monitor_claim(self, call, &notify) < 0) {
        return -1;
    }
    asking.thread = PyEval_SaveThread();
    int failed = ask(&asking, notify, question, answer, &fail);
    PyEval_RestoreThread(asking.thread);
    if (PyErr_Occurred()) {
        return -1;
    }
    if (failed && fail.code == RN_ERROR_CANCELLED) {
        (void)rn_raise_closed(state, RN_ERROR_INVALID_HANDLE, call,
                              "the monitor was closed meanwhile");
    } else if (failed) {
        (void)rn_raise(state, &fail);
    }
    return failed ? -1 : 0;
}

static PyObject *
list_of_rows(struct rn_monitor *monitor, struct rn_rows *rows,
             uint64_t sequence)
{
    PyTypeObject *type =
        (PyTypeObject *)monitor->state->held[RN_HELD_CHANGE_TYPE];
    PyObject *list = PyList_New((Py_ssize_t)rows->count);
    for (size_t i = 0; list != NULL && i < rows->count; i++) {
        struct rn_record *row = &rows->rows[i];
        row->type = RN_ADD;
        row->cause = RN_CAUSE_SNAPSHOT;
        row->sequence = sequence;
        row->merged = 1;
        PyObject *change = rn_change_new(type, row, monitor->space);
        if (change == NULL) {
            Py_CLEAR(list);
        } else {
            (void)PyList_SetItem(list, (Py_ssize_t)i, change);
        }
    }
    return list;
}

PyObject *
rn_monitor_snapshot(PyObject *self, PyObject *unused)
{
    (void)unused;
    struct rn_answer answer = {NULL, 0};
    PyObject *result = NULL;
    if (ask_and_wait(self, RN_ASK_SNAPSHOT, "snapshot", &answer) == 0) {
        result = Py_BuildValue(
            "(NK)",
            list_of_rows(rn_monitor_of(self), answer.rows, answer.sequence),
            (unsigned long long)answer.sequence);
    }
    rn_rows_free(answer.rows);
    return result;
}

PyObject *
rn_monitor_resync(PyObject *self, PyObject *unused)
{
    (void)unused;
    struct rn_answer answer = {NULL, 0};
    return ask_and_wait(self, RN_ASK_RESYNC, "resync", &answer) < 0
               ? NULL
               : Py_NewRef(Py_None);
}
