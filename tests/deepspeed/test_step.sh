#!/bin/sh
# perf/deepspeed, small, on loopback over two networks: both in its table, files that are whole, classes as they should be; what is wrong on
# its command line or in a job ends it and is said.
# Usage: test_step.sh SOURCE-DIR    with the dev preset built
set -u

cd "$1" || exit 1
if ! [ -e build/tests/hostgpu/2.29.7/libnccl.so.2 ]; then
	echo 'skip: NCCL 2.29.7 could not be had'
	exit 77
fi
if ! python=$(tests/deepspeed/setup --python 2>&1); then
	echo "skip: $python"
	exit 77
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export TMPDIR="$work/tmp"
mkdir "$TMPDIR"
failed=0

complain() {
	echo "FAILED: $*"
	failed=1
}

# run STATUS OPTION...
run() {
	want=$1
	shift
	NCCL_DEBUG=INFO timeout 100 perf/deepspeed --no-build --loopback --ranks 2 --timeout 60 "$@" >"$work/log" 2>&1
	status=$?
	[ $status -eq "$want" ] || complain "status $status, not $want, of $*: $(grep -v 'NCCL INFO' "$work/log" | tail -n 20)"
	left=$(find "$TMPDIR" -mindepth 1 ! -name '*.lock')
	[ -z "$left" ] || complain "left by $*: $left"
}

run 0 -- --layers 1 --moe-every 1 --width 32 --sequence 32 --compute-ms 1 --overlap 1 --buckets 3000 --rounds 2 --text-bytes 65536 --nets fifo,lina --output "$work/step"
[ "$(cut -f 1-3 "$work/step.tsv" | tr '\t\n' ': ')" = "overlap:bucket:net 1:3000:fifo 1:3000:lina " ] || complain "table: $(cat "$work/step.tsv")"
[ "$(awk -F'\t' '{ print NF }' "$work/step.tsv" | sort -u)" = 13 ] || complain "ragged: $(cat "$work/step.tsv")"
awk -F'\t' 'NR > 1 && !($4 >= 4 && $4 >= $9 && $7 <= $4) { exit 1 }' "$work/step.tsv" || complain "times: $(cat "$work/step.tsv")"
awk -F'\t' '$3 == "fifo" && $11 != 1 { exit 1 }' "$work/step.tsv" || complain "fifo against itself: $(cat "$work/step.tsv")"
[ "$(awk -F'\t' 'NR > 1 { n[$3]++ } END { print n["fifo"], n["lina"] }' "$work/step.samples.tsv")" = '2 2' ] ||
	complain "samples: $(cat "$work/step.samples.tsv")"
for net in fifo lina; do
	grep -q "^1  *3000 $net  *[0-9]* (.*) .*  [0-9]*\.[0-9]* (" "$work/log" || complain "no row for $net: $(grep '^1 ' "$work/log")"
done
# With priorities in two classes, first come first served in one.
for said in 'sent .*alltoall [^,]*(latency)' 'sent .*allreduce [^,]*(bulk)' 'sent .*allreduce [^,]*(latency)'; do
	grep -q "$said" "$work/log" || complain "no '$said': $(grep 'sent ' "$work/log")"
done

# alone OPTION...: one process, whose start takes most of the time.
alone() {
	mkdir "$work/$$.$1"
	LINA_RANK=0 LINA_NRANKS=1 LINA_RENDEZVOUS="$work/$$.$1" LD_LIBRARY_PATH="$PWD/build/tests/hostgpu/2.29.7" \
		NCCL_NET_PLUGIN="$PWD/build/plugin/libnccl-net-lina.so" timeout 60 "$python" perf/deepspeed_step.py --expert-parallel 1 "$@"
}

# A network that nobody has is an error, since NCCL's own in its place would be compared with itself.
alone --nets nowhere --layers 1 --moe-every 1 --rounds 1 --overlap 1 --buckets 3000 >"$work/log" 2>&1 &
alone --buckets 3000,many >"$work/log.many" 2>&1
[ $? -eq 2 ] || complain "buckets that are none: $(cat "$work/log.many")"
grep -q "'3000,many' is not a list of numbers from 1 to" "$work/log.many" || complain "not said: $(cat "$work/log.many")"
wait $!
[ $? -eq 1 ] || complain "a network that is none: $(cat "$work/log")"
grep -q 'RuntimeError: ncclCommInitRankConfig' "$work/log" || complain "not said: $(tail -n 20 "$work/log")"
run 64 --rate fast
run 64 --nonsense
LINA_CACHE="$work" perf/deepspeed --no-build --loopback >"$work/log" 2>&1
[ $? -eq 2 ] || complain "no DeepSpeed: $(cat "$work/log")"
grep -q 'run tests/deepspeed/setup' "$work/log" || complain "not said what to do: $(cat "$work/log")"
exit $failed
