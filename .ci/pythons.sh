#!/usr/bin/env bash
# .ci/pythons.sh KIND... - make Pythons that are not the machine's own, once.
#
#   debian  CPython 3.13, 3.14 and 3.15, release builds, in a chroot of Debian
#           sid (root only; `in` below runs a command there)
#   free    free-threaded CPython 3.13 from the source of Debian trixie
#   tsan    the same as a debug build for ThreadSanitizer, by clang-16
#   arm64   Debian's arm64 CPython 3.11 for qemu-aarch64-static (root only)
#   musl    CPython 3.13 from the same source for the C library musl, by zig,
#           which ROUTENOTIFY_ZIG runs; without zlib, ssl and ctypes
#
# .ci/pythons.sh in KIND COMMAND... - run a command in a chroot (root only).
#
# They are kept in ~/.cache/routenotify-pythons, or where ROUTENOTIFY_PYTHONS
# says; remove the folder of a kind to have it made anew.  Several runs may
# share them.  What apt must install first: `.ci/pythons.sh packages KIND...`.

set -eu
CACHE=${ROUTENOTIFY_PYTHONS:-$HOME/.cache/routenotify-pythons}
RECIPE=1 # raise it when what is made changes

fail() {
    echo "pythons.sh: $*" >&2
    exit 1
}

packages() { # KIND...
    local kind
    for kind in "$@"; do
        case $kind in
        debian) echo debootstrap ;;
        free) echo gcc libc6-dev make xz-utils libffi-dev zlib1g-dev ;;
        tsan) packages free && echo clang-16 libclang-rt-16-dev ;;
        arm64) echo debootstrap qemu-user-static ;;
        musl) echo gcc libc6-dev make xz-utils musl ;;
        *) fail "no kind is called $kind" ;;
        esac
    done
}

# The mirror that this machine's packages come from; nothing elsewhere than on
# Debian, where debootstrap knows one.
mirror() {
    grep -q '^ID=debian' /etc/os-release || return 0
    # shellcheck disable=SC2016
    apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | head -n 1
}

quietly() { # show what a command prints only if it fails
    "$@" >"$BUILD/log" 2>&1 </dev/null || { tail -n 40 "$BUILD/log"; return 1; }
}

# --- chroots ---------------------------------------------------------------

# In mount and process namespaces of its own, so that nothing stays mounted and
# `ip netns` works: for that / must be a mount point.
in_chroot() { # folder, command...
    # shellcheck disable=SC2016
    unshare -m -p -f sh -c '
        mount --bind "$0" "$0" && mount --rbind /dev "$0/dev" &&
        mount -t proc proc "$0/proc" && mount -t sysfs sysfs "$0/sys" &&
        mkdir -p "$0/run/netns" && exec chroot "$0" "$@"' "$@"
}

network_of_host() { # folder: names and certificates, for apt
    cp -L /etc/resolv.conf /etc/hosts "$1/etc/"
    mkdir -p "$1/etc/ssl/certs"
    cp -L /etc/ssl/certs/ca-certificates.crt "$1/etc/ssl/certs/"
}

make_debian() { # folder
    local install='env DEBIAN_FRONTEND=noninteractive apt-get -qq -y
        --no-install-recommends install'
    # shellcheck disable=SC2046
    quietly debootstrap --variant=minbase sid "$1" $(mirror)
    # A mirror of sid may be a snapshot of some weeks ago.
    echo 'Acquire::Check-Valid-Until "false";' >"$1/etc/apt/apt.conf.d/99valid"
    network_of_host "$1"
    quietly chroot "$1" apt-get -qq update
    # shellcheck disable=SC2086
    quietly chroot "$1" $install python3.13-venv python3.14-venv \
        python3.15-venv python3.14-dev iproute2 binutils
    network_of_host "$1"
    rm -rf "$1"/var/cache/apt/archives/*.deb "$1"/var/lib/apt/lists/*
}

make_arm64() { # folder
    local package
    # shellcheck disable=SC2046
    quietly debootstrap --arch=arm64 --foreign --variant=minbase \
        --include=python3 bookworm "$BUILD/arm64" $(mirror)
    # Unpacked only: nothing here needs a configured system.
    mkdir -p "$1/tmp"
    for package in "$BUILD"/arm64/var/cache/apt/archives/*.deb; do
        case ${package##*/} in
        libc6_* | libgcc-s1_* | python3* | libpython3* | libssl3_* | \
            zlib1g_* | libexpat1_* | libffi8_* | libbz2* | liblzma5_* | \
            libuuid1_* | libcrypt1_* | libsqlite3-0_*)
            dpkg-deb -x "$package" "$1"
            ;;
        esac
    done
    mkdir -p "$1/usr/bin" "$1/dev" "$1/proc" "$1/sys"
    cp "$(command -v qemu-aarch64-static)" "$1/usr/bin/"
}

