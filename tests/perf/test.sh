#!/bin/sh
# perf/bench_mix, perf/bench_uneven and perf/sweep, at sizes that take no time: their tables are whole, the networks are the ones they are
# called, and a sweep goes on where it was.
# Usage: test.sh SOURCE-DIR    with the dev preset built
set -u

cd "$1" || exit 1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export TMPDIR="$work/tmp"
mkdir "$TMPDIR"
failed=0
prefix=lperf$(echo $$ | tr 0-9 a-j)

if ! [ -x build/perf/bench_mix-2.29.7 ]; then
	echo "skip: build/perf/bench_mix-2.29.7 is not built: NCCL 2.29.7 could not be had"
	exit 77
fi
tests/hosts/hosts run linatry 2 none true || exit $?

complain() {
	echo "FAILED: $*"
	failed=1
}

check_clean() { # check_clean WHEN
	left=$(ip netns list | grep "^$prefix")
	[ -z "$left" ] || complain "$1: namespaces are left: $left"
}

# count FILE NET KIND: samples of it.
count() {
	awk -F'\t' -v net="$2" -v kind="$3" '$1 == net && $2 == kind { n++ } END { print n + 0 }' "$1"
}

small='--allreduce-bytes 1M --peer-bytes 16K --count 3 --gap-ms 0.5 --alone 2'

# Four ranks on two hosts, so that processes share a link; unlike parts.
NCCL_DEBUG=INFO perf/bench_mix --no-build --prefix "$prefix" --procs-per-host 2 -- $small --uneven --rounds 3 --reopen 2 \
	--output "$work/mix" >"$work/log" 2>&1 || complain "bench_mix: $(tail -n 40 "$work/log")"
[ "$(cut -f 1 "$work/mix.tsv" | tr '\n' ' ')" = 'net Socket fifo lina ' ] || complain "networks: $(cat "$work/mix.tsv")"
[ "$(awk -F'\t' '{ print NF }' "$work/mix.tsv" | sort -u | wc -l)" -eq 1 ] || complain "ragged: $(cat "$work/mix.tsv")"
for net in Socket fifo lina; do
	alone=$(count "$work/mix.samples.tsv" $net alone)
	allreduce=$(count "$work/mix.samples.tsv" $net allreduce)
	beside=$(($(count "$work/mix.samples.tsv" $net under) + $(count "$work/mix.samples.tsv" $net after)))
	both=$(count "$work/mix.samples.tsv" $net both)
	[ "$alone $allreduce $beside $both" = '6 3 9 3' ] || complain "$net: $alone $allreduce $beside $both samples"
	grep -q "^$net  *[0-9]" "$work/log" || complain "no row for $net: $(cat "$work/log")"
done
# What the plugin carried in one class (fifo) and in two (lina).
for class in latency bulk; do
	grep -q "sent allreduce .*($class)" "$work/log" || complain "no allreduce was $class: $(grep NET/Lina "$work/log")"
done
check_clean bench_mix

# Uneven all-to-alls, whose data it compares, in three ways.
perf/bench_uneven --no-build --prefix "$prefix" --ranks 3 --rounds 1 -- --patterns few --unit-bytes 64K --count 1 \
	--warm 0 >"$work/log" 2>&1 || complain "bench_uneven: $(tail -n 40 "$work/log")"
for way in plain learned table; do
	grep -q "^few  *$way  *[0-9]" "$work/log" || complain "no row for $way: $(cat "$work/log")"
done
check_clean bench_uneven

# The rule that makes fifo what it is was forgotten: no result rather than a wrong one.
if build/tests/launch/lina-launch -n 1 -- env -u LINA_CLASSES build/perf/bench_mix-2.29.7 --nets fifo >"$work/log" 2>&1; then
	complain 'fifo without its rule'
fi
grep -q 'needs LINA_CLASSES=traffic:1=latency' "$work/log" || complain "no word of the rule: $(cat "$work/log")"

sweep="perf/sweep --no-build --prefix $prefix --nets Socket,lina --rounds 1 --output $work/sweep"
$sweep --values 65536 chunk -- $small >"$work/log" 2>&1 || complain "sweep: $(tail -n 40 "$work/log")"
$sweep --values 65536,131072 chunk -- $small >"$work/log" 2>&1 || complain "sweep, again: $(tail -n 40 "$work/log")"
grep -q 'chunk 65536 is there' "$work/log" || complain "a point was measured twice: $(cat "$work/log")"
[ "$(cut -f 1,2 "$work/sweep/chunk.tsv" | tr '\t\n' ': ')" = \
	'value:net 65536:Socket 65536:lina 131072:Socket 131072:lina ' ] || complain "$(cat "$work/sweep/chunk.tsv")"
! command -v gnuplot >/dev/null || [ -s "$work/sweep/chunk.png" ] || complain 'no picture'
$sweep --values 65536 chunk -- $small --uneven >"$work/log" 2>&1 && complain 'points of other settings in one table'
$sweep --values 1,x chunk >"$work/log" 2>&1
[ $? -eq 64 ] || complain "a value that is none: $(cat "$work/log")"
# The other variables, a point of each.
for point in 'allreduce 262144' 'window 65536' 'rate 500' 'hosts 2'; do
	set -- $point
	$sweep --values "$2" "$1" -- $small >"$work/log" 2>&1 || complain "sweep of $1: $(tail -n 40 "$work/log")"
	grep -q "^$2	lina	" "$work/sweep/$1.tsv" || complain "sweep of $1: $(cat "$work/sweep/$1.tsv")"
	! command -v gnuplot >/dev/null || [ -s "$work/sweep/$1.png" ] || complain "no picture of $1"
done
check_clean sweep
exit $failed
