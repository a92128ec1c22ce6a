#!/bin/sh
# lina-plan place and check, as a user runs them.
# Usage: place.sh LINA_PLAN
set -eu

plan=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

fail() {
	echo "$*"
	exit 1
}

# refused TEXT ARGUMENT...: lina-plan place ARGUMENT... fails, says TEXT, and leaves no table.
refused() {
	said=$1
	shift
	if "$plan" place --counts counts.csv "$@" -o none >out 2>&1; then fail "not refused: $*"; fi
	grep -qF -- "$said" out || { cat out; fail "does not say '$said': $*"; }
	[ ! -e none ] || fail "left a table: $*"
}

echo layer,expert,count >counts.csv
for layer in 0 1; do
	for expert in 0 1 2 3 4 5 6 7; do echo "$layer,$expert,$((100 / (1 + expert + layer)))"; done
done >>counts.csv

for method in uniform eplb lina hecate best; do
	"$plan" place -m $method --counts counts.csv --devices 4 --nodes 2 --slots 3 -o $method >out
	grep -q "^method  *$method\$" out && grep -q '^load max/mean' out && grep -q '^lower bound' out ||
		{ cat out; fail "$method: a line is missing"; }
	"$plan" check -q $method
done

# The table alone on standard output; the links from a text.
"$plan" place --counts counts.csv --topology '2 nodes, 2 gpus, nvlink 300 GB/s, 2 nics 50 GB/s' --slots 3 -o - 2>report >table
"$plan" check table >out
grep -q '2 layers, 8 experts, 4 devices (2 a node), 3 slots each' out || { cat out; fail 'not the shape asked for'; }
grep -q '^lower bound' report || fail 'no report beside the table'

# From one command to the next, and what is wrong with it.
"$plan" place --counts counts.csv --devices 4 -o - 2>report | "$plan" check - >out || { cat out; fail 'a table from a pipe'; }
grep -q '^-: good: 2 layers' out || { cat out; fail 'not the table of the pipe'; }
if echo rubbish | "$plan" check - >out 2>&1; then fail 'rubbish from a pipe'; fi
grep -qF -- "-:1:1: expected 'lina-placement'" out || { cat out; fail 'rubbish from a pipe'; }

# A pipe, or a device such as /dev/null, is written into; a file in its place would take it from the whole machine.
mkfifo pipe
cat pipe >through &
"$plan" place --counts counts.csv --devices 4 --nodes 2 --slots 3 -o pipe >out
wait
[ -p pipe ] || fail 'a file stands where the pipe was'
cmp through best || fail 'another table came through the pipe'

# From where experts are: no more copies than allowed, and the next generation.
sed 's/100/10/;s/,0,/,7,/' counts.csv >later.csv
"$plan" place --counts later.csv --devices 4 --nodes 2 --slots 3 --current best --moves 0 -o next >out
grep -q '^copies  *0$' out || { cat out; fail 'copies that were not allowed'; }
grep -q '^generation 1$' next || fail 'not the next generation'
sed 's/^generation 0$/generation 18446744073709551615/' best >last
sed 's/^generation 0$/generation 18446744073709551614/' best >last-but-one

refused "must be one of uniform" -m fastest --devices 4
refused "do not divide 5 devices evenly" --devices 5 --nodes 2
refused "do not hold 8 experts" --devices 2 --slots 3
refused "do not divide 8 experts evenly" --devices 2 --groups 3
refused "must be a number from 1 to" --devices many
refused "how many devices?"
refused "only the method best" -m eplb --devices 4 --slots 3 --current best --moves 1
refused "wanted are 2, 8, 8" --devices 8 --current best
refused "last: generation 18446744073709551615 is the last there is" --devices 4 --slots 3 --current last
"$plan" place --counts later.csv --devices 4 --nodes 2 --slots 3 --current last-but-one -o next >out
grep -q '^generation 18446744073709551615$' next || fail 'not the last generation'
{
	echo layer0,layer1
	for expert in 0 1 2 3; do echo "$expert,$((3 - expert))"; done
} >paths.csv
if "$plan" place -m moetuner --counts paths.csv --devices 2 -o moetuner >out 2>&1; then
	refused "moetuner: 8 experts are too few for 16 devices" -m moetuner -c paths.csv --devices 16
else
	grep -q 'built without CBC' out || { cat out; fail 'moetuner'; }
fi
long=$(printf '%070d' 0)
printf '# links\n2 nodes, 2 bananas\n' >$long
refused "$long:2:12: expected 'nodes'" --topology $long
refused "2 gpus, nvlink 9:1:17: expected a unit" --topology '2 gpus, nvlink 9'
echo rubbish >table
refused "table:1:1: expected 'lina-placement'" --devices 4 --current table
# What could not be said was not done: a disk is full.
for report in 'evaluate best -c counts.csv' 'evaluate best -c counts.csv --json' 'evaluate best -c counts.csv --csv' \
	'check best' 'pack -e 8 -d 4 -a 1e-5,1e-9 -g 1e-6,1e-12' 'pipeline -a 1e-5,1e-9 -g 1e-6,1e-12' \
	'place -c counts.csv --devices 4 -o full' 'profile -c counts.csv' 'export --format eplb eplb' --help; do
	status=0
	"$plan" $report >/dev/full 2>out || status=$?
	[ "$status" -eq 1 ] && grep -q '^lina-plan: stdout: ' out || { cat out; fail "$report: status $status, and nobody got it"; }
done

echo '0,1,x' >>counts.csv
refused "counts.csv:18:5" --devices 4
