"""Builds routenotify._routenotify; everything else is in pyproject.toml.

Switches, all off by default, read from the environment of the build only:

ROUTENOTIFY_DEBUG=1        assertions and debug information, no optimisation
ROUTENOTIFY_SANITIZE=LIST  -fsanitize=LIST, such as address,undefined or thread
ROUTENOTIFY_WERROR=1       warnings are errors (in CI, never for users)
ROUTENOTIFY_UNSUPPORTED=1  the build of a platform without a provider, here
ROUTENOTIFY_TEST_ALLOC=1   memory runs out when the replay harness says so
ROUTENOTIFY_TEST_FAULTS=1  any allocation or system call fails when tests/faults says
ROUTENOTIFY_COVERAGE=1     count which lines and branches run, for gcov
"""

import os
import sys
from glob import glob
from sysconfig import get_platform

from setuptools import Extension, setup

# One wheel for 3.11 and all that come after it is made by 3.11 and by no other:
# newer headers expand parts of the old limited API to what only newer Pythons
# can run (Py_RETURN_NONE, see src/_routenotify.c). Any other Python, the
# free-threaded ones among them, makes a wheel for itself.
ABI3 = sys.version_info[:2] == (3, 11)
LIMITED_API = "0x030B0000"
WARNINGS = [
    "-Wall",
    "-Wextra",
    "-Wconversion",
    "-Wshadow",
    "-Wstrict-prototypes",
    "-Wmissing-prototypes",
]


def switch(name: str) -> str:
    """The value of ROUTENOTIFY_<name>; "0" is off."""
    value = os.environ.get(f"ROUTENOTIFY_{name}", "")
    return "" if value == "0" else value


def forgetful() -> bool:
    """Whether tests may make allocations fail."""
    return bool(switch("TEST_ALLOC"))


def platform() -> str:
    """Which provider is built."""
    if switch("UNSUPPORTED"):
        return "unsupported"
    if sys.platform == "win32":
        return "windows"
    if sys.platform == "linux":
        return "linux"
    return "unsupported"


COMMON = [
    "src/_routenotify.c",
    *sorted(glob("src/rn_py_*.c")),
    *sorted(glob("src/rn_filter*.c")),
    "src/rn_ring.c",
    "src/rn_spill.c",
    "src/rn_channel.c",
    "src/rn_wake.c",
    "src/rn_tally.c",
    "src/rn_text.c",
    "src/rn_columns.c",
    "src/rn_arrow.c",
]
# Everything that is neither common nor of another platform is the way from the
# kernel's messages to rows: parser, mirror, provider.
ELSEWHERE = ("src/rn_windows_", "src/rn_wake_", "src/rn_unsupported", "src/rn_linux_")


def sources() -> list[str]:
    """The C files of this platform."""
    if platform() == "windows":
        own = [*sorted(glob("src/rn_windows_*.c")), "src/rn_wake_windows.c"]
    elif platform() == "linux":
        shared = [f for f in sorted(glob("src/rn_*.c")) if not f.startswith(ELSEWHERE)]
        own = [
            *(f for f in shared if f not in COMMON),
            *sorted(glob("src/rn_linux_*.c")),
            "src/rn_wake_linux.c",
            "src/rn_wake_posix.c",
        ]
    else:
        own = ["src/rn_unsupported.c", "src/rn_wake_pipe.c", "src/rn_wake_posix.c"]
    tests = ["tests/replay/alloc_switch.c"] if forgetful() else []
    if switch("TEST_FAULTS"):
        tests.append("tests/faults/faults.c")
    if switch("COVERAGE"):
        tests.append("tests/c/gcov_dump.c")
    return [*COMMON, *own, *tests]


def macros() -> list[tuple[str, str | None]]:
    """Preprocessor definitions."""
    defined: list[tuple[str, str | None]] = []
    if ABI3:
        defined.append(("Py_LIMITED_API", LIMITED_API))
    if platform() == "linux":
        defined.append(("RN_HAVE_NETNS", "1"))
    if forgetful():
        defined.append(("RN_TEST_ALLOC", None))
    if not switch("DEBUG"):
        defined.append(("NDEBUG", None))
    return defined


def undefined() -> list[str]:
    """What Python's own flags define and a debug build must not have."""
    return ["NDEBUG"] if switch("DEBUG") else []


def msvc_flags() -> tuple[list[str], list[str]]:
    """Compiler's and linker's."""
    compile_args = ["/std:c11", "/W4", "/O2", "/guard:cf"]
    if switch("WERROR"):
        compile_args.append("/WX")
    return compile_args, ["/guard:cf"]


def gcc_flags() -> tuple[list[str], list[str]]:
    """Compiler's and linker's."""
    compile_args = ["-std=c11", "-fvisibility=hidden", *WARNINGS]
    link_args: list[str] = []
    if switch("DEBUG"):
        compile_args += ["-O0", "-g3"]
    else:
        compile_args += ["-O2", "-g0"]
    if switch("SANITIZE"):
        sanitize = f"-fsanitize={switch('SANITIZE')}"
        compile_args += [sanitize, "-g", "-fno-omit-frame-pointer"]
        compile_args += ["-fno-sanitize-recover=undefined"]
        link_args.append(sanitize)
    elif switch("COVERAGE"):
        # Counters of one thread at a time would lose counts of the reader's.
        compile_args += ["--coverage", "-fprofile-update=atomic", "-O0", "-g"]
        link_args.append("--coverage")
    elif not switch("DEBUG"):
        compile_args += ["-fstack-protector-strong", "-D_FORTIFY_SOURCE=2"]
        if get_platform().endswith("x86_64"):
            compile_args.append("-fcf-protection")
    if switch("TEST_FAULTS"):
        compile_args += ["-include", "tests/faults/faults.h"]
    if platform() == "linux":
        compile_args.append("-pthread")
        link_args += ["-pthread", "-Wl,-z,relro,-z,now", "-Wl,-z,noexecstack"]
    if switch("WERROR"):
        compile_args.append("-Werror")
    return compile_args, link_args


compile_args, link_args = msvc_flags() if os.name == "nt" else gcc_flags()

setup(
    ext_modules=[
        Extension(
            "routenotify._routenotify",
            sources=sources(),
            # All of them: an sdist made on one platform builds on every other.
            depends=sorted(glob("src/*.[ch]")),
            define_macros=macros(),
            undef_macros=undefined(),
            extra_compile_args=compile_args,
            extra_link_args=link_args,
            py_limited_api=ABI3,
        )
    ],
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if ABI3 else {},
)
