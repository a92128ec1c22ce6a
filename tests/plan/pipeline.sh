#!/bin/sh
# lina-plan pipeline and pack, as users call them: published degrees, models from a table of measurements, packing with its
# table, and what is said of mistakes.
# Usage: pipeline.sh LINA_PLAN
set -eu

plan=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

expect() {
	if ! diff -u "$work/expected" "$work/got"; then
		echo "$1: not as expected"
		failed=1
	fi
}

# PipeMoE's constants for 16 ranks, its first row.
"$plan" pipeline --a2a 5.7e-4,2.96e-10 --gemm 1.5e-4,3.73e-14 --per-madd 4 -B 8 -L 1024 -M 4096 -H 4096 >"$work/all"
head -n 1 "$work/all" >"$work/got"
echo 'PipeMoE forward    degree  3      162.33 ms  (1: 242.38 ms, 1.49x)' >"$work/expected"
expect 'PipeMoE forward'
grep -q '^PipeMoE backward   degree 16 ' "$work/all" || { cat "$work/all"; failed=1; }

# A table as perf/bench_coll writes it, of two networks: 100 us and 1 ns a byte on one of them.
{
	echo '# a title'
	printf 'op\tbytes\tnet\titers\trounds\tp10_us\tp50_us\tp90_us\n'
	for bytes in 1000 100000 1000000; do
		printf 'alltoall\t%d\tSocket\t1\t1\t0\t%d\t0\n' "$bytes" $((500 + bytes / 500))
		printf 'alltoall\t%d\tlina\t1\t1\t0\t%d\t0\n' "$bytes" $((100 + bytes / 1000))
		printf 'allreduce\t%d\tlina\t1\t1\t0\t7\t0\n' "$bytes"
	done
} >"$work/coll.tsv"
(cd "$work" && "$plan" pipeline --a2a coll.tsv --net lina --gemm 1e-5,1e-14) | head -n 1 >"$work/got"
echo '--a2a: alpha 100 us, beta 1000 ns/KB, r2 1.0000: 3 sizes of alltoall on lina' >"$work/expected"
expect 'a table of measurements'

# FSMoE: what is free takes gradients; both partitions account for all of them.
"$plan" pipeline --a2a 1.75e-4,3.06e-10 --gemm 9.24e-5,4.42e-14 --allgather 3.2e-5,1.68e-10 \
	--reduce-scatter 3.91e-5,1.67e-10 --allreduce 8.37e-5,5.99e-10 -B 4 -L 512 -M 2048 -H 8192 --node-devices 4 \
	--gradient 50e6 --layers 12 >"$work/all"
awk '/ partition/ { n++; if ($8 != "backward:" || $9 + $15 < 599.8 || $9 + $15 > 600.2) bad = 1; time[n] = $3 }
	END { exit bad || n != 2 || time[1] > time[2] }' "$work/all" || { cat "$work/all"; failed=1; }

# What costs nothing is as fast in any number of parts.
"$plan" pipeline --a2a 0,0 --gemm 0,0 --allgather 0,0 --reduce-scatter 0,0 >"$work/all"
grep ' degree ' "$work/all" >"$work/got"
for model in PipeMoE FSMoE; do
	printf '%-18s degree  1        0.00 ms  (1: 0.00 ms, 1.00x)\n' "$model forward" "$model backward"
done >"$work/expected"
expect 'times of 0'

# Packing: a table that holds, with the all-to-all within a node.
"$plan" pack -e 16 -d 16 -n 4 -l 3 --a2a 5e-4,3.2e-10 --local 1e-4,2e-11 --gemm 1e-5,2e-14 -H 4096 -o "$work/table" >"$work/got"
cat >"$work/expected" <<'END'
step  10:   1 on each device: experts 2.478 ms, all-to-all 7.700 ms: double
step  14:   2 on each device: experts 2.498 ms, all-to-all 5.300 ms: double
step  18:   4 on each device: experts 2.538 ms, all-to-all 0.550 ms: enough
4 on each device, all-to-all among 4 devices
END
expect 'pack'
"$plan" check "$work/table" | sed 's,^.*/table,table,' >"$work/got"
echo 'table: good: 3 layers, 16 experts, 16 devices (4 a node), 4 slots each, generation 0' >"$work/expected"
expect 'the table of pack'

refused() {
	echo "lina-plan: $1" >"$work/expected"
	shift
	if (cd "$work" && "$plan" "$@") >"$work/out" 2>"$work/got"; then
		echo "'$*' was not refused"
		failed=1
	fi
	expect "$*"
}
refused "--a2a: expected ALPHA,BETA, two numbers from 0 to 1e+09, not '1,x'" pipeline --a2a 1,x --gemm 1,1
refused "--gemm: expected ALPHA,BETA or a table of measurements, not 'none' (No such file or directory)" \
	pipeline --a2a 1,1 --gemm none
refused '--gemm: coll.tsv: 0 rows of gemm: no line with times that grow with sizes goes through them' \
	pipeline --a2a 1,1 --gemm coll.tsv
sed 's/alltoall\t1000\tSocket/alltoall\tmany\tSocket/' "$work/coll.tsv" >"$work/bad.tsv"
refused "bad.tsv:3: expected a size, not 'many'" pipeline --a2a bad.tsv --gemm 1,1
echo 'none of this' >"$work/bad.tsv"
refused "bad.tsv:1: expected a line of columns with op, bytes, net and p50_us, not 'none of this'" \
	pipeline --a2a bad.tsv --gemm 1,1
refused "--a2a: expected ALPHA,BETA, two numbers from 0 to 1e+09, not '1,1e300'" pipeline --a2a 1,1e300 --gemm 1,1
sed 's/alltoall\t1000\tSocket/alltoall\t1e300\tSocket/' "$work/coll.tsv" >"$work/bad.tsv"
refused "bad.tsv:3: expected a size, not '1e300'" pipeline --a2a bad.tsv --gemm 1,1
refused '6 experts on 4 devices: one number must divide the other' pack -e 6 -d 4 --a2a 1,1 --gemm 1,1
exit $failed
