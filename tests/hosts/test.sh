#!/bin/bash
# What the script that makes test hosts promises. Usage: test.sh HOSTS
set -u
hosts=$1
a=ltest$(tr 0-9 a-j <<<$$)
b=${a}other
failures=0
trap '"$hosts" down "$a"; "$hosts" down "$b"' EXIT

fail() {
	echo "FAILED: $*"
	failures=$((failures + 1))
}

expect() { # expect STATUS ARGS...
	local want=$1
	shift
	"$hosts" "$@"
	local status=$?
	[ $status -eq "$want" ] || fail "status $status, not $want: hosts $*"
}

count() { # count PREFIX: its namespaces
	ip netns list | grep -cE "^$1([0-9]+|sw)\b"
}

# A port that nobody listens on refuses at once, when there is a way to it.
reaches() { # reaches HOST ADDRESS
	timeout 5 ip netns exec "$1" bash -c "exec 3<>/dev/tcp/$2/9" 2>&1 | grep -q 'Connection refused'
}

"$hosts" up "$a" 3 100mbit
status=$?
[ $status -eq 0 ] || exit $status # 77 and its reason included
[ "$(count "$a")" -eq 4 ] || fail "up 3 made $(count "$a") namespaces, not 4"
for i in 0 1 2; do
	for j in 1 2 3; do
		reaches "$a$i" 10.99.0.$j || fail "$a$i does not reach 10.99.0.$j"
		[ ! -e /proc/net/if_inet6 ] || reaches "$a$i" fd00:99::$j || fail "$a$i does not reach fd00:99::$j"
	done
	tc -n "$a$i" qdisc show dev eth0 | grep -q 'tbf.*rate 100Mbit' || fail "$a$i sends unshaped"
	tc -n "${a}sw" qdisc show dev v$i | grep -q 'tbf.*rate 100Mbit' || fail "$a$i receives unshaped"
	ip -n "$a$i" -d link show eth0 | grep -q 'gso_max_size 8192 ' || fail "$a$i has segments that take long at 100mbit"
done
reaches "${a}0" 10.99.0.4 && fail "the check of reachability sees a host that is not there"

expect 7 run "$b" 2 none sh -c "ip netns list | grep -q '^${b}1' && exit 7"
[ "$(count "$b")" -eq 0 ] || fail "run left $(count "$b") namespaces"
expect 0 run "$b" 2 1gbit sh -c "ip -n ${b}0 -d link show eth0 | grep -q 'gso_max_size 31250 '"
expect 0 run "$b" 2 5gbit sh -c "ip -n ${b}0 -d link show eth0 | grep -q 'gso_max_size 65536 '"
expect 0 up "$b" 2 none
reaches "${b}1" 10.99.0.3 && fail "two sets are not apart"
tc -n "${b}0" qdisc show dev eth0 | grep -q tbf && fail "'none' is shaped"

ip netns exec "${a}2" sleep 1010 &
expect 0 up "$a" 1 none
[ "$(count "$a")" -eq 2 ] || fail "up again left $(($(count "$a") - 2)) namespaces of the first"
kill -0 $! 2>/dev/null && [ "$(ps -o stat= -p $!)" != Z ] && fail "up again left a process of the first"
wait $! 2>/dev/null
[ "$(count "$b")" -eq 3 ] || fail "another set was touched"
expect 0 down "$a"
expect 0 down "$a"
[ "$(count "$a")" -eq 0 ] || fail "down left $(count "$a") namespaces"

expect 64 up x1 2 none
expect 64 up 'x y' 2 none
expect 64 up "$a" 0 none
expect 64 up "$a" 65 none
expect 64 up "$a" 2 fast
expect 64 up "$a" 2 1gb
if command -v setpriv >/dev/null; then
	# From standard input: the script may lie where only root may look.
	setpriv --reuid 65534 --clear-groups sh -s up "$a" 2 none <"$hosts"
	[ $? -eq 77 ] || fail "status is not 77 without root"
fi

[ $failures -eq 0 ] && echo "test hosts: all as promised"
exit $((failures != 0))
