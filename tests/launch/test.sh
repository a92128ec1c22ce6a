#!/bin/sh
# What lina-launch promises: exit statuses, the ranks' environment, and nothing left behind.
# Usage: test.sh LAUNCH
set -u
launch=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export TMPDIR="$work/tmp"
mkdir "$TMPDIR"
failures=0

fail() {
	echo "FAILED: $*"
	failures=$((failures + 1))
}

# expect STATUS ARGS...: runs lina-launch and compares its exit status.
expect() {
	want=$1
	shift
	"$launch" "$@" >"$work/out" 2>"$work/err"
	status=$?
	[ $status -eq "$want" ] || fail "status $status, not $want: lina-launch $*: $(cat "$work/err")"
	[ -z "$(ls "$TMPDIR")" ] || fail "left in TMPDIR: $(ls "$TMPDIR") after lina-launch $*"
}

# gone PATTERN: no process has such an argument. (A pattern that does not match itself.)
gone() {
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		left=$(grep -lzx -- "$1" /proc/[0-9]*/cmdline 2>/dev/null )
		[ -z "$left" ] && return
		sleep 0.1
	done
	fail "still there: $left ($1)"
}

# shellcheck disable=SC2016 # the ranks' shells expand these
{
	expect 0 -n 3 -e X=5 -o "$work/logs" -- sh -c 'echo "$LINA_RANK of $LINA_NRANKS $X $NCCL_HOSTID"; printf end >&2'
	sort "$work/out" | tr '\n' ';' | grep -qx '\[0] 0 of 3 5 h0;\[1] 1 of 3 5 h1;\[2] 2 of 3 5 h2;' ||
		fail "output: $(cat "$work/out")"
	[ "$(wc -w <"$work/logs/rank2.log")" -eq 6 ] || fail "log: $(cat "$work/logs/rank2.log")"
	grep -qx '\[1] end' "$work/err" || fail "stderr: $(cat "$work/err")"

	expect 0 -n 2 -- sh -c 'touch "$LINA_RENDEZVOUS/$LINA_RANK"'
	expect 5 -n 3 -g 0.2 -- sh -c '[ "$LINA_RANK" = 1 ] && exit 5; exec sleep 1001'
	gone '[1]001'
	expect 134 -n 2 -g 0.2 -- sh -c '[ "$LINA_RANK" = 1 ] && kill -ABRT $$; exec sleep 1002'
	expect 77 -n 2 -- sh -c 'exit $((LINA_RANK * 77))'
	expect 3 -n 3 -- sh -c 'case $LINA_RANK in 0) exit 77;; 1) sleep 0.1; exit 3;; esac'
	expect 3 -n 3 -- sh -c 'case $LINA_RANK in 0) sleep 0.1; exit 77;; 1) exit 3;; esac'
	expect 124 -n 2 -t 0.3 -- sh -c 'setsid sleep 1003 & sleep 1003'
	gone '[1]003'
	expect 0 -n 2 -k 1:100 -- sh -c '[ "$LINA_RANK" = 1 ] && exec sleep 1004; sleep 0.3'
	expect 4 -n 2 -t 10 -k 1:+1 -- sh -c \
		'[ "$LINA_RANK" = 1 ] && { touch "$LINA_RENDEZVOUS/ready.1"; exec sleep 1005; }; sleep 0.2; exit 4'
	gone '[1]005'
}
expect 127 -n 2 -- ./no-such-program
expect 1 -n 2 --hosts no-such-host -- true
grep -q 'no-such-host0' "$work/err" || fail "a missing host is not named: $(cat "$work/err")"
expect 64 -n 0 -- true
expect 64 -n 2 -e X -- true
expect 64 -n 2 -k 2:0 -- true
expect 64 -n 2

"$launch" -n 2 -- sleep 1006 2>/dev/null &
sleep 0.3
kill -TERM $!
wait $!
status=$?
[ $status -eq 143 ] || fail "status $status, not 143, after SIGTERM"
gone '[1]006'

[ $failures -eq 0 ] && echo "lina-launch: all as promised"
exit $((failures != 0))
