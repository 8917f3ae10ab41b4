"""An extension of Neutron's L3 agent: ofdvr routes between internal networks.

The agent keeps everything that it has: namespaces, iptables, rules, routes,
gateways, floating IPs, metadata. What changes is who plugs a distributed
router's internal ports: ofdvr does, on a bridge of the router's own, whose
flows route between the networks, so that east/west traffic never comes to the
namespace.
"""
