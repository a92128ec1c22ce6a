#!/bin/sh
# perf/nccl-tests with the real tests, on NCCL without GPUs: every collective over the plugin, and two at once.
# Usage: LINA_NCCL_TESTS=DIR nccl_tests_real.sh SOURCE-DIR    with the dev preset built; DIR as perf/nccl-tests wants it,
#        the tests linked with the shared CUDA runtime
set -u

cd "$1" || exit 1
if [ -z "${LINA_NCCL_TESTS-}" ]; then
	echo "skip: LINA_NCCL_TESTS does not name a folder of nccl-tests' binaries (nvcc -cudart shared)"
	exit 77
fi
if ! [ -e build/tests/hostgpu/2.29.7/libnccl.so.2 ]; then
	echo 'skip: NCCL 2.29.7 could not be had'
	exit 77
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
printf '0 65536\n131072 0\n' >"$work/matrix"
perf/nccl-tests "$LINA_NCCL_TESTS" --on-hostgpu --launcher none --gpus 2 --sizes 64K:256K --mix 256K:4M --rounds 1 --iters 5 \
	--timeout 60 --matrix "$work/matrix" --output "$work/out" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
cat "$work/log"
for file in "$LINA_NCCL_TESTS"/*_perf; do
	collective=$(basename "$file" _perf)
	case $collective in all_reduce | all_gather | reduce_scatter | alltoall | alltoallv | sendrecv) ;; *) continue ;; esac
	awk -v collective="$collective" '$1 == "alone" && $2 == collective && $4 == "lina" && $5 > 0 { n++ } END { exit !n }' \
		"$work/out/nccl-tests.tsv" || { echo "FAILED: nothing of $collective over the plugin"; exit 1; }
done
