#!/bin/sh
# Creates the two machines of topology.yaml: network namespaces, each with an
# interface eth0 whose other end is a port of br-int.
#
#   machines.sh up    create them
#   machines.sh down  remove them
set -eu

machine() { # name VLAN MAC address gateway
	ip netns add "$1"
	ip link add "$1" type veth peer name eth0 netns "$1" address "$3"
	ip link set dev "$1" up
	ip -n "$1" address add "$4" dev eth0
	ip -n "$1" link set dev eth0 up
	ip -n "$1" route add default via "$5"
	# Open vSwitch's userspace datapath does not complete checksums.
	ip netns exec "$1" ethtool -K eth0 tx off >/dev/null
	ovs-vsctl add-port br-int "$1" tag="$2"
}

case ${1:-} in
up)
	machine vm1 1 02:00:00:00:01:10 10.0.1.10/24 10.0.1.1
	machine vm2 2 02:00:00:00:02:10 10.0.2.10/24 10.0.2.1
	;;
down)
	for name in vm1 vm2; do
		ovs-vsctl --if-exists del-port br-int $name
		ip netns delete $name # also deletes eth0 and its other end
	done
	;;
*)
	echo "usage: $0 up|down" >&2
	exit 2
	;;
esac
