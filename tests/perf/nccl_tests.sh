#!/bin/sh
# perf/nccl-tests: reads what the tests print, in turns over both transports, and makes the table that it says; with
# stand-ins that print as nccl-tests 2.19.6 do. What goes wrong is said and is its exit status.
# Usage: nccl_tests.sh SOURCE-DIR
set -u

cd "$1" || exit 1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export TMPDIR="$work/tmp"
mkdir "$TMPDIR" "$work/bin"
failed=0

complain() {
	echo "FAILED: $*"
	failed=1
}

# stand_in NAME COMMAND: takes nccl-tests' options; COMMAND may change $us, the time of 1 MiB, and $wrong.
stand_in() {
	cat >"$work/bin/$1_perf" <<-END
		#!/bin/sh
		while [ \$# -gt 0 ]; do
			case \$1 in -b) first=\$2 ;; -e) last=\$2 ;; -N) cycles=\$2 ;; -c) check=\$2 ;; esac
			shift
		done
		echo "\$NCCL_NET_PLUGIN \${NCCL_NET-} \${NCCL_P2P_DISABLE-}" >>"$work/networks.$1"
		us=1000 wrong=0 busy=false
		[ "\${NCCL_NET-}" != lina ] || us=500
		[ ! -e "$work/bulk" ] || busy=true
		$2
		[ "\$check" = 1 ] || wrong=N/A
		[ "\${cycles-1}" != 0 ] || { trap 'rm -f "$work/bulk"; exit 1' TERM; touch "$work/bulk"; }
		echo '# nccl-tests version 2.19.6 nccl-headers=22203 nccl-library=22907'
		echo '#       size         count      type   redop    root     time   algbw   busbw  #wrong     time   algbw   busbw  #wrong '
		echo '#        (B)    (elements)                               (us)  (GB/s)  (GB/s)             (us)  (GB/s)  (GB/s)         '
		size=\$((\${first%M} * 1048576))
		while :; do
			printf '%12d  %12d  %8s  %6s  %6d  %7.2f  %6.2f  %6.2f  %6s  %7.2f  %6.2f  %6.2f  %6s\n' \
				\$size \$((size / 4)) float sum -1 \$us 1.05 1.57 \$wrong \$us 1.05 1.57 N/A
			[ "\${cycles-1}" != 0 ] || { sleep 0.1; continue; }
			size=\$((size * 4)) us=\$((us * 4))
			[ \$size -le \$((\${last%M} * 1048576)) ] || break
		done
		echo '# Out of bounds values : 0 OK'
		echo '# Avg bus bandwidth    : 1.57 '
	END
	chmod +x "$work/bin/$1_perf"
}

run() { # run STATUS OPTION...
	want=$1
	shift
	perf/nccl-tests "$work/bin" --launcher none --gpus 2 --one-node --sizes 1M:4M --mix 1M:4M --output "$work/out" "$@" \
		>"$work/log" 2>&1
	status=$?
	[ $status -eq "$want" ] || complain "status $status, not $want, of $*: $(cat "$work/log")"
	[ -z "$(ls "$TMPDIR")" ] || complain "left in TMPDIR: $(ls "$TMPDIR")"
}

says() { # says PATTERN
	grep -qE "$1" "$work/log" || complain "no '$1': $(cat "$work/log")"
}

