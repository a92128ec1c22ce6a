#!/bin/sh
# Every script that README.md or perf/README.md tells a user to run says how, does nothing else then, and every label of tests/run is in
# README. Usage: help.sh SOURCE-DIR
set -u

cd "$1" || exit 1
failed=0

complain() {
	echo "FAILED: $*"
	failed=1
}

scripts=$(sed -nE 's/^    ((perf|tests)\/[a-z0-9_-]+)( .*)?$/\1/p' README.md perf/README.md | sort -u)
[ "$(echo "$scripts" | wc -l)" -ge 12 ] || complain "only these are named: $scripts"
for script in $scripts tests/setup; do
	said=$("$script" --help </dev/null 2>&1) || complain "$script --help: exit status $?: $said"
	echo "$said" | grep -q '^Usage:' || complain "$script --help does not say how it is used: $said"
done

tested=$(sed -n '/^## How it is tested/,/^## /p' README.md)
for label in $(sed -n "s/^labels='\(.*\)'$/\1/p" tests/run); do
	echo "$tested" | grep -q "\`$label\`" || complain "README does not name label $label of tests/run"
done
exit $failed
