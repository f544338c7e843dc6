# The legs of .ci/run, which sets ROOT, WORK and CI and bounds the time.
#
# A leg is a function; it runs in a bash of its own, and another leg may run at
# the same time: what both make is made by `once`.  It leaves with 0, with 77
# when it is skipped (`skip` says why), with anything else when it failed.
# shellcheck shell=bash

set -u
TOOLS=$WORK/tools # a venv with pytest; after all_tools, with .ci/requirements.txt
export PATH="$WORK/python:$PATH" PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
export PIP_NO_COMPILE=1 # most of what is installed is never imported
export DEBIAN_FRONTEND=noninteractive
export ROUTENOTIFY_WERROR=1 # here, and never for a user
faults=0

skip() {
    echo "skipped: $*"
    echo "$*" >"$WORK/$LEG.why"
    exit 77
}

check() { # run a command; remember a failure, but go on
    local start=$SECONDS more=
    (($# > 9)) && more=' ...'
    echo "+ ${*:1:9}$more"
    if ! "$@"; then
        echo "^ FAILED: $1"
        echo "failed: ${*:1:3}" >>"$WORK/$LEG.why"
        faults=$((faults + 1))
    fi
    ((SECONDS - start > 5)) && echo "  ($((SECONDS - start)) s)"
    return 0
}

quietly() { # show what a command prints only if it fails
    local log=$WORK/$LEG.quiet
    "$@" >"$log" 2>&1 || { tail -n 60 "$log"; return 1; }
}

once() { # make what several legs need, by a function: its name, arguments...
    local made=$WORK/$1.made
    (
        flock 9
        [ -e "$made" ] || { "$@" && : >"$made"; }
    ) 9>"$WORK/$1.lock"
}

need() { # like check, but nothing after it makes sense
    check "$@"
    ((faults == 0)) || exit 1
}

files() { # of the checkout, new ones too, without what git ignores: pattern
    (cd "$ROOT" && if git -c safe.directory='*' rev-parse >/dev/null 2>&1; then
        git -c safe.directory='*' ls-files -co --exclude-standard
    else
        find . -type f -printf '%P\n'
    fi) | grep -E "${1:-.}" | while IFS= read -r file; do
        [ -e "$ROOT/$file" ] && printf '%s\n' "$file"
    done
}

fresh_copy() { # what a clone has: folder
    mkdir -p "$1"
    files | tar -C "$ROOT" -cf - -T - | tar -xf - -C "$1"
}

new_venv() { # folder, packages...: without a pip of its own, that of TOOLS is quicker
    python3 -m venv --without-pip "$1" && install_into "$@"
}

install_into() { # folder of a venv, arguments of pip install...
    "$TOOLS/bin/pip" --python "$1/bin/python" install -q "${@:2}"
}

# --- setup -----------------------------------------------------------------

PACKAGES='gcc libc6-dev binutils iproute2 bird2 util-linux git ca-certificates
    clang-16 libclang-rt-16-dev clang-format-16 valgrind g++ relacy-dev spin
    tmux zsh fish mandoc prometheus'

as_root() {
    if ((EUID == 0)); then
        "$@"
    else
        sudo -n "$@"
    fi
}

apt_install() { # one leg at a time
    (flock 9 && install_missing "$@") 9>"$WORK/apt.lock"
}

install_missing() {
    local missing=() name
    for name in "$@"; do
        dpkg-query -W -f '${Status}' "$name" 2>/dev/null |
            grep -q 'ok installed' || missing+=("$name")
    done
    ((${#missing[@]})) || return 0
    # A list that is a little old serves as well; the install decides.
    as_root apt-get -qq update
    without_services env DEBIAN_FRONTEND=noninteractive apt-get -qq -y \
        --no-install-recommends install "${missing[@]}" >"$WORK/apt.log" 2>&1 ||
        { tail -n 20 "$WORK/apt.log"; return 1; }
}

# A routing daemon that is installed for the tests must not run on the machine.
without_services() {
    local policy=/usr/sbin/policy-rc.d status
    [ -e "$policy" ] && { as_root "$@"; return; }
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
    as_root chmod +x "$policy"
    as_root "$@"
    status=$?
    as_root rm "$policy"
    return "$status"
}

# The first python3 in PATH that starts and is new enough: a version manager's
# shim may be neither.
find_python() {
    local candidate
    for candidate in $(type -ap python3); do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
            2>/dev/null; then
            "$candidate" -c 'import sys; print(sys.executable)'
            return
        fi
    done
    echo "no python3 of 3.11 or newer in PATH" >&2
    return 1
}

complete_python() { # venv and headers, where the system's packages lack them
    local python=$1 wanted=()
    "$python" -c 'import ensurepip, venv' 2>/dev/null || wanted+=(python3-venv)
    "$python" -c 'import sys, sysconfig, os.path as p
sys.exit(not p.exists(p.join(sysconfig.get_path("include"), "Python.h")))' ||
        wanted+=(python3-dev)
    ((${#wanted[@]} == 0)) || apt_install "${wanted[@]}"
}

leg_setup() {
    local python
    # shellcheck disable=SC2086
    need apt_install $PACKAGES
    python=$(find_python) || exit 1
    need complete_python "$python"
    mkdir -p "$WORK/python"
    # Not a link: a venv made through one would look for its home beside it.
    printf '#!/bin/sh\nexec "%s" "$@"\n' "$python" >"$WORK/python/python3"
    chmod +x "$WORK/python/python3"
    need python3 -m venv "$TOOLS"
    need install_into "$TOOLS" -c "$ROOT/.ci/requirements.txt" pytest pytest-timeout
    "$TOOLS/bin/python" -VV
    uname -sr
}

all_tools() { # not in leg setup, for which everything waits
    install_into "$TOOLS" -r "$ROOT/.ci/requirements.txt"
}

# --- lint ------------------------------------------------------------------

clang_format() {
    files '^(src|tests|benchmarks)/.*\.[ch]$' |
        (cd "$ROOT" && xargs clang-format-16 \
            --style="file:$ROOT/.ci/clang-format" --dry-run -Werror)
}

leg_lint() {
    need once all_tools
    export PATH="$TOOLS/bin:$PATH" MYPYPATH=tests
    cd "$ROOT" || exit 1
    check ruff check .
    check ruff format --check .
    check mypy --strict routenotify benchmarks .ci/check_layers.py .ci/cross.py
    check clang_format
    check python .ci/check_layers.py
    check shellcheck .ci/run .ci/coverage .ci/legs.sh .ci/pythons.sh
    check zizmor --offline --quiet .github
    check check-jsonschema --builtin-schema vendor.github-workflows \
        .github/workflows/*.yml
    # shellcheck disable=SC2046
    check codespell --quiet-level 3 --ignore-words .ci/words $(files '\.(c|h|py|pyi|md|sh|yml|toml)$')
}

# --- build -----------------------------------------------------------------

wheel_contents() { # no dependencies; the extension needs libc and says one name
    local folder=$WORK/unpacked extension
    rm -rf "$folder"
    python -m zipfile -e "$1" "$folder"
    ! grep '^Requires-Dist' "$folder"/*.dist-info/METADATA | grep -v 'extra ==' ||
        return 1
    extension=$(find "$folder" -name '*.so')
    readelf -d "$extension" | grep NEEDED
    ! readelf -d "$extension" | grep NEEDED |
        grep -vE 'libc\.so|libpthread\.so|ld-linux' || return 1
    python "$ROOT/.ci/check_layers.py" --extension "$extension"
}

build_dist() { # the sdist, and the wheel from it
    once all_tools && fresh_copy "$WORK/source" &&
        quietly "$TOOLS/bin/python" -m build --no-isolation \
            -o "$WORK/dist" "$WORK/source"
}

leg_build() {
    export PATH="$TOOLS/bin:$PATH"
    need once build_dist
    check twine check --strict "$WORK"/dist/*
    check abi3audit --strict --summary "$WORK"/dist/*.whl
    check auditwheel show "$WORK"/dist/*.whl
    check check-wheel-contents "$WORK"/dist/*.whl
    check wheel_contents "$WORK"/dist/*.whl
    check without_skips python -m pytest -q -p no:cacheprovider \
        "$ROOT/tests/packaging"
    ls -l "$WORK/dist"
}

# --- tests -----------------------------------------------------------------

# Make pytest say which tests were skipped and why, also inside README's line.
export PYTEST_ADDOPTS='-ra --durations=5'
export ROUTENOTIFY_REQUIRE_KERNEL=1

without_skips() { # run a pytest in which nothing may be skipped
    "$@" | tee "$WORK/$LEG.skips"
    ((PIPESTATUS[0] == 0)) && ! tail -n 1 "$WORK/$LEG.skips" | grep -q skipped
}

readme_command() { # the one line in a code block of README.md that has: pattern
    awk -v pattern="$1" '/^```/ { code = !code; next } code && $0 ~ pattern' \
        "$ROOT/README.md" >"$WORK/line"
    if [ "$(wc -l <"$WORK/line")" != 1 ]; then
        echo "README.md has not one line with $1 in a code block:" >&2
        cat "$WORK/line" >&2
        return 1
    fi
    cat "$WORK/line"
}

in_fresh_copy() { # a newcomer's shell: command
    (cd "$WORK/newcomer" && bash -ec "$1")
}

leg_readme() {
    local demo test
    demo=$(readme_command 'routenotify demo') || exit 1
    test=$(readme_command 'pytest') || exit 1
    fresh_copy "$WORK/newcomer"
    check in_fresh_copy "$demo"
    local leg
    for leg in replay c fuzz windows extras docs models faults packaging; do # these have legs of their own
        PYTEST_ADDOPTS+=" --ignore=tests/$leg"
    done
    check in_fresh_copy "$test"
}

tests_outside() { # copy the tests where no source of the package is: folder
    fresh_copy "$1"
    rm -rf "$1/routenotify" "$1/setup.py"
}

clean_venv() { # with the wheel and pytest, and nothing else
    new_venv "$WORK/clean" pytest pytest-timeout &&
        install_into "$WORK/clean" --no-deps --no-index "$WORK"/dist/*.whl &&
        tests_outside "$WORK/outside"
}

leg_wheel() {
    need once build_dist
    need once clean_venv
    cd "$WORK/outside" || exit 1
    check "$WORK/clean/bin/python" -W error -c 'import routenotify'
    need install_into "$TOOLS" --no-deps --no-index "$WORK"/dist/*.whl
    check "$TOOLS/bin/python" -P -m mypy.stubtest routenotify._routenotify
    # Those of tests/linux and tests/isolated have run with the same code in leg
    # readme.
    check "$WORK/clean/bin/python" -m pytest -q tests/unit tests/contract \
        -k "not ten_thousand"
}

# What works together with third-party packages, all of which are there; and
# the examples of the documentation, some of which use them.
leg_extras() {
    need once build_dist
    need once clean_venv
    need new_venv "$WORK/full" "$(echo "$WORK"/dist/*.whl)[test-full]"
    cd "$WORK/outside" || exit 1
    ROUTENOTIFY_REQUIRE_EXTRAS=1 \
        check "$WORK/full/bin/python" -m pytest -q tests/extras tests/docs
    # With NumPy there, which the other legs that look for leaks have not.
    check without_skips "$WORK/full/bin/python" -m pytest -q \
        tests/isolated/test_leaks.py -k "RouteBatch or numpy"
}

# Without the full table, whose prefixes are 54 MB to install; CONTRIBUTING.md has
# the sizes that are promised.
slow_but_small() { # for the tests that follow
    export ROUTENOTIFY_SLOW=1 ROUTENOTIFY_SLOW_CHANGES=400000 \
        ROUTENOTIFY_SLOW_WAITING=20000 ROUTENOTIFY_SLOW_ROUTES=50000 \
        ROUTENOTIFY_SLOW_PREFIXES=5000
}

leg_replay() {
    need once build_dist
    need once clean_venv
    cd "$WORK/outside" || exit 1
    # One seed here, so that a change is judged by the same histories as the one
    # before; for new ones give another (by hand for hours: tests/replay/run.py).
    ROUTENOTIFY_REPLAY_SECONDS=${ROUTENOTIFY_REPLAY_SECONDS:-35} \
        ROUTENOTIFY_TEST_SEED=${ROUTENOTIFY_TEST_SEED:-2026} \
        check "$WORK/clean/bin/python" -m pytest -q tests/replay \
        --ignore=tests/replay/test_slow.py
    slow_but_small
    check "$WORK/clean/bin/python" -m pytest -q tests/replay/test_slow.py \
        -k "not full_table"
}

# By hand, as faults: the same in a build whose memory runs out when the histories
# say so, under the sanitizers: what is freed twice is freed where memory ran out.
leg_memory() {
    ROUTENOTIFY_TEST_ALLOC=1 sanitized_build
    check without_skips sanitized -m pytest -q tests/replay/test_replay.py -k memory
    check sanitized tests/replay/run.py --memory \
        --seconds 30 --at-least 5 --jobs 2 --seed "${ROUTENOTIFY_TEST_SEED:-2026}"
}

# --- other interpreters ----------------------------------------------------

CROSS=${ROUTENOTIFY_CROSS:-$HOME/.cache/routenotify-cross} # zig, see leg_cross
PYTHONS=${ROUTENOTIFY_PYTHONS:-$HOME/.cache/routenotify-pythons}

pythons() { # arguments of .ci/pythons.sh, as root
    as_root env "HOME=$HOME" "ROUTENOTIFY_PYTHONS=$PYTHONS" \
        "ROUTENOTIFY_ZIG=$CROSS/venv/bin/python -m ziglang" \
        "$ROOT/.ci/pythons.sh" "$@"
}

offline_wheels() { # what tests and builds need, for Pythons without a network
    "$TOOLS/bin/pip" download -q -d "$WORK/offline" --only-binary :all: \
        "setuptools>=77" "pytest>=8" "pytest-timeout>=2.3"
}

# With nothing but the interpreter, pytest and a wheel, as in leg_wheel: Python,
# the folder that has these, what is not run there.
# shellcheck disable=SC2016
IN_A_VENV='set -e
"$1" -m venv "$2/venv-${1##*/}"
cd "$2/outside"
set -- "$2" "$2/venv-${1##*/}/bin/python" "$3"
"$2" -m pip --isolated install -q --no-index --find-links "$1/offline" \
    pytest pytest-timeout
"$2" -m pip --isolated install -q --no-index --no-deps "$1"/wheel/*.whl
"$2" -VV
"$2" -W error -c "import routenotify._routenotify as it; print(it.__file__)"
"$2" -m pytest -q -p no:cacheprovider -k "not ($3)" \
    tests/unit tests/contract tests/isolated'

# The one binary in each of them.  How it was linked, leg wheel looks at.  Without
# memory for Python code, as in no_memory.py's `open` and `import`, 3.13 itself
# crashes, and 3.14 complains of its garbage collector's callbacks.
debian_pythons() {
    local version not home=$PYTHONS/debian/srv/${WORK##*/}
    as_root mkdir -p "$home"
    as_root cp -r "$WORK/outside" "$WORK/offline" "$WORK/abi3/." "$home/"
    for version in 3.13 3.14 3.15; do
        not='ten_thousand or not_to_be_rewritten'
        [ "$version" = 3.15 ] || not+=' or (no_memory and (open or import))'
        check pythons in debian \
            sh -c "$IN_A_VENV" sh "python$version" "/srv/${WORK##*/}" "$not"
    done
    as_root rm -rf "$home"
}

# Which headers the extension may be compiled with, and how; 3.14's here.
headers() { # flags...
    local file include=$PYTHONS/debian/usr/include
    for file in "$ROOT"/src/_routenotify.c "$ROOT"/src/rn_py_*.c; do
        gcc -fsyntax-only -std=c11 -Wall -Wextra -Wconversion -Wshadow -Werror \
            -isystem "$include/python3.14" -idirafter "$include" \
            -DRN_HAVE_NETNS=1 "$@" "$file" || return 1
    done
}

abi3_needs_headers_of_3_11() {
    headers -DPy_LIMITED_API=0x030B0000 2>&1 |
        grep -o 'error "the limited API of 3.11 needs the headers of 3.11'
}

free_threaded_wheel() { # from the sdist, by the free-threaded Python
    local venv=$WORK/free-build
    mkdir -p "$WORK/free/wheel"
    "$PYTHONS/free/bin/python3.13t" -m venv "$venv"
    "$venv/bin/pip" --isolated install -q --no-index \
        --find-links "$WORK/offline" setuptools
    "$venv/bin/pip" --isolated wheel -q --no-index --no-deps \
        --no-build-isolation -w "$WORK/free/wheel" "$WORK"/dist/*.tar.gz
    cp -r "$WORK/offline" "$WORK/outside" "$WORK/free/"
    ls "$WORK/free/wheel"
}

# CPython 3.13, 3.14 and 3.15 with the one abi3 wheel; 3.13t with its own.
leg_interpreters() {
    local kinds='debian free'
    grep -qs '^ID=debian' /etc/os-release || skip "made on Debian only"
    # shellcheck disable=SC2046,SC2086
    need apt_install $("$ROOT/.ci/pythons.sh" packages $kinds)
    # shellcheck disable=SC2086
    need pythons $kinds
    need once build_dist
    need once clean_venv
    need once offline_wheels
    mkdir -p "$WORK/abi3/wheel"
    need cp "$WORK"/dist/*-cp311-abi3-*.whl "$WORK/abi3/wheel/"
    export PYTHONDONTWRITEBYTECODE=1
    need free_threaded_wheel
    debian_pythons
    check headers # a wheel of one version, without the limited API
    check headers -DPy_GIL_DISABLED=1
    check abi3_needs_headers_of_3_11
    # Its allocator has address space in reserve: memory cannot be made to run out.
    check sh -c "$IN_A_VENV" sh "$PYTHONS/free/bin/python3.13t" "$WORK/free" \
        'ten_thousand or when_memory_runs_out'
}

# By hand, for leg coverage runs them without the sanitizers: in a build where each
# allocation and each system call can be made to fail, watched for what each
# failure leaves behind.
leg_faults() {
    ROUTENOTIFY_TEST_FAULTS=1 sanitized_build
    ROUTENOTIFY_REQUIRE_FAULTS=1 check without_skips sanitized -m pytest -q tests/faults
}

# Which lines and branches all that reaches, and whether it is enough.
leg_coverage() {
    check "$ROOT/.ci/coverage" "$WORK/coverage"
}

# What two threads may do to each other, explored; and mutants that must fail.
leg_models() {
    cd "$ROOT" || exit 1
    ROUTENOTIFY_REQUIRE_MODELS=1 \
        check without_skips "$TOOLS/bin/python" -m pytest -q \
        -p no:cacheprovider tests/models
}

# --- wheels of other systems ----------------------------------------------

cross_tools() { # zig is large: kept for as long as its list is the same
    local list=$ROOT/.ci/requirements-cross.txt
    mkdir -p "$CROSS"
    (
        flock 9
        cmp -s "$list" "$CROSS/venv/made-from" && exit
        rm -rf "$CROSS/venv"
        new_venv "$CROSS/venv" -r "$list" && cp "$list" "$CROSS/venv/made-from"
    ) 9>"$CROSS/lock"
}

arm64_tests() { # what needs no kernel, in an arm64 Python: qemu knows no netlink
    local home=$PYTHONS/arm64/srv/${WORK##*/} name status
    local there=/srv/${WORK##*/} files=()
    for name in change errors batch arguments; do
        files+=("$there/outside/tests/unit/test_$name.py")
    done
    as_root mkdir -p "$home"
    as_root cp -r "$WORK/outside" "$home/"
    for name in "$WORK"/cross/*_2_17_aarch64.whl "$WORK"/offline/p*.whl \
        "$WORK"/offline/iniconfig*.whl; do
        as_root "$TOOLS/bin/python" -m zipfile -e "$name" "$home/site"
    done
    as_root env "ROUTENOTIFY_PYTHONS=$PYTHONS" "PYTHONPATH=$there/site" \
        ROUTENOTIFY_REQUIRE_KERNEL=0 PYTHONDONTWRITEBYTECODE=1 \
        "$ROOT/.ci/pythons.sh" in arm64 /usr/bin/qemu-aarch64-static \
        /usr/bin/python3.11 -m pytest -q -p no:cacheprovider \
        -c "$there/outside/pyproject.toml" "${files[@]}"
    status=$?
    as_root rm -rf "$home"
    return "$status"
}

# In a Python of musl's own, which lacks ctypes and zlib: the suites that watch
# the kernel too, for netlink works there.
musl_tests() {
    local name site=$WORK/musl-site
    for name in "$WORK"/cross/*-musllinux_*_x86_64.whl "$WORK"/offline/p*.whl \
        "$WORK"/offline/iniconfig*.whl; do
        python3 -m zipfile -e "$name" "$site"
    done
    PYTHONPATH=$site "$PYTHONS/musl/bin/python3.13" -m pytest -q \
        -p no:cacheprovider --ignore=tests/unit/test_arrow.py \
        --ignore=tests/unit/test_hardening.py -k "not ten_thousand" \
        tests/unit tests/contract
}

# glibc 2.17 and musl, x86-64 and arm64, by zig.  Loaded here: all but arm64's
# of musl.
leg_cross() {
    grep -qs '^ID=debian' /etc/os-release || skip "made on Debian only"
    # shellcheck disable=SC2046
    need apt_install $("$ROOT/.ci/pythons.sh" packages arm64 musl)
    need cross_tools
    export ZIG_GLOBAL_CACHE_DIR=$CROSS/zig
    need pythons arm64 musl
    need once build_dist
    need once clean_venv
    need once offline_wheels
    need "$CROSS/venv/bin/python" "$ROOT/.ci/cross.py" "$WORK"/dist/*.tar.gz \
        "$WORK/cross" glibc-x86_64 glibc-aarch64 musl-x86_64 musl-aarch64
    check "$TOOLS/bin/check-wheel-contents" "$WORK"/cross/*.whl
    check "$TOOLS/bin/twine" check --strict "$WORK"/cross/*.whl
    need new_venv "$WORK/old-glibc" "pytest>=8" "pytest-timeout>=2.3"
    need install_into "$WORK/old-glibc" --no-deps --no-index \
        "$WORK"/cross/*_2_17_x86_64.whl
    cd "$WORK/outside" || exit 1
    # Not as hardened as a release: zig's linker leaves some of it out.
    check "$WORK/old-glibc/bin/python" -m pytest -q -p no:cacheprovider \
        --ignore=tests/unit/test_hardening.py tests/unit
    check arm64_tests
    check musl_tests
}

# By hand: threads in a free-threaded debug CPython under ThreadSanitizer, the
# interpreter and the extension.  fork() beside threads is nothing it can watch,
# and starting interpreters in threads makes CPython 3.13 report itself.
leg_tsan() {
    local program programs='drain_once open_and_close signals cycles'
    local tests=tests/isolated/programs
    # shellcheck disable=SC2046
    need apt_install $("$ROOT/.ci/pythons.sh" packages tsan)
    need pythons tsan
    need once offline_wheels
    fresh_copy "$WORK/threads"
    cd "$WORK/threads" || exit 1
    need "$PYTHONS/tsan/bin/python3.13td" -m venv "$WORK/tsan"
    need "$WORK/tsan/bin/pip" --isolated install -q --no-index \
        --find-links "$WORK/offline" setuptools pytest
    CC=clang-16 LDSHARED='clang-16 -shared' ROUTENOTIFY_SANITIZE=thread \
        need quietly "$WORK/tsan/bin/python" setup.py -q build_ext --inplace
    export TSAN_OPTIONS=suppressions=$PYTHONS/tsan/suppressions_free_threading.txt
    export PYTHONPATH=$PWD:$PWD/tests:$PWD/$tests
    for program in $programs; do
        check "$WORK/tsan/bin/python" "$tests/$program.py"
    done
    for program in open get iterate drain batch callback thread; do
        check "$WORK/tsan/bin/python" "$tests/exits/in_a_storm.py" "$program"
    done
}

# --- sanitizers ------------------------------------------------------------

without_preload() { # folder for PATH: these programs as they are; ip has leaks
    local name
    mkdir -p "$1"
    for name in ip bird birdc cc gcc; do
        printf '#!/bin/sh\nunset LD_PRELOAD\nexec "%s" "$@"\n' \
            "$(command -v "$name")" >"$1/$name"
        chmod +x "$1/$name"
    done
}

# A checkout to be in, with the extension under AddressSanitizer and
# UndefinedBehaviorSanitizer, and a venv for it.
sanitized_build() {
    need new_venv "$WORK/$LEG-venv" "setuptools>=77" pytest pytest-timeout
    fresh_copy "$WORK/$LEG-tree"
    cd "$WORK/$LEG-tree" || exit 1
    ROUTENOTIFY_SANITIZE=address,undefined \
        need quietly "$WORK/$LEG-venv/bin/python" setup.py -q build_ext --inplace
    without_preload "$WORK/$LEG-plain"
}

# The interpreter is as it is: hence the preload, which the interpreters that it
# starts inherit, and malloc, so that objects count too.
sanitized() { # Python's arguments
    LD_PRELOAD="$(gcc -print-file-name=libasan.so) ${BEHIND_ASAN-}" \
        PATH=$WORK/$LEG-plain:$PATH \
        ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 \
        PYTHONMALLOC=malloc PYTHONPATH=$PWD "$WORK/$LEG-venv/bin/python" "$@"
}

# No test of these: leaks are counted by CPython's allocator, which malloc replaces
# here; where memory runs out AddressSanitizer ends a process by itself; and before
# GCC 14 its allocator's lock is not taken for fork(): where a thread allocates
# meanwhile the child waits for it for ever (in GetFromAllocator()).  Elsewhere,
# sanitized as well: tests/faults and histories in which memory runs out (legs
# faults, memory), tests/c and tests/fuzz, which build their own.
sanitized_tests() { # arguments of pytest...
    local forking=tests/isolated/test_programs.py::test_program
    ROUTENOTIFY_TEST_SEED=${ROUTENOTIFY_TEST_SEED:-2026} \
        sanitized -m pytest -q --ignore=tests/isolated/test_leaks.py \
        --deselect "${forking}[fork_in_a_thread.py]" \
        --deselect "${forking}[fork_in_a_spill.py]" "$@"
}

# Not here but in leg asan_all: test_full_speed.py, 400 000 changes of one kind, a
# minute of waiting; ten thousand monitors, one ten thousand times; of tests/replay
# what is not the histories; the libraries of others.
leg_asan() {
    local name left_out=()
    for name in linux/test_{demo,doctor,format,get,json,record,top_once,watch,words} \
        unit/test_{listen,manual,recorded,recording,signals,story} \
        linux/test_full_speed; do
        left_out+=("--ignore=tests/$name.py") # Python, and much of it slow
    done
    sanitized_build
    ROUTENOTIFY_REPLAY_SECONDS=10 check sanitized_tests \
        tests/{unit,contract,linux,isolated} tests/replay/test_replay.py \
        "${left_out[@]}" -k "not when_memory_runs_out and not ten_thousand"
}

# By hand: all tests that import the extension, but the one that asks how much is
# resident: what is freed stays in quarantine.  The libraries of others in a second
# process: the threads that they start when they are imported were counted; and with
# libstdc++, whose exceptions the sanitizer looks for when it starts.
leg_asan_all() {
    need once build_dist
    sanitized_build
    slow_but_small
    check sanitized_tests tests/{unit,contract,linux,isolated,replay} \
        -k "not when_memory_runs_out and not full_table and not sleeping_consumer"
    check install_into "$WORK/$LEG-venv" "$(echo "$WORK"/dist/*.whl)[test-full]"
    BEHIND_ASAN=$(gcc -print-file-name=libstdc++.so.6)
    ROUTENOTIFY_REQUIRE_EXTRAS=1 check sanitized_tests tests/extras tests/docs
}

# The C files by themselves: plain, under three sanitizers, and under valgrind.
leg_c() {
    cd "$ROOT" || exit 1
    check without_skips "$TOOLS/bin/python" -m pytest -q -p no:cacheprovider tests/c
}

# Instructions, not time: the same on every machine with this compiler.
leg_count() {
    cd "$ROOT" || exit 1
    check python3 -m benchmarks.counts
    # And that the check finds what it is for.
    check quietly python3 -m benchmarks.counts --plant
}

leg_fuzz() {
    cd "$ROOT" || exit 1
    ROUTENOTIFY_FUZZ_SECONDS=${ROUTENOTIFY_FUZZ_SECONDS:-10} \
        check without_skips "$TOOLS/bin/python" -m pytest -q -p no:cacheprovider \
        tests/fuzz
}

windows_pythons() {
    (cd "$ROOT/tests/windows" && "$TOOLS/bin/python" -B -c '
import rig
rig.stop_server(rig.prepare())')
}

# The Windows binary in Windows Pythons under Wine.
leg_windows() {
    local packages
    [ "$(uname -m)" = x86_64 ] || skip "Wine is used on x86_64 only"
    packages=$(cd "$ROOT/tests/windows" && python3 -B -c '
import rig
print(rig.missing().rpartition("--no-install-recommends ")[2])') || exit 1
    # shellcheck disable=SC2086
    need apt_install $packages
    # Before pytest, which leaves the namespace in which there is a network.
    need windows_pythons
    cd "$ROOT" || exit 1
    ROUTENOTIFY_REQUIRE_WINDOWS=1 \
        check "$TOOLS/bin/python" -m pytest -q -p no:cacheprovider tests/windows
}

LEG=$1
"leg_$LEG"
((faults == 0))
