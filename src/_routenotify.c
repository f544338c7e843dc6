/* _routenotify.c - the module: its state, types and functions, no more. */
#include "rn_py.h"

#include "rn_lock.h"

/* 3.11 has no immortal objects: with the headers of 3.12.1, 3.13.0 and 3.13.2
 * a Py_RETURN_NONE in the limited API takes a reference from None, and in time
 * the process dies ("deallocating None").  What is tagged abi3 for 3.11 and
 * newer is therefore made with the headers of 3.11 and no others.
 */
#if defined(Py_LIMITED_API) && PY_VERSION_HEX >= 0x030C0000
#error "the limited API of 3.11 needs the headers of 3.11: see setup.py"
#endif

/* Slots whose numbers 3.11 headers do not have: filled in by PyInit, for one
 * binary serves every version (Py_mod_multiple_interpreters = 3 and its
 * PER_INTERPRETER_GIL_SUPPORTED, Py_mod_gil = 4 and its NOT_USED).
 */
#define SLOT_INTERPRETERS 3
#define SLOT_GIL 4

struct rn_state *
rn_state_of(PyTypeObject *type)
{
    while (type != NULL) {
        PyObject *module = PyType_GetModule(type);
        if (module != NULL && PyModule_GetDef(module) == &rn_module_def) {
            return PyModule_GetState(module);
        }
        PyErr_Clear();
        type = PyType_GetSlot(type, Py_tp_base);
    }
    return NULL;
}

/* ---- what the state holds ---- */

static int
hold(struct rn_state *state, int where, PyObject *object)
{
    state->held[where] = object;
    return object == NULL ? -1 : 0;
}

static int
hold_type(PyObject *module, int where, PyType_Spec *spec)
{
    return hold(rn_module_state(module), where,
                PyType_FromModuleAndSpec(module, spec, NULL));
}

static const struct {
    int where;
    const char *module;
    const char *name;
} imports[] = {
    {RN_HELD_IPV4_ADDRESS, "ipaddress", "IPv4Address"},
    {RN_HELD_IPV6_ADDRESS, "ipaddress", "IPv6Address"},
    {RN_HELD_IPV4_NETWORK, "ipaddress", "IPv4Network"},
    {RN_HELD_IPV6_NETWORK, "ipaddress", "IPv6Network"},
    {RN_HELD_AF_UNSPEC, "socket", "AF_UNSPEC"},
    {RN_HELD_AF_INET, "socket", "AF_INET"},
    {RN_HELD_AF_INET6, "socket", "AF_INET6"},
    {RN_HELD_MAKE_ERROR, "routenotify._errors", "make_error"},
    {RN_HELD_CLOSED_ERROR, "routenotify._errors", "MonitorClosed"},
    {RN_HELD_MONOTONIC_NS, "time", "monotonic_ns"},
};

static PyObject *
import_name(const char *module_name, const char *name)
{
    PyObject *module = PyImport_ImportModule(module_name);
    if (module == NULL) {
        return NULL;
    }
    PyObject *object = PyObject_GetAttrString(module, name);
    Py_DECREF(module);
    return object;
}

/* Every member of an enum class of routenotify._types, by its number from
 * `where` on; numbers past `count` are left out.
 */
static int
hold_members(struct rn_state *state, const char *name, int where, int count)
{
    PyObject *type = import_name("routenotify._types", name);
    PyObject *members = type == NULL ? NULL : PySequence_List(type);
    Py_XDECREF(type);
    if (members == NULL) {
        return -1;
    }
    for (Py_ssize_t i = 0; i < PyList_Size(members); i++) {
        PyObject *member = PyList_GetItem(members, i); /* borrowed */
        long number = PyLong_AsLong(member);
        if (number >= 0 && number < count &&
            state->held[where + number] == NULL) {
            state->held[where + number] = Py_NewRef(member);
        }
    }
    Py_DECREF(members);
    return PyErr_Occurred() ? -1 : 0;
}

