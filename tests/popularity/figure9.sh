#!/bin/sh
# Lina's figure 9 on real transitions: the share of a group's tokens that go to the group's favourites at the next layer
# (and that of all tokens' favourites) is what an independent program found.
# Usage: figure9.sh LINA_PLAN TRACES
set -eu

plan=$1
traces=$2
if [ ! -d "$traces/olmoe" ]; then
	echo "skipped: no traces in $traces"
	exit 77
fi
figures() {
	"$plan" evaluate --groups --counts "$traces/olmoe/$1.expert_counts_crosslayer_top1.$2.csv" |
		sed -E 's/[^0-9.]+/ /g' | awk '{ print $4 "(" $5 ") " $7 "(" $8 ")" }' | tr '\n' ' '
}
expect() {
	found=$(figures "$1" "$2")
	[ "$found" = "$3 " ] || { echo "$1 $2: $found, not $3"; exit 1; }
}
# Layers 0 to 7, then 7 to 15 (Mixtral: 31); top-1, top-2.
expect olmoe c4 '0.133(0.052) 0.211(0.091) 0.236(0.059) 0.352(0.107)'
expect olmoe wikipedia '0.534(0.519) 0.606(0.560) 0.431(0.326) 0.574(0.479)'
expect olmoe book '0.191(0.109) 0.305(0.218) 0.274(0.066) 0.400(0.131)'
expect olmoe github '0.355(0.238) 0.565(0.471) 0.329(0.217) 0.496(0.378)'
expect olmoe arxiv '0.283(0.185) 0.460(0.358) 0.613(0.573) 0.808(0.711)'
expect mistral c4 '0.213(0.146) 0.363(0.292) 0.239(0.151) 0.423(0.295)'
expect mistral arxiv '0.201(0.144) 0.366(0.283) 0.294(0.176) 0.458(0.339)'
echo '7 traces agree'
