#!/bin/sh
# perf/play: Megatron's order, its first layer and its end, on loopback over every network: a table with all of them; operations
# in their classes, by operation and by the names of Megatron's groups.
# Usage: play.sh SOURCE-DIR    with the dev preset built
set -u

cd "$1" || exit 1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export TMPDIR="$work/tmp"
mkdir "$TMPDIR"
failed=0

if ! [ -x build/perf/play-2.29.7 ]; then
	echo "skip: build/perf/play-2.29.7 is not built: NCCL 2.29.7 could not be had"
	exit 77
fi

complain() {
	echo "FAILED: $*"
	failed=1
}

# The whole order is what its own head says: 12 layers with 3 all-to-alls forward and backward, 4 buckets each way.
for want in '72 alltoall' '4 all_gather' '4 reduce_scatter' '1 all_reduce' '48 compute' '5 wait'; do
	is=$(grep -c "^${want#* } " perf/megatron.order)
	[ "$is" -eq "${want%% *}" ] || complain "perf/megatron.order: $is, not $want"
done

sed '/^# layer 1$/,/^# layer 0$/d' perf/megatron.order >"$work/order"
NCCL_DEBUG=INFO perf/play --no-build --loopback --ranks 2 "$work/order" -- --rounds 2 --scale 4000 --output "$work/play" \
	>"$work/log" 2>&1 || complain "play: $(grep -v NCCL "$work/log" | tail -n 20)"
[ "$(cut -f 1 "$work/play.tsv" | tr '\n' ' ')" = 'net Socket fifo lina ' ] || complain "networks: $(cat "$work/play.tsv")"
[ "$(wc -l <"$work/play.samples.tsv")" -eq 7 ] || complain "samples: $(cat "$work/play.samples.tsv")"
for net in Socket fifo lina; do
	grep -q "^$net  *[0-9.]* (.*)  *[0-9.]*  [0-9.]* (" "$work/log" || complain "no row for $net"
done
for said in 'sent .*alltoall [^,]*(latency)' 'sent .*reducescatter [^,]*(bulk)' 'sent .*allgather [^,]*(bulk)'; do
	grep -q "$said" "$work/log" || complain "no '$said': $(grep 'sent ' "$work/log")"
done

# A rule for a group's name.
NCCL_DEBUG=INFO LINA_CLASSES='comm:DATA_PARALLEL_*=latency' perf/play --no-build --loopback --ranks 2 "$work/order" -- --nets lina --rounds 1 \
	--scale 4000 >"$work/log" 2>&1 || complain "play with a rule: $(grep -v NCCL "$work/log" | tail -n 20)"
grep -q 'sent .*reducescatter [^,]*(latency)' "$work/log" || complain "the rule had no effect: $(grep 'sent ' "$work/log")"

# An order that is none.
echo 'alltoall NOBODY 4' >"$work/order"
perf/play --no-build --loopback --ranks 2 "$work/order" >"$work/log" 2>&1 && complain 'an order that is none'
grep -q "order:1:10: there is no group 'NOBODY'" "$work/log" || complain "not said: $(cat "$work/log")"
perf/play --rate many >"$work/log" 2>&1
[ $? -eq 64 ] || complain "a rate that is none: $(cat "$work/log")"
[ -z "$(find "$TMPDIR" -mindepth 1 ! -name '*.lock')" ] || complain "left behind: $(ls "$TMPDIR")"
exit $failed
