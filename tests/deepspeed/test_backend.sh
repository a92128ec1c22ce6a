#!/bin/sh
# PyTorch's process groups over real NCCL and the plugin: see check_backend.py.
# Usage: test_backend.sh SOURCE-DIR    with the dev preset built
set -u

cd "$1" || exit 1
nccl=$PWD/build/tests/hostgpu/2.29.7
if ! [ -e "$nccl/libnccl.so.2" ]; then
	echo "skip: $nccl is not built: NCCL 2.29.7 could not be had"
	exit 77
fi
if ! why=$(/usr/bin/python3 -c 'import torch.distributed' 2>&1); then
	echo "skip: no PyTorch (package python3-torch): $(echo "$why" | tail -n 1)"
	exit 77
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! build/tests/launch/lina-launch -n 4 -t 60 -e "LD_LIBRARY_PATH=$nccl" -e NCCL_DEBUG=INFO -e OMP_NUM_THREADS=1 \
	-e PYTHONDONTWRITEBYTECODE=1 -e "NCCL_NET_PLUGIN=$PWD/build/plugin/libnccl-net-lina.so" \
	-- /usr/bin/python3 tests/deepspeed/check_backend.py >"$log" 2>&1; then
	grep -v 'NCCL INFO' "$log"
	exit 1
fi
[ "$(grep -c 'all right' "$log")" -eq 4 ] || { echo 'FAILED: not every rank came to its end'; exit 1; }
grep -q 'Using network lina' "$log" || { echo 'FAILED: NCCL did not use the plugin'; exit 1; }
echo 'every call of the backend, streams, DistributedDataParallel: right on 4 ranks over the plugin'
