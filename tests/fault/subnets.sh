#!/bin/bash
# Two hosts with two links, each a network of its own, and a kernel that drops what comes with a source that it would
# not answer by the same link: a device of one network reaches one of the other, as with NCCL's own transport, and
# where rules by source give each device its way it takes that.
# Usage: subnets.sh LINA_CHECK PLUGIN
set -u
check=$1
plugin=$2
a=lsub$(tr 0-9 a-j <<<$$)
b=${a}peer
work=$(mktemp -d)
trap 'ip netns del $a 2>/dev/null; ip netns del $b 2>/dev/null; rm -rf "$work"' EXIT
unset "${!LINA_@}" "${!NCCL_@}"

skip() {
	echo "skipped: $*"
	exit 77
}

on() { # on HOST COMMAND...
	ip netns exec "$@"
}

command -v ip >/dev/null || skip 'no ip (iproute2)'
ip netns add $a 2>/dev/null && ip netns add $b && ip link add l0 netns $a type veth peer name l0 netns $b 2>/dev/null ||
	skip 'no network namespaces'
ip link add l1 netns $a type veth peer name l1 netns $b
for i in 0 1; do
	ip -n $a addr add 10.77.$i.1/24 dev l$i
	ip -n $b addr add 10.77.$i.2/24 dev l$i
	ip -n $a link set l$i up
	ip -n $b link set l$i up
done
for host in $a $b; do
	on $host sh -c 'for f in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 1 >$f; done'
	for _ in $(seq 50); do
		[ "$(ip -n $host -br link show up | grep -c 'l[01].* UP ')" = 2 ] && break
		sleep 0.1
	done
done

# connect IFACE PEER_IFACE: data goes both ways between the devices.
connect() {
	local handle
	LINA_IFNAME=$2 on $b "$check" --plugin "$plugin" --listen >"$work/listens" 2>&1 &
	for _ in $(seq 100); do
		handle=$(sed -n 's/.*--connect //p' "$work/listens")
		[ -z "$handle" ] || break
		sleep 0.1
	done
	LINA_IFNAME=$1 LINA_CONNECT_TIMEOUT_MS=4000 on $a "$check" --plugin "$plugin" --connect "$handle" >"$work/out" 2>&1
	if ! grep -q '^ok *connection *data went both ways' "$work/out"; then
		echo "FAILED: from $1 to $2:"
		cat "$work/out" "$work/listens"
		exit 1
	fi
	wait
}

sent() { # sent IFACE: bytes
	on $a cat /sys/class/net/$1/statistics/tx_bytes
}

connect l0 l1 # and back, from l1 to l0

# To an address behind both networks the kernel knows one way, and the rule another.
ip -n $b addr add 10.78.0.2/32 dev l0
ip -n $b route add 10.77.0.1/32 dev l0
ip -n $a route add 10.78.0.0/24 via 10.77.1.2
ip -n $a rule add from 10.77.0.1 table 100
ip -n $a route add 10.78.0.0/24 via 10.77.0.2 table 100
ip -n $b addr del 10.77.0.2/24 dev l0
ip -n $b addr add 10.77.0.2/24 dev l0
before=$(sent l0)
connect l0 l0
moved=$(($(sent l0) - before))
[ $moved -gt 65536 ] || { echo "FAILED: $moved bytes went by the way of the rule"; exit 1; }
