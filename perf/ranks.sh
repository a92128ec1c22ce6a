# Read by the scripts beside it: sets up, builds, runs ranks on test hosts or on loopback, shows their output.
# Sourced in the repository's root, with $name set to the program's name.

per_host=1 # ranks on one test host, in a row
work=
child=
filter=

say() { echo "$name: $*" >&2; }

fail() {
	say "$*"
	exit 1
}

usage_error() {
	say "$*; see $name --help"
	exit 64
}

# number OPTION TEXT LEAST MOST
number() {
	case $2 in
	'' | *[!0-9]* | ?????????*) usage_error "$1: '$2' is not a number from $3 to $4" ;;
	esac
	{ [ "$2" -ge "$3" ] && [ "$2" -le "$4" ]; } || usage_error "$1: $2 is not from $3 to $4"
}

# Ends the ranks, which take their hosts with them, and waits until they are gone.
stop() {
	trap '' INT TERM HUP
	[ -z "$child" ] || kill -TERM "$child" 2>/dev/null || true
	[ -z "$child" ] || wait "$child" || true
	[ -z "$filter" ] || wait "$filter" || true
	say 'stopped'
	exit "$1"
}

start() {
	work=$(mktemp -d)
	trap 'rm -rf "$work"' EXIT
	trap 'stop 130' INT
	trap 'stop 143' TERM
	trap 'stop 129' HUP
	mkfifo "$work/out"
}

# prepare RELEASE TARGET...: installs what is missing, builds the plugin and these targets.
prepare() {
	release=$1
	shift
	status=0
	tests/setup --without-deepspeed >"$work/log" 2>&1 || status=$?
	cat "$work/log" >&2
	[ $status -ne 1 ] || exit 1
	say "building"
	cmake --preset dev >"$work/log" 2>&1 || { cat "$work/log" >&2; fail 'cmake failed'; }
	grep -q "hostgpu: NCCL .*$release" "$work/log" ||
		fail "NCCL $release is not there: run tests/hostgpu/fetch $release, which says why"
	cmake --build --preset dev -j "$(nproc)" --target nccl-net-lina lina-launch "$@" >"$work/log" 2>&1 ||
		{ tail -n 60 "$work/log" >&2; fail 'the build failed'; }
}

# Output of the ranks: progress of rank 0 on one line of a terminal, else line by line; what other ranks say is an error.
show() {
	while IFS= read -r line; do
		case $line in
		'[0] progress: '*)
			if [ -t 1 ]; then
				printf '\r\033[K%s' "${line#'[0] progress: '}"
			else
				printf '%s\n' "${line#'[0] progress: '}"
			fi
			continue
			;;
		esac
		[ ! -t 1 ] || printf '\r\033[K'
		case $line in
		'[0] '*) printf '%s\n' "${line#'[0] '}" ;;
		*) printf '%s\n' "$line" >&2 ;;
		esac
	done
}

# run_ranks PREFIX N RATE TIMEOUT PROGRAM ARG...: RATE in Mbit/s, 0 for hosts without limit, loopback for no hosts,
# rdma:RATE for those of the guest with Soft-RoCE devices.
# Every process that this starts is gone when it returns, and so are the hosts. The network 'fifo' of the rank programs
# (perf/job.h) needs its rule in LINA_CLASSES.
run_ranks() {
	prefix=$1 ranks=$2 rate=$3 timeout=$4
	shift 4
	case $rate in
	rdma:*) set -- tests/rdma/rank "$@" ;;
	esac
	set -- --ranks "$ranks" --timeout "$timeout" \
		--env "LINA_CLASSES=traffic:1=latency${LINA_CLASSES:+,$LINA_CLASSES}" \
		--env "NCCL_NET_PLUGIN=$PWD/build/plugin/libnccl-net-lina.so" -- "$@"
	case $rate in
	loopback) set -- build/tests/launch/lina-launch "$@" ;;
	rdma:*)
		set -- tests/rdma/guest -n "$ranks" -m 4096 -s "${rate#rdma:}mbit" -t "$timeout" \
			build/tests/launch/lina-launch --hosts h "$@"
		;;
	*)
		[ "$rate" = 0 ] && tc_rate=none || tc_rate=${rate}mbit
		set -- tests/hosts/hosts run "$prefix" $(((ranks + per_host - 1) / per_host)) "$tc_rate" \
			build/tests/launch/lina-launch --hosts "$prefix" --per-host "$per_host" "$@"
		;;
	esac
	# One set of hosts of a name at a time, which are of one user, root. The children hold the lock too, as long as they live.
	exec 9>"${TMPDIR:-/tmp}/$prefix.$(id -u).lock"
	flock -n 9 || fail "another run has the hosts '$prefix'; wait for its end"
	show <"$work/out" &
	filter=$!
	"$@" >"$work/out" 2>&1 &
	child=$!
	status=0
	wait "$child" || status=$?
	wait "$filter" || true
	child= filter=
	return $status
}
