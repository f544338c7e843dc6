"""The package as a whole: names, types, stubs, interpreters."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

import routenotify
from routenotify import _routenotify, netioapi

PACKAGE = Path(routenotify.__file__).parent


def python(code, *options):
    """Run code in a fresh interpreter that treats warnings as errors."""
    return subprocess.run(
        [sys.executable, "-P", "-W", "error", *options, "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"PYTHONPATH": str(PACKAGE.parent)},
    )


def test_everything_promised_can_be_imported():
    """By the names of the contract, each once."""
    assert len(set(routenotify.__all__)) == len(routenotify.__all__)
    for module in (routenotify, netioapi):
        for name in module.__all__:
            assert getattr(module, name) is not None or name == "NO_ERROR"
    contract = {
        *("RouteMonitor", "RouteChange", "Route", "ChangeType", "routes"),
        *("best_route", "RouteNotifyError", "InvalidParameter", "NotEnoughMemory"),
        *("RouteNotFound", "MonitorClosed", "netioapi"),
    }
    assert contract <= set(routenotify.__all__)


def test_the_package_is_typed():
    """py.typed and the stub are installed with it."""
    assert (PACKAGE / "py.typed").is_file()
    assert (PACKAGE / "_routenotify.pyi").is_file()


@pytest.mark.skipif(
    importlib.util.find_spec("mypy") is None, reason="mypy is not installed"
)
def test_the_stub_says_what_the_extension_has(tmp_path):
    """Every name, argument and default."""
    where = str(PACKAGE.parent)
    installed = PACKAGE.parent.name == "site-packages"  # mypy looks there itself
    done = subprocess.run(
        [sys.executable, "-P", "-m", "mypy.stubtest", "routenotify._routenotify"],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=tmp_path,
        env=os.environ
        | ({} if installed else {"MYPYPATH": where, "PYTHONPATH": where}),
    )

    assert 0 == done.returncode, done.stdout + done.stderr


def test_native_signatures_can_be_inspected():
    """Names, defaults and kinds are there for help() and editors."""
    code = (
        "import inspect, routenotify\n"
        "print(inspect.signature(routenotify.RouteMonitor.get))\n"
        "print(inspect.signature(routenotify.RouteMonitor.drain))\n"
    )
    assert "(self, /, timeout=None)\n(self, /, max=None)\n" == python(code).stdout


def test_import_needs_nothing_but_the_standard_library():
    """No third-party module is loaded, asyncio's own thread is none."""
    code = (
        "import os, sys, threading\n"
        "before = set(sys.modules)\n"
        "from routenotify import *\n"
        "new = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "foreign = new - set(sys.stdlib_module_names) - {'routenotify'}\n"
        "at = {os.path.dirname(sys.modules[name].__file__) for name in foreign}\n"
        "foreign = at - {os.path.dirname(os.__file__)}  # a distributor's own\n"
        "print(foreign or '', threading.active_count())\n"
    )
    done = python(code)

    assert (" 1\n", "") == (done.stdout, done.stderr)


def test_what_most_programs_do_without_is_loaded_when_it_is_asked_for():
    """A name that is not there is an error at once, as of any module."""
    done = python(
        "import sys, routenotify\n"
        "late = ['routenotify.netioapi', 'routenotify._replay']\n"
        "print([name for name in late if name in sys.modules])\n"
        "print(sorted({*routenotify.__all__} - {*dir(routenotify)}))\n"
        "routenotify.replay, routenotify.netioapi.NotifyRouteChange2\n"
        "from routenotify import RecordingError\n"
        "print([name for name in late if name not in sys.modules])\n"
        "try:\n"
        "    routenotify.nonesuch\n"
        "except AttributeError as error:\n"
        "    print(error)\n"
    )

    assert "" == done.stderr
    assert [
        *("[]", "[]", "[]"),
        "module 'routenotify' has no attribute 'nonesuch'",
    ] == done.stdout.splitlines()


def test_a_command_loads_no_other_commands_modules():
    """A shell that starts it in a loop waits for what it needs only."""
    done = python(
        "import sys\n"
        "from routenotify._cli import main\n"
        "main(['get', '127.0.0.1'])\n"
        "print([name for name in sys.modules if name.endswith(('_watch', '_plot'))])\n"
    )

    assert "" == done.stderr
    assert "[]" == done.stdout.splitlines()[-1]


def test_the_extension_can_be_loaded_twice():
    """State is per module: a second copy shares nothing with the first."""
    code = (
        "import gc, sys, routenotify\n"
        "first = routenotify._routenotify\n"
        "for name in [n for n in sys.modules if n.startswith('routenotify')]:\n"
        "    del sys.modules[name]\n"
        "import routenotify as again\n"
        "assert again._routenotify is not first\n"
        "assert again.RouteChange is not first.RouteChange\n"
        "try:\n"
        "    again._routenotify.complete(1)\n"
        "except TypeError:\n"
        "    print('fine')\n"
    )
    done = python(code)

    assert ("fine\n", "") == (done.stdout, done.stderr)


def test_a_subinterpreter_can_use_it():
    """And end; the main one goes on."""
    code = """
import routenotify
try:
    import _xxsubinterpreters as interpreters
except ImportError:
    import _interpreters as interpreters
script = '''
import socket, routenotify
try:
    routenotify.RouteMonitor(99)
except routenotify.InvalidParameter:
    pass
else:
    raise SystemExit("no error")
try:
    with routenotify.RouteMonitor(initial_notification=True) as monitor:
        assert monitor.get(30).type == 3
        kept = routenotify.RouteMonitor()
except routenotify.RouteNotifyError as error:
    assert error.code in (5, 50), error
'''
for _ in range(3):
    one = interpreters.create()
    failure = interpreters.run_string(one, script)
    assert failure is None, failure
    interpreters.destroy(one)
assert routenotify.RouteChange is routenotify._routenotify.RouteChange
print("end")
"""
    done = python(code, "-W", "ignore")

    assert (0, "end\n", "") == (done.returncode, done.stdout, done.stderr)


def test_only_the_module_hook_is_exported():
    """Nothing else can collide with another library."""
    if sys.platform != "linux":
        pytest.skip("reads ELF symbols with nm")
    done = subprocess.run(
        ["nm", "-D", "--defined-only", _routenotify.__file__],
        capture_output=True,
        text=True,
        check=True,
    )
    names = {line.split()[-1] for line in done.stdout.splitlines()}

    assert {"PyInit__routenotify"} == {n for n in names if not n.startswith("_")}
