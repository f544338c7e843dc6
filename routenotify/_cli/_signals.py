"""Signals that ask a command to end."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def terminating_as_ctrl_c() -> Iterator[None]:
    """Have SIGTERM and SIGHUP raise KeyboardInterrupt inside, as Ctrl-C does.

    One that is ignored stays so: `nohup` is obeyed.  Nothing is done outside the
    main thread, which alone may set handlers.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {
        number: signal.getsignal(number)
        for name in ("SIGTERM", "SIGHUP")  # Windows has no SIGHUP
        if (number := getattr(signal, name, None)) is not None
    }
    ours = {n: h for n, h in before.items() if h not in (signal.SIG_IGN, None)}
    try:
        for number in ours:
            signal.signal(number, signal.default_int_handler)
        yield
    finally:
        for number, handler in ours.items():
            signal.signal(number, handler)
