#!/bin/sh
# Creates the routing bridge br-router and connects it to br-int.
#
#   bridge.sh up    create it
#   bridge.sh down  remove it
set -eu

if [ "${1:-}" = down ]; then
	ovs-vsctl --if-exists del-br br-router \
		-- --if-exists del-port br-int int-blue \
		-- --if-exists del-port br-int int-green
	exit 0
elif [ "${1:-}" != up ]; then
	echo "usage: $0 up|down" >&2
	exit 2
fi

# Patch ports connect only bridges of the same datapath type.
type=$(ovs-vsctl get Bridge br-int datapath_type)

# All in one transaction. The settings:
# fail_mode=secure   without it, a bridge without a controller becomes an
#                    ordinary switch and connects the two networks
# disable-in-band    without it, Open vSwitch adds its own flows to reach the controller
# protocols          ofdvr uses OpenFlow 1.3
# The two networks are the tags of the patch ports on br-int. On br-router
# packets are untagged.
ovs-vsctl \
	-- add-br br-router \
	-- set Bridge br-router fail_mode=secure datapath_type="$type" \
		protocols=OpenFlow13 other_config:disable-in-band=true \
	-- add-port br-router rt-blue \
	-- set Interface rt-blue type=patch options:peer=int-blue \
	-- add-port br-int int-blue tag=1 \
	-- set Interface int-blue type=patch options:peer=rt-blue \
	-- add-port br-router rt-green \
	-- set Interface rt-green type=patch options:peer=int-green \
	-- add-port br-int int-green tag=2 \
	-- set Interface int-green type=patch options:peer=rt-green \
	-- set-controller br-router tcp:127.0.0.1:6653
