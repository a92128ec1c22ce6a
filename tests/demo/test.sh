#!/bin/sh
# perf/demo ends cleanly: when it is done, on Ctrl-C at a terminal, and on TERM, at several moments, it leaves no
# process, no network namespace and no file behind.
# Usage: test.sh SOURCE-DIR    with the dev preset built
set -u

cd "$1" || exit 1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap '' PIPE
export TMPDIR="$work/tmp"
mkdir "$TMPDIR"
failed=0

if ! [ -x build/perf/moe_step-2.29.7 ]; then
	echo "skip: build/perf/moe_step-2.29.7 is not built: NCCL 2.29.7 could not be had"
	exit 77
fi
tests/hosts/hosts run linatry 2 none true || exit $?

complain() {
	echo "FAILED: $*"
	failed=1
}

# Looks for what a demo may have left. Its ranks have the scratch folder in their command lines.
check_clean() { # check_clean WHEN
	left=$(ip netns list | grep '^linademo')
	[ -z "$left" ] || complain "$1: namespaces are left: $left"
	left=$(pgrep -f "$work/out")
	[ -z "$left" ] || complain "$1: processes are left: $left"
	left=$(find "$TMPDIR" -mindepth 1 ! -name '*.lock')
	[ -z "$left" ] || complain "$1: files are left: $left"
}

demo="perf/demo --no-build --nets Socket --output $work/out"

# wait_for PATTERN: until the demo has said it, at most 30 s.
wait_for() {
	i=0
	until grep -q "$1" "$work/log"; do
		i=$((i + 1))
		if [ $i -gt 300 ]; then
			complain "the demo did not come to '$1':"
			cat "$work/log"
			return
		fi
		sleep 0.1
	done
}

# A terminal, with Ctrl-C typed (a shell starts background commands with INT ignored) once the demo has said PATTERN.
interrupt() { # interrupt PATTERN
	: >"$work/log"
	mkfifo "$work/keys"
	script -qefc "env --default-signal=INT $demo --repeats 10000" /dev/null <"$work/keys" >"$work/log" 2>&1 &
	pid=$!
	exec 8>"$work/keys"
	wait_for "$1"
	printf '\003' >&8
	wait $pid
	status=$?
	exec 8>&-
	rm "$work/keys"
	[ $status -eq 130 ] || complain "Ctrl-C at '$1': status $status, not 130"
	check_clean "Ctrl-C at '$1'"
}

terminate() { # terminate PATTERN
	$demo --repeats 10000 >"$work/log" 2>&1 &
	pid=$!
	wait_for "$1"
	kill -TERM $pid
	wait $pid
	status=$?
	[ $status -eq 143 ] || complain "TERM at '$1': status $status, not 143"
	check_clean "TERM at '$1'"
}

$demo --repeats 1 -- --layers 2 >"$work/log" 2>&1 || complain "the demo itself: $(cat "$work/log")"
grep -q '^Socket .*1\.000' "$work/log" || complain "no table: $(cat "$work/log")"
for file in tsv steps.tsv spans.tsv svg png; do
	[ -s "$work/out/moe_step.$file" ] || complain "no $file"
done
check_clean 'the end'
interrupt '10000 steps on'
interrupt 'step 1 of'
terminate '10000 steps on'
terminate 'step 1 of'
exit $failed