static int
hold_imports(struct rn_state *state)
{
    for (size_t i = 0; i < sizeof(imports) / sizeof(imports[0]); i++) {
        if (hold(state, imports[i].where,
                 import_name(imports[i].module, imports[i].name)) < 0) {
            return -1;
        }
    }
    if (hold_members(state, "ChangeType", RN_HELD_CHANGE_TYPE_0,
                     RN_RESYNC_END + 1) < 0) {
        return -1;
    }
    return hold_members(state, "RouteType", RN_HELD_ROUTE_TYPE_0,
                        RN_HELD_COUNT - RN_HELD_ROUTE_TYPE_0);
}

/* ---- the module ---- */

/* A type that only Python asks for: it is not held. */
static int
add_type(PyObject *module, PyType_Spec *spec)
{
    PyObject *type = PyType_FromModuleAndSpec(module, spec, NULL);
    if (type == NULL) {
        return -1;
    }
    int failed = PyModule_AddType(module, (PyTypeObject *)type);
    Py_DECREF(type);
    return failed;
}

static int
module_exec(PyObject *module)
{
    struct rn_state *state = rn_module_state(module);
    if (hold_imports(state) < 0 ||
        hold_type(module, RN_HELD_MONITOR_TYPE, &rn_monitor_spec) < 0 ||
        hold_type(module, RN_HELD_CHANGE_TYPE, &rn_change_spec) < 0 ||
        hold_type(module, RN_HELD_ROUTE_TYPE, &rn_route_spec) < 0 ||
        hold_type(module, RN_HELD_BATCH_TYPE, &rn_batch_spec) < 0 ||
        hold_type(module, RN_HELD_FILTER_TYPE, &rn_filter_spec) < 0 ||
        hold(state, RN_HELD_STATS_TYPE,
             (PyObject *)PyStructSequence_NewType(&rn_stats_desc)) < 0) {
        return -1;
    }
    for (int i = RN_HELD_MONITOR_TYPE; i <= RN_HELD_FILTER_TYPE; i++) {
        if (PyModule_AddType(module, (PyTypeObject *)state->held[i]) < 0) {
            return -1;
        }
    }
    if (add_type(module, &rn_tally_spec) < 0 ||
        PyModule_AddFunctions(module, rn_query_methods) < 0) {
        return -1;
    }
    return PyModule_AddFunctions(module, rn_error_methods);
}

static int
module_traverse(PyObject *module, visitproc visit, void *arg)
{
    struct rn_state *state = rn_module_state(module);
    for (int i = 0; state != NULL && i < RN_HELD_COUNT; i++) {
        Py_VISIT(state->held[i]);
    }
    return 0;
}

static int
module_clear(PyObject *module)
{
    struct rn_state *state = rn_module_state(module);
    for (int i = 0; state != NULL && i < RN_HELD_COUNT; i++) {
        Py_CLEAR(state->held[i]);
    }
    return 0;
}

static void
module_free(void *module)
{
    (void)module_clear(module);
    rn_block_clear(rn_module_state(module));
}

PyDoc_STRVAR(module_doc, "The native layer of routenotify; import "
                         "routenotify instead.");

/* Constant once the first PyInit has filled the spare slots. */
static PyModuleDef_Slot module_slots[4] = {
    {Py_mod_exec, module_exec},
    {0, NULL},
    {0, NULL},
    {0, NULL},
};

struct PyModuleDef rn_module_def = {
    PyModuleDef_HEAD_INIT,   .m_name = "_routenotify",
    .m_doc = module_doc,     .m_size = sizeof(struct rn_state),
    .m_slots = module_slots, .m_traverse = module_traverse,
    .m_clear = module_clear, .m_free = module_free,
};

/* Interpreters with a GIL each may import the module at the same time. */
static struct rn_lock slots_lock = RN_LOCK_INIT;

static void
fill_slots(void)
{
    int used = 1;
    rn_lock_take(&slots_lock);
    if (Py_Version >= 0x030C0000 && module_slots[used].slot == 0) {
        module_slots[used++] =
            (PyModuleDef_Slot){SLOT_INTERPRETERS, (void *)2};
        if (Py_Version >= 0x030D0000) {
            module_slots[used] = (PyModuleDef_Slot){SLOT_GIL, (void *)1};
        }
    }
    rn_lock_drop(&slots_lock);
}

PyMODINIT_FUNC
PyInit__routenotify(void);

PyMODINIT_FUNC
PyInit__routenotify(void)
{
    fill_slots();
    return PyModuleDef_Init(&rn_module_def);
}
