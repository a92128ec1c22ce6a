#!/bin/sh
# A library at the bottom of the tree takes nothing from above, and leaves clocks, threads, the environment and the
# terminal to those who call it.
# Usage: leaf.sh ARCHIVE [--below ARCHIVE]... [--allow SYMBOL]...
set -eu

archive=$1
shift
below=''
allowed=''
while [ $# -gt 0 ]; do
	case $1 in
	--below) below="$below $2" ;;
	--allow) allowed="$allowed $2" ;;
	*) echo "leaf.sh: what is '$1'?"; exit 1 ;;
	esac
	shift 2
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

nm --defined-only --format=posix "$archive" $below | awk 'NF > 1 { print $1 }' | sort -u >"$work/ours"
nm --undefined-only --format=posix "$archive" | awk 'NF > 1 { print $1 }' | sort -u >"$work/wanted"
if [ ! -s "$work/ours" ]; then
	echo "$archive defines nothing"
	exit 1
fi
comm -23 "$work/wanted" "$work/ours" >"$work/foreign"

failed=0
if grep -E '^lina_' "$work/foreign"; then
	echo "$archive: the symbols above are neither its own nor of a library below it"
	failed=1
fi
for symbol in $allowed; do
	sed -i "/^$symbol\$/d" "$work/foreign"
done
if grep -E '^(secure_|__secure_)?getenv$|^environ$|^(clock_gettime|gettimeofday|time|nanosleep|usleep|sleep)$|^(__)?v?[fd]?printf(_chk)?$|^(puts|fputs|fputc|putchar|perror|stdout|stderr|syslog|err|warn)$|^(pthread_|thrd_|mtx_|cnd_)' \
	"$work/foreign"; then
	echo "$archive: a leaf has no use for the symbols above (allow one with --allow in CMakeLists.txt, and say why)"
	failed=1
fi
exit $failed
