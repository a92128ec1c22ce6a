#!/bin/sh
# The guest is what its head says: files, variables, arguments and exit status pass through; hosts, rails and rates are
# there; its links carry data; nothing stays behind. Usage: test.sh
set -u

here=$(cd "$(dirname "$0")" && pwd)
guest=$here/guest
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export TMPDIR="$work/tmp"
mkdir "$TMPDIR" "$work/shared"
failed=0

complain() {
	echo "FAILED: $*"
	failed=1
}

expect() { # expect WHAT WANTED SEEN
	[ "$2" = "$3" ] || complain "$1: '$3', not '$2'"
}

cat >"$work/inside" <<'END'
printf '%s\n' "$1" "$LINA_TEST_TEXT" >shared/said
echo out; echo err >&2
echo lost >not_kept
ibv_devices | awk 'NR > 2 { print $1 }' | sort | paste -s -d ' ' >shared/devices
ip netns list | awk '{ print $1 }' | sort | paste -s -d ' ' >shared/namespaces
# perftest takes the processor's clock for steady, which a guest's is not; the examples of libibverbs ask the kernel.
for rail in a b; do
	ip netns exec h1 ibv_rc_pingpong -g 1 -s 8192 -n 150 -d rxe1$rail >/dev/null 2>&1 &
	until ip netns exec h1 ss -Htln | grep -q :18515; do
		sleep 0.1
	done
	ip netns exec h3 ibv_rc_pingpong -g 1 -s 8192 -n 150 -d rxe3$rail 10.99.0.2 |
		awk '/ bytes in / { print $(NF - 1) }'
	wait
done >shared/rates
cat /sys/class/infiniband/*/ports/1/hw_counters/out_of_seq_request | sort -u >shared/out_of_order
exit 3
END

cd "$work" || exit 1
text="it's \"\$HOME\" \\ and
two lines"
LINA_TEST_TEXT=$text "$guest" -n 4 -r 2 -s 20mbit -w shared sh inside "$text" >out 2>err
status=$?
if [ $status -eq 77 ]; then
	cat err
	exit 77
fi
expect 'exit status' 3 $status
expect 'standard output' out "$(cat out)"
expect 'standard error' err "$(cat err)"
printf '%s\n' "$text" "$text" | cmp -s - shared/said || complain "arguments and variables: $(cat shared/said)"
[ ! -e not_kept ] || complain 'it wrote to this machine'
expect devices 'rxe0a rxe0b rxe1a rxe1b rxe2a rxe2b rxe3a rxe3b' "$(cat shared/devices)"
expect namespaces 'h0 h1 h2 h3 hsw' "$(cat shared/namespaces)"
expect 'requests out of order' 0 "$(cat shared/out_of_order)"
# Both ways count; the guest would carry 70 without a limit. A busy machine may be slower, not faster.
awk '!($1 > 1 && $1 < 41) { exit 1 } END { exit NR != 2 }' shared/rates ||
	complain "Mbit/s of two rails of 20 Mbit/s: $(paste -s -d ' ' shared/rates)"

"$guest" -t 1 sleep 60 >out 2>err
expect 'exit status at the time limit' 124 $?

"$guest" -s fast true >out 2>err
expect 'exit status with a wrong rate' 64 $?
LINA_CACHE=$work/empty "$guest" true >out 2>err
expect 'exit status without a kernel' 77 $?
grep -q 'there is no kernel in' err || complain "no reason without a kernel: $(cat err)"

left=$(find "$TMPDIR" -mindepth 1)
[ -z "$left" ] || complain "files are left: $left"
left=$(pgrep -f "$TMPDIR")
[ -z "$left" ] || complain "processes are left: $left"
exit $failed