# --- from source -----------------------------------------------------------

debian_source() { # package, suite: unpacked in BUILD/src
    local lists=$BUILD/lists from
    from=$(mirror)
    [ -n "$from" ] || fail "Debian's source packages: on Debian only"
    mkdir -p "$lists/partial" "$BUILD/cache/archives/partial" "$BUILD/src"
    echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]" \
        "$from $2 main" >"$BUILD/sources.list"
    local options=(-o "Dir::Etc::sourcelist=$BUILD/sources.list"
        -o Dir::Etc::sourceparts=/dev/null -o "Dir::State::lists=$lists"
        -o "Dir::Cache=$BUILD/cache" -o APT::Sandbox::User=root)
    (cd "$BUILD" && quietly apt-get "${options[@]}" update &&
        quietly apt-get "${options[@]}" source --download-only "$1")
    tar -xf "$BUILD/$1"_*.orig.tar.xz -C "$BUILD/src" --strip-components=1
}

make_from_source() { # folder, configure's arguments...
    local folder=$1
    shift
    debian_source python3.13 trixie
    mkdir "$BUILD/b"
    cd "$BUILD/b"
    quietly ../src/configure -q --prefix="$folder" --disable-test-modules "$@"
    quietly make -s -j2
    quietly make -s install
    cd "$BUILD"
}

make_free() { # folder
    make_from_source "$1" --disable-gil
}

make_tsan() { # folder
    make_from_source "$1" --disable-gil CC=clang-16 --with-thread-sanitizer \
        --with-pydebug
    cp src/Tools/tsan/suppressions_free_threading.txt "$1/"
}

zig_tool() { # name, words of zig...
    printf '#!/bin/sh\nexec %s "$@"\n' "${*:2}" >"$BUILD/$1"
    chmod +x "$BUILD/$1"
}

make_musl() { # folder
    local zig=${ROUTENOTIFY_ZIG:?runs zig, such as 'python3 -m ziglang'}
    zig_tool cc "$zig cc -target x86_64-linux-musl -dynamic -Wno-date-time"
    zig_tool ar "$zig ar"
    zig_tool ranlib "$zig ranlib"
    # Its musl is newer than Debian's, which has these two not yet; and configure
    # looks for faults of getaddrinfo() by asking for what a host may not have.
    make_from_source "$1" CC="$BUILD/cc" AR="$BUILD/ar" RANLIB="$BUILD/ranlib" \
        ac_cv_func_preadv2=no ac_cv_func_pwritev2=no ac_cv_buggy_getaddrinfo=no \
        --without-ensurepip PKG_CONFIG=false
}

# --- once ------------------------------------------------------------------

make_kind() { # kind
    local folder=$CACHE/$1 start=$SECONDS
    mkdir -p "$CACHE"
    exec 9>"$CACHE/$1.lock"
    flock 9 # another run may be making it
    [ "$(cat "$folder/.ready" 2>/dev/null)" = "$RECIPE" ] && return
    rm -rf "$folder"
    BUILD=$(mktemp -d "$CACHE/build.XXXXXX")
    trap 'rm -rf "$BUILD"' EXIT
    "make_$1" "$folder"
    echo "$RECIPE" >"$folder/.ready"
    rm -rf "$BUILD"
    echo "made $folder in $((SECONDS - start)) s"
}

case ${1:-} in
'') fail "which kind? debian, free, tsan, arm64 or musl" ;;
packages)
    shift
    packages "$@"
    ;;
in)
    kind=$2
    shift 2
    in_chroot "$CACHE/$kind" "$@"
    ;;
*)
    packages "$@" >/dev/null # are they kinds?
    for kind in "$@"; do
        (make_kind "$kind")
    done
    ;;
esac
