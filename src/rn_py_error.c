/* rn_py_error.c - struct rn_fail to a Python exception; the texts of codes. */
#include "rn_py.h"

#include <stdarg.h>

#ifdef MS_WINDOWS
#include <windows.h>

/* The system's own text.  Return: new str, or NULL with an exception. */
static PyObject *
code_text(uint32_t code)
{
    wchar_t text[512];
    DWORD length = FormatMessageW(
        FORMAT_MESSAGE_FROM_SYSTEM | FORMAT_MESSAGE_IGNORE_INSERTS, NULL, code,
        0, text, sizeof(text) / sizeof(text[0]), NULL);
    while (length > 0 && text[length - 1] <= L' ') {
        length--;
    }
    return PyUnicode_FromWideChar(text, (Py_ssize_t)length);
}
#else
static const struct {
    uint32_t code;
    const char *text;
} texts[] = {
    {RN_NO_ERROR, "The operation completed successfully."},
    {RN_ERROR_FILE_NOT_FOUND, "The system cannot find the file specified."},
    {RN_ERROR_ACCESS_DENIED, "Access is denied."},
    {RN_ERROR_INVALID_HANDLE, "The handle is invalid."},
    {RN_ERROR_NOT_ENOUGH_MEMORY,
     "Not enough memory resources are available to process this command."},
    {RN_ERROR_INVALID_DATA, "The data is invalid."},
    {RN_ERROR_NOT_SUPPORTED, "The request is not supported."},
    {RN_ERROR_INVALID_PARAMETER, "The parameter is incorrect."},
    {RN_ERROR_NOT_FOUND, "Element not found."},
    {RN_ERROR_TIMEOUT,
     "This operation returned because the timeout period expired."},
};

/* FormatMessage's text where there is no FormatMessage; "" if unknown. */
static PyObject *
code_text(uint32_t code)
{
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (texts[i].code == code) {
            return PyUnicode_FromString(texts[i].text);
        }
    }
    return PyUnicode_FromString("");
}
#endif

/* Raises what make_error makes of its arguments; steals detail. */
static PyObject *
raise_made(struct rn_state *state, uint32_t code, const char *call,
           PyObject *detail, int os_error)
{
    if (detail == NULL) {
        return NULL;
    }
    PyObject *error =
        PyObject_CallFunction(state->held[RN_HELD_MAKE_ERROR], "ksOi",
                              (unsigned long)code, call, detail, os_error);
    Py_DECREF(detail);
    if (error != NULL) {
        PyErr_SetObject((PyObject *)Py_TYPE(error), error);
        Py_DECREF(error);
    }
    return NULL;
}

PyObject *
rn_raise(struct rn_state *state, const struct rn_fail *fail)
{
    const char *call = fail->call == NULL ? "routenotify" : fail->call;
    return raise_made(state, fail->code, call, PyUnicode_FromString(""),
                      fail->os_error);
}

PyObject *
rn_raise_parameter(struct rn_state *state, const char *call,
                   const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    PyObject *detail = PyUnicode_FromFormatV(format, arguments);
    va_end(arguments);
    return raise_made(state, RN_ERROR_INVALID_PARAMETER, call, detail, 0);
}

PyObject *
rn_raise_code(struct rn_state *state, uint32_t code, const char *call,
              const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    PyObject *detail = PyUnicode_FromFormatV(format, arguments);
    va_end(arguments);
    return raise_made(state, code, call, detail, 0);
}

PyObject *
rn_raise_closed(struct rn_state *state, uint32_t code, const char *call,
                const char *why)
{
    PyObject *error =
        PyObject_CallFunction(state->held[RN_HELD_CLOSED_ERROR], "kss",
                              (unsigned long)code, call, why);
    if (error != NULL) {
        PyErr_SetObject((PyObject *)Py_TYPE(error), error);
        Py_DECREF(error);
    }
    return NULL;
}

static PyObject *
error_text(PyObject *module, PyObject *argument)
{
    (void)module;
    unsigned long code = PyLong_AsUnsignedLong(argument);
    if (code == (unsigned long)-1 && PyErr_Occurred()) {
        return NULL;
    }
    return code_text((uint32_t)code);
}

/* For callbacks nobody can catch an exception of: calls, and hands what it
 * raises to sys.unraisablehook.
 */
static PyObject *
call_guarded(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *callback, *arguments;
    if (!PyArg_ParseTuple(args, "OO!:call_guarded", &callback, &PyTuple_Type,
                          &arguments)) {
        return NULL;
    }
    PyObject *result = PyObject_CallObject(callback, arguments);
    if (result == NULL) {
        PyErr_WriteUnraisable(callback);
    }
    Py_XDECREF(result);
    return Py_NewRef(Py_None);
}

PyDoc_STRVAR(error_text_doc,
             "error_text($module, code, /)\n--\n\n"
             "The text of a Win32 error code; \"\" if it has none here.");
PyDoc_STRVAR(call_guarded_doc,
             "call_guarded($module, callback, arguments, /)\n--\n\n"
             "Call callback(*arguments); what it raises goes to "
             "sys.unraisablehook.");

PyMethodDef rn_error_methods[] = {
    {"error_text", error_text, METH_O, error_text_doc},
    {"call_guarded", call_guarded, METH_VARARGS, call_guarded_doc},
    {NULL, NULL, 0, NULL},
};
