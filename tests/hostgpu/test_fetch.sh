#!/bin/sh
# What fetch says where it cannot fetch, and what configuring says of a release that is not known.
# No test here uses the network.
# Usage: test_fetch.sh FETCH SOURCE-DIRECTORY
set -u
fetch=$1
source=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0

fail() {
	echo "FAILED: $*"
	failures=$((failures + 1))
}

# expect STATUS ARGS...: runs fetch with an empty home and compares its exit status.
expect() {
	want=$1
	shift
	env -u XDG_CACHE_HOME LINA_CACHE="$work/cache" APT_CONFIG="$work/apt.conf" "$fetch" "$@" \
		>"$work/out" 2>"$work/err"
	status=$?
	[ "$status" -eq "$want" ] || fail "fetch $*: status $status, not $want: $(cat "$work/err")"
}

# says TEXT: standard error of the last fetch has it.
says() {
	grep -qF -- "$1" "$work/err" || fail "not said: '$1', but: $(cat "$work/err")"
}

apt_source() {
	printf '%s\n' "$1" >"$work/sources.list"
	cat >"$work/apt.conf" <<-END
		Dir::Etc::SourceList "$work/sources.list";
		Dir::Etc::SourceParts "/dev/null";
	END
}

fill() {
	mkdir -p "$work/cache/nccl/$1"
	echo header >"$work/cache/nccl/$1/nccl.h"
	echo archive >"$work/cache/nccl/$1/libnccl_static.a"
}

# Without a mirror, and with one that is not there: name, version, place and reason.
apt_source ''
expect 1
says 'missing: NCCL 2.29.7 (libnccl-dev 2.29.7-1-1, Debian sid/contrib)'
says 'missing: NCCL 2.22.3 (libnccl-dev 2.22.3-1-1, Debian trixie/contrib)'
says "looked in $work/cache/nccl/2.29.7-1-1"
says 'no Debian mirror'
apt_source "deb [trusted=yes] file:$work/nowhere/debian bookworm main"
expect 1 2.22.3
says "missing: NCCL 2.22.3"
says "file:$work/nowhere/debian/ has no trixie that can be read"
[ -z "$(ls "$work/cache/nccl")" ] || fail "left in the cache: $(ls "$work/cache/nccl")"

# A mirror whose sid has moved on: which version is there, and nothing is taken. It is not signed, which
# is not forgiven unless apt is told to.
packages=$work/mirror/debian/dists/sid/contrib/binary-$(dpkg --print-architecture)
mkdir -p "$packages"
cat >"$packages/Packages" <<-END
	Package: libnccl-dev
	Version: 2.99.1-1-1
	Architecture: $(dpkg --print-architecture)
	Filename: pool/libnccl-dev.deb
	Size: 1
	SHA256: 0000000000000000000000000000000000000000000000000000000000000000
END
apt_source "deb [trusted=yes] file:$work/mirror/debian bookworm main"
expect 1 2.29.7
says 'has no sid that can be read'
echo 'Acquire::AllowInsecureRepositories "true";' >>"$work/apt.conf"
expect 1 2.29.7
says 'now has libnccl-dev 2.99.1-1-1, whose device layouts are not known'

# A full cache needs no mirror; a part of it serves whoever did not name the rest.
apt_source ''
fill 2.22.3-1-1
expect 0
says 'missing: NCCL 2.29.7'
grep -qx "2.22.3 $work/cache/nccl/2.22.3-1-1" "$work/out" || fail "printed: $(cat "$work/out")"
expect 1 2.22.3 2.29.7
expect 0 2.22.3
[ ! -s "$work/err" ] || fail "said: $(cat "$work/err")"
fill 2.29.7-1-1
expect 0 2.29.7 2.22.3

# A release that is not known is refused by name.
expect 2 2.30.7
says 'NCCL 2.30.7: device layouts are not known; known are 2.29.7 2.22.3'
expect 2 --what

# So does configuring, by what nccl.h says and not by the folder's name; it goes on with the others.
cat >"$work/cache/nccl/2.22.3-1-1/nccl.h" <<-END
	#define NCCL_MAJOR 2
	#define NCCL_MINOR 99
	#define NCCL_PATCH 1
END
rm -r "$work/cache/nccl/2.29.7-1-1"
if ! cmake -S "$source" -B "$work/build" -DLINA_NCCL_CACHE="$work/cache/nccl" >"$work/log" 2>&1; then
	fail "configuring: $(tail -n 5 "$work/log")"
fi
tr -s '\n ' '  ' <"$work/log" | grep -qF "NCCL 2.99.1 ($work/cache/nccl/2.22.3-1-1/nccl.h) is refused" ||
	fail "configuring does not refuse NCCL 2.99.1: $(grep -A3 hostgpu "$work/log")"
grep -q 'hostgpu: no NCCL release' "$work/log" || fail "configuring: $(grep hostgpu "$work/log")"

echo "$failures failures"
[ "$failures" -eq 0 ]
