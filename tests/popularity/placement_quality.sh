#!/bin/sh
# Balance (max / mean load of the devices, mean over the layers) of the uniform layout and of EPLB on real loads is what an
# independent program found, on fresh loads.
# Usage: placement_quality.sh LINA_PLAN TRACES
set -eu

plan=$1
traces=$2
if [ ! -d "$traces/esft" ]; then
	echo "skipped: no traces in $traces"
	exit 77
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

# expect DEVICES METHOD SLOTS BALANCE RECORDS...
expect() {
	devices=$1 method=$2 slots=$3 balance=$4
	shift 4
	"$plan" place --method "$method" --devices "$devices" --slots "$slots" "$@" --output "$work/table" >/dev/null
	found=$("$plan" evaluate "$work/table" "$@" | awk '$1 == "all" { print $2 }')
	if [ "$found" != "$balance" ]; then
		echo "$method, $devices devices of $slots slots, $*: $found, not $balance"
		failed=1
	fi
}

# task TASK UNIFORM8 EPLB8 UNIFORM32 EPLB32: 64 experts; EPLB with as many spare slots as devices
task() {
	set -- "$@" --counts "$traces/esft/deepseek-v2-lite.expert_scores.csv" --only "task=$1"
	uniform8=$2 eplb8=$3 uniform32=$4 eplb32=$5
	shift 5
	expect 8 uniform 8 "$uniform8" "$@"
	expect 8 eplb 9 "$eplb8" "$@"
	expect 32 uniform 2 "$uniform32" "$@"
	expect 32 eplb 3 "$eplb32" "$@"
}
task intent 1.441 1.008 2.451 1.074
task law 1.385 1.010 2.348 1.040
task summary 1.404 1.009 2.677 1.053
task translation 1.693 1.004 3.537 1.073
for domain in 'c4 1.161 1.011' 'wikipedia 1.656 1.007' 'book 1.423 1.015' 'github 1.565 1.008' 'arxiv 1.661 1.007'; do
	set -- $domain
	expect 8 uniform 8 "$2" --counts "$traces/olmoe/olmoe.expert_counts.$1.csv"
	expect 8 eplb 9 "$3" --counts "$traces/olmoe/olmoe.expert_counts.$1.csv"
done
exit $failed
