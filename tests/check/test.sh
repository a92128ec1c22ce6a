#!/bin/sh
# lina-check says what is so: of a plugin that works, of one that is not there, of a knob out of range, of a peer.
# Usage: test.sh LINA_CHECK PLUGIN_DIR
set -eu

check=$1
plugins=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export LD_LIBRARY_PATH="$plugins" NCCL_SOCKET_IFNAME=lo
unset NCCL_NET NCCL_NET_PLUGIN

# expect STATUS 'REGULAR EXPRESSION' OPTION...: the exit status and a line of the output.
expect() {
	status=0
	wanted=$1
	line=$2
	shift 2
	"$check" "$@" >"$work/out" 2>&1 || status=$?
	if [ "$status" -ne "$wanted" ] || ! grep -Eq "$line" "$work/out"; then
		echo "lina-check $*: exit status $status, wanted $wanted and a line like '$line':"
		cat "$work/out"
		exit 1
	fi
}

full=0
"$check" --plugin lina --no-self-test >/dev/full 2>"$work/out" || full=$?
[ "$full" -eq 2 ] && grep -q 'cannot be written' "$work/out" || { echo "a full disk: exit status $full"; cat "$work/out"; exit 1; }

# Limits of this machine may be low, which is a warning and no concern of this test.
well=0
"$check" --plugin lina --no-self-test >"$work/out" || well=$?
[ "$well" -le 1 ] || { cat "$work/out"; exit 1; }

expect "$well" '^ok +plugin +.*libnccl-net-lina\.so$' --plugin lina --no-self-test
expect "$well" '^ok +plugin +net ABIs: v8 v9 v10 v11 v12' --plugin "$plugins/libnccl-net-lina.so" --no-self-test
expect "$well" '^ok +device +0: lo' --plugin lina --no-self-test
expect "$well" '^ok +priority .* held [1-9][0-9]* times' --plugin lina --seconds 2
expect 2 '^FAIL +plugin .*libnccl-net-nothere\.so' --plugin nothere
expect 2 'nccl .*no NCCL here' --plugin lina --no-self-test --nccl "$plugins/libnccl-net-lina.so"
expect 64 'not a number from' --seconds x
expect 2 "'12q4' is not a handle" --plugin lina --connect 12q4

export LINA_HOLD_MAX_MS=0
expect 2 'LINA_HOLD_MAX_MS=0: must be' --plugin lina --no-self-test
unset LINA_HOLD_MAX_MS
export LINA_CLASSES=alltoal=latency
expect 2 'alltoal' --plugin lina --no-self-test
unset LINA_CLASSES
export NCCL_NET=Socket
expect 2 'NCCL_NET=Socket' --plugin lina --no-self-test
unset NCCL_NET

# Everything that is one class is never held, and that is told.
export LINA_CLASSES=all=latency
expect 2 '^FAIL +priority .* held 0 times' --plugin lina --seconds 1
unset LINA_CLASSES

expect 2 '^\{"worst":"FAIL","lost":0,"findings":\[\{"level":' --json --plugin nothere

# Two of them, as on two hosts.
"$check" --plugin lina --listen >"$work/listens" &
listens=$!
for _ in $(seq 100); do
	handle=$(sed -n 's/.*--connect //p' "$work/listens")
	[ -z "$handle" ] || break
	sleep 0.1
done
expect "$well" '^ok +connection +data went both ways' --plugin lina --connect "$handle"
status=0
wait "$listens" || status=$?
if [ "$status" -ne "$well" ] || ! grep -q '^ok *connection *data went both ways' "$work/listens"; then
	cat "$work/listens"
	exit 1
fi