# Half the time with the plugin; beside an allreduce 3 times as long without it and 1.2 times with it.
stand_in all_reduce ''
# shellcheck disable=SC2016 # the stand-in expands it
stand_in alltoall '$busy && case $us in 1000) us=3000 ;; 500) us=600 ;; esac; sleep 0.3'
run 0 --collectives all_reduce,alltoall,sendrecv --rounds 2 --plugin /some/libnccl-net-lina.so
says '^all_reduce +1048576 +1000.00 +1.57 +500.00 +1.57 +2.00$'
says '^all_reduce +4194304 +4000.00 +1.57 +2000.00 +1.57 +2.00$'
says '^alltoall +1048576 +1000.00 +1.57 +500.00 +1.57 +2.00$'
says "all-to-all of 1M with NCCL's own: alone 1000.00 us, under an allreduce of 4M 3000.00 us: 3.00 times as long"
says 'all-to-all of 1M with the plugin: alone 500.00 us, under an allreduce of 4M 600.00 us: 1.20 times as long'
says 'left out: .* has no sendrecv_perf'
[ "$(awk '$1 == "alone" && $2 == "all_reduce"' "$work/out/nccl-tests.samples.tsv" | wc -l)" -eq 8 ] ||
	complain "samples: $(cat "$work/out/nccl-tests.samples.tsv")"
[ "$(sort -u "$work/networks.alltoall")" = "/some/libnccl-net-lina.so lina 1
none  1" ] || complain "networks: $(sort "$work/networks.alltoall")"
[ ! -e "$work/bulk" ] || complain 'the allreduce was not ended'
! command -v gnuplot >/dev/null || [ -s "$work/out/nccl-tests.png" ] || complain 'no picture'

# launcher NAME: a stand-in that keeps its command line and runs the program once; its own options come first.
launcher() {
	cat >"$work/path/$1" <<-END
		#!/bin/sh
		[ "\$1" != --version ] || { echo "mpirun (Open MPI) 4.1.4"; exit 0; }
		echo "\$*" >>"$work/launched.$1"
		while [ ! -x "\$1" ]; do shift; done
		exec "\$@"
	END
	chmod +x "$work/path/$1"
}

# Under mpirun each variable is named, since it forwards none by itself; srun is told to forward all. What follows -- goes to them.
mkdir "$work/path"
launcher mpirun
launcher srun
PATH="$work/path:$PATH"
printf '0 65536\n131072 0\n' >"$work/matrix"
stand_in alltoallv ''
run 0 --launcher mpirun --ranks 4 --gpus 1 --collectives alltoallv --matrix "$work/matrix" --rounds 1 --mix 0 --plugin lina -- --hostfile some
options="-n 4 -x NCCL_NET_PLUGIN"
more="-x NCCL_P2P_DISABLE -x NCCL_SHM_DISABLE -x NCCL_TESTS_ALLTOALLV_MATRIX_FILE --hostfile some $work/bin/alltoallv_perf \
-g 1 -b 1048576 -e 1048576 -f 4 -n 20 -w 2 -c 1"
[ "$(cat "$work/launched.mpirun")" = "$options $more
$options -x NCCL_NET $more" ] || complain "mpirun: $(cat "$work/launched.mpirun")"
run 0 --launcher srun --ranks 4 --gpus 1 --collectives alltoall --rounds 1 --mix 0 -- --mpi=pmix
[ "$(sort -u "$work/launched.srun")" = \
	"-n 4 --export=ALL --mpi=pmix $work/bin/alltoall_perf -g 1 -b 1M -e 4M -f 4 -n 20 -w 2 -c 1" ] ||
	complain "srun: $(cat "$work/launched.srun")"

# A wrong result, a test that fails, an allreduce that ends too soon.
# shellcheck disable=SC2016
stand_in alltoall '[ $us = 1000 ] || wrong=7'
run 1 --collectives alltoall --rounds 1 --mix 0
says 'alltoall on lina failed'
stand_in alltoall 'echo "vm: Test NCCL failure common.cu:1 unhandled system error"; exit 3'
run 1 --collectives alltoall --rounds 1 --mix 0
says 'unhandled system error'
stand_in alltoall ''
# shellcheck disable=SC2016
stand_in all_reduce '[ "${cycles-1}" != 0 ] || exit 2'
run 1 --collectives alltoall --rounds 1
says 'all_reduce beside alltoall on own failed'
run 64 --collectives alltoall,alltonone
run 64 --sizes 1M
run 64 --launcher ssh
exit $failed
