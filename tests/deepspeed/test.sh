#!/bin/sh
# Unmodified DeepSpeed trains a small mixture of experts over real NCCL and the plugin, and learns what it learns over gloo.
# Usage: test.sh SOURCE-DIR    with the dev preset built
set -u

cd "$1" || exit 1
here=$PWD/tests/deepspeed
nccl=$PWD/build/tests/hostgpu/2.29.7
if ! [ -e "$nccl/libnccl.so.2" ]; then
	echo "skip: $nccl is not built: NCCL 2.29.7 could not be had"
	exit 77
fi
if ! python=$("$here/setup" --python 2>&1); then
	echo "skip: $python"
	exit 77
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

complain() {
	echo "FAILED: $*"
	failed=1
}

# train NAME RANKS OPTION...: its losses and logs in $work/NAME.
train() {
	name=$1 ranks=$2
	shift 2
	mkdir "$work/$name"
	build/tests/launch/lina-launch -n "$ranks" -t 110 -o "$work/$name" -e "LD_LIBRARY_PATH=$nccl" -e NCCL_DEBUG=INFO \
		-e "NCCL_NET_PLUGIN=$PWD/build/plugin/libnccl-net-lina.so" -e NCCL_ALGO=Ring \
		-- "$python" "$here/train.py" --layers 2 --steps 10 --expert-parallel "$ranks" "$@" "$work/$name" >"$work/log" 2>&1 ||
		complain "$name: $(grep -v 'NCCL INFO' "$work/log" | tail -n 20)"
}

# over_plugin NAME RANKS: every rank's NCCL used it, for both kinds of traffic, each in its class.
over_plugin() {
	rank=0
	while [ $rank -lt "$2" ]; do
		log=$work/$1/rank$rank.log
		for said in 'Using network lina' 'sent .*alltoall [^,]*(latency)' 'sent .*allreduce [^,]*(bulk)' \
			'sent .*allgather [^,]*(bulk)'; do
			grep -q "$said" "$log" || complain "$1, rank $rank: no '$said' in NCCL's log: $(grep NET/ "$log" | head -n 20)"
		done
		! grep -q 'Using network Socket' "$log" || complain "$1, rank $rank: NCCL used its sockets"
		rank=$((rank + 1))
	done
}

# compare RANKS BOUND A B
compare() {
	"$python" "$here/compare_losses.py" "$work/$3" "$work/$4" "$1" "$2" || complain "$3 and $4"
}

# Two ranks: a sum of two has one order, so every bit is the same. Four: a ring's sums have another order than gloo's, and
# from the second step on each loss may differ by what rounding makes of that. DeepSpeed's overlap changes no bit.
train gloo2 2 --backend gloo_cpu
train lina2 2
train gloo4 4 --backend gloo_cpu
train lina4 4
[ $failed -eq 0 ] || exit 1
over_plugin lina2 2
over_plugin lina4 4
compare 2 0 gloo2/losses.on lina2/losses.on
compare 2 0 gloo2/losses.on lina2/losses.off
compare 4 1e-4 gloo4/losses.on lina4/losses.on
compare 4 0 lina4/losses.on lina4/losses.off
exit $failed
