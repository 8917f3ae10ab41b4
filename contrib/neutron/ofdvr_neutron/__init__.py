"""An extension of Neutron's L3 agent. ofdvr routes between internal networks.

The agent still manages namespaces, iptables, rules, routes, gateways, floating
IPs and metadata. Only the internal ports of distributed routers change. ofdvr
plugs them into a bridge for each router. The flows of the bridge route between
the networks, so that east/west traffic never reaches the namespace.
"""
