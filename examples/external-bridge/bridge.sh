#!/bin/sh
# Makes the routing bridge br-router by hand, and joins it to br-int.
#
#   bridge.sh up    make it
#   bridge.sh down  take it away
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

# Patch ports join only bridges of one datapath, so br-router gets br-int's type.
type=$(ovs-vsctl get Bridge br-int datapath_type)

# All in one transaction, in this order of importance:
# fail_mode=secure   without it a bridge that has lost its controller is an
#                    ordinary switch, and joins the two networks
# disable-in-band    or Open vSwitch adds flows of its own to reach the controller
# protocols          ofdvr speaks OpenFlow 1.3
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
