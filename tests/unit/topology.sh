#!/bin/sh
# What lina-plan understands of saved machines is what is expected, and stays so when hwloc's are exported and read again.
# Usage: topology.sh LINA_PLAN DATA_DIR
set -eu

plan=$1
data=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
n=0

same() {
	if ! diff -u "$1" "$2"; then
		echo "$3: not as expected"
		failed=1
	fi
}

for xml in "$data"/*.xml; do
	"$plan" topology "$xml" >"$work/got"
	same "${xml%.xml}.expected" "$work/got" "$xml"
	n=$((n + 1))
done
for xml in "$data"/hwloc-*.xml; do
	"$plan" topology "$xml" --export "$work/again.xml"
	"$plan" topology "$work/again.xml" >"$work/got"
	same "${xml%.xml}.expected" "$work/got" "$xml exported"
done
[ "$n" -ge 7 ] || { echo "only $n machines in $data"; failed=1; }

# Several nodes alike; a machine without GPUs; mistakes have a place; what hwloc did not read it does not write.
"$plan" topology --nodes 3 "$data/nccl-dgx-a100.xml" | head -n 1 >"$work/got"
echo '3 nodes, 24 gpus, 24 nics, 8 rails' >"$work/expected"
same "$work/expected" "$work/got" '--nodes'
"$plan" topology 'hwloc:numa:2 core:4 pu:1' | head -n 1 >"$work/got"
echo '1 node, 2 gpus, 0 nics, 0 rails' >"$work/expected"
same "$work/expected" "$work/got" 'hwloc:'

refused() {
	expected=$1
	shift
	if "$plan" topology "$@" >"$work/out" 2>"$work/got"; then
		echo "'$*' was not refused"
		failed=1
	fi
	echo "lina-plan: $expected" >"$work/expected"
	same "$work/expected" "$work/got" "$*"
}
refused "2 gpus, nvlink fast:1:16: expected a bandwidth, as in '50 GB/s', not 'fast'" '2 gpus, nvlink fast'
printf '<system>\n<cpu>\n <pci/>\n</cpu></system>' >"$work/bad.xml"
(cd "$work" && refused 'bad.xml:3:2: expected <pci> to have a busid' bad.xml && exit $failed) || failed=1
refused "$(printf '%.60s' '2 gpus, nvlink 1 GB/s'): only what hwloc has read can be exported as its XML" \
	'2 gpus, nvlink 1 GB/s' --export "$work/none"
[ ! -e "$work/none" ] || failed=1
exit $failed
