"""Exceptions: kinds, numbers, texts, pickle."""

from __future__ import annotations

import copy
import errno
import os
import pickle
import sys

import pytest

import routenotify
from routenotify import _routenotify
from routenotify._errors import make_error

KINDS = [
    (87, routenotify.InvalidParameter, ValueError, errno.EINVAL),
    (8, routenotify.NotEnoughMemory, MemoryError, errno.ENOMEM),
    (4, routenotify.NotEnoughMemory, MemoryError, errno.EMFILE),
    (1168, routenotify.RouteNotFound, LookupError, errno.ENOENT),
    (1231, routenotify.RouteNotFound, LookupError, errno.ENETUNREACH),
    (1232, routenotify.RouteNotFound, LookupError, errno.EHOSTUNREACH),
    (1460, routenotify.WaitTimeout, TimeoutError, errno.ETIMEDOUT),
    (5, routenotify.AccessDenied, PermissionError, errno.EACCES),
    (50, routenotify.NotSupported, NotImplementedError, errno.EOPNOTSUPP),
    (6, routenotify.RouteNotifyError, OSError, errno.EBADF),
    (12345, routenotify.RouteNotifyError, OSError, errno.EIO),
]

posix = pytest.mark.skipif(sys.platform == "win32", reason="texts of FormatMessage")


@pytest.mark.parametrize(("code", "kind", "builtin", "number"), KINDS)
def test_each_code_has_its_kind(code, kind, builtin, number):
    """Which is also the built-in one expects."""
    error = make_error(code, "call", "detail")

    assert kind is type(error)
    assert isinstance(error, builtin)
    assert isinstance(error, routenotify.RouteNotifyError)
    assert isinstance(error, OSError)
    assert (code, "call", "detail") == (error.code, error.call, error.detail)
    if sys.platform != "win32":
        assert number == error.errno


@posix
def test_the_systems_own_errno_is_kept():
    """It says more than the code it was mapped to."""
    error = make_error(5, "setsockopt", "", errno.EPERM)

    assert errno.EPERM == error.errno
    assert "setsockopt: Access is denied. (error 5, EPERM)" == str(error)


@posix
def test_the_message_has_call_detail_text_and_numbers():
    """In this order."""
    error = routenotify.InvalidParameter(87, "Call", "x=3 is odd")

    expected = "Call: x=3 is odd. The parameter is incorrect. (error 87, EINVAL)"
    assert expected == str(error)
    assert "The parameter is incorrect." == error.strerror


@posix
@pytest.mark.parametrize(
    ("code", "text"),
    [
        (0, "The operation completed successfully."),
        (2, "The system cannot find the file specified."),
        (5, "Access is denied."),
        (6, "The handle is invalid."),
        (
            8,
            "Not enough memory resources are available to process this command.",
        ),
        (50, "The request is not supported."),
        (87, "The parameter is incorrect."),
        (1168, "Element not found."),
        (1460, "This operation returned because the timeout period expired."),
        (12345, ""),
    ],
)
def test_texts_are_format_messages(code, text):
    """On every platform."""
    assert text == _routenotify.error_text(code)


def test_error_text_refuses_what_is_no_code():
    """TypeError and OverflowError, no crash."""
    with pytest.raises(TypeError):
        _routenotify.error_text("87")
    with pytest.raises(OverflowError):
        _routenotify.error_text(-1)
    with pytest.raises(OverflowError):
        _routenotify.error_text(2**70)


@posix
def test_a_code_without_a_text_has_errnos():
    """Never an empty message."""
    error = make_error(4, "open", "", errno.EMFILE)

    assert os.strerror(errno.EMFILE) in str(error)  # musl has words of its own


@pytest.mark.parametrize("code", [87, 8, 1168, 6])
def test_errors_can_be_pickled_and_copied(code):
    """With everything they say."""
    error = make_error(code, "call", "detail", errno.EPERM)
    error.add_note("a note")

    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(error) is type(again)
        assert str(error) == str(again)
        assert (code, "call", "detail") == (again.code, again.call, again.detail)
        assert error.errno == again.errno
        assert ["a note"] == again.__notes__


def test_call_guarded_refuses_what_is_no_call():
    """It is of this package's own use, and still never crashes."""
    with pytest.raises(TypeError):
        _routenotify.call_guarded(print)
    with pytest.raises(TypeError):
        _routenotify.call_guarded(print, [1])
