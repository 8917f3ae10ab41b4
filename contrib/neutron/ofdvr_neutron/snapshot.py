"""Snapshots of routers for ofdvr, as pure functions of Neutron's data.

A snapshot has the router with its interfaces and extra routes, its networks,
and all ports on these networks, so that the next snapshot corrects any event
that was missed.
"""

import ipaddress
import unicodedata

from neutron_lib import constants

# Flows do not deliver packets to these ports. Other routers' interfaces and the
# SNAT ports of this router are reached through the namespace.
NOT_A_DESTINATION = constants.ROUTER_INTERFACE_OWNERS + (
    constants.DEVICE_OWNER_ROUTER_SNAT,
    constants.DEVICE_OWNER_ROUTER_GW,
    constants.DEVICE_OWNER_AGENT_GW,
    constants.DEVICE_OWNER_FLOATINGIP,
)



def of(router, ns_name, ports_by_subnet):
    """The snapshot of a router.

    router: the router as the server sends it to the L3 agent, with its
        interfaces under _interfaces.
    ns_name: the router's namespace, which the L3 agent owns.
    ports_by_subnet: the ports by the subnet's ID, as get_ports_by_subnet
        returns them.
    """
    interfaces, networks, subnets = [], {}, {}
    for port in router.get(constants.INTERFACE_KEY, []):
        addresses = _addresses(port)
        if not addresses:
            continue  # IPv6 prefixes that are not delegated yet
        interfaces.append({
            'id': port['id'],
            'network': port['network_id'],
            'mac': port['mac_address'],
            'addresses': addresses,
            'admin_state': _state(port['admin_state_up']),
        })
        networks[port['network_id']] = _network(port)
        for subnet in port.get('subnets', []):
            subnets[subnet['id']] = port['network_id']
    ports = {}
    for subnet_id, network_id in sorted(subnets.items()):
        for port in ports_by_subnet.get(subnet_id, []):
            if _is_destination(port):
                ports[port['id']] = _port(port, network_id)
    own = {i['id'] for i in interfaces}
    return {
        'router': dict(_names(router), **{
            'id': router['id'],
            'namespace': ns_name,
            'interfaces': sorted(interfaces, key=lambda i: i['id']),
            'routes': _routes(router, interfaces),
        }),
        'networks': [networks[n] for n in sorted(networks)],
        'ports': [ports[p] for p in sorted(ports) if p not in own],
    }


def macs_of(ports, ip):
    """The MAC addresses of the ports that have an address or may use it."""
    macs = set()
    for port in ports:
        if any(f['ip_address'] == ip for f in port['fixed_ips']):
            macs.add(port['mac_address'])
        for pair in port.get('allowed_address_pairs') or []:
            if str(pair['ip_address']).split('/')[0] == ip:
                macs.add(pair.get('mac_address') or port['mac_address'])
    return macs


# The limits of ofdvr, in bytes of UTF-8.
MAX_NAME = 255
MAX_DESCRIPTION = 1024


def _names(resource):
    """The name and the description of a resource, if it has them."""
    out = {}
    for key, most in (('name', MAX_NAME), ('description', MAX_DESCRIPTION)):
        text = _text(resource.get(key), most)
        if text:
            out[key] = text
    return out


def _text(text, most):
    """A text in one line of at most so many bytes. The rest is cut off."""
    line = ''.join(
        ' ' if unicodedata.category(c) in ('Cc', 'Zl', 'Zp') else c
        for c in text or ''
        if unicodedata.category(c) not in ('Cf', 'Cs') and c != '\ufffd').strip()
    line = line.encode()[:most].decode(errors='ignore').strip()
    return line if line.strip(' \u115f\u1160\u2800\u3164\uffa0') else ''


def _state(up):
    return 'up' if up else 'down'


def _addresses(port):
    """The addresses of a router's port, each with its prefix length."""
    out = []
    for fixed_ip in port['fixed_ips']:
        length = fixed_ip.get('prefixlen')
        if length is not None:
            out.append('%s/%d' % (fixed_ip['ip_address'], length))
    return out


def _network(port):
    network = {'id': port['network_id']}
    if port.get('mtu'):
        network['mtu'] = port['mtu']
    scopes = port.get('address_scopes') or {}
    for version, key in (('4', 'ipv4_address_scope'),
                         ('6', 'ipv6_address_scope')):
        if scopes.get(version):
            network[key] = scopes[version]
    return network


def _is_destination(port):
    return port['device_owner'] not in NOT_A_DESTINATION


def _is_bound(port):
    """Whether a port is on a host, or moves to one.

    A moving port is unbound for a moment. It may be read in that moment, and no
    event reports that it is bound again.
    """
    vif_type = port.get('binding:vif_type')
    if vif_type == 'unbound':
        return bool(port.get('binding:host_id'))
    return vif_type != 'binding_failed'


def _port(port, network_id):
    out = dict(_names(port), **{
        'id': port['id'],
        'network': network_id,
        'mac': port['mac_address'],
        'addresses': sorted(f['ip_address'] for f in port['fixed_ips']),
        'admin_state': _state(port.get('admin_state_up', True)),
    })
    pairs = []
    for pair in port.get('allowed_address_pairs') or []:
        entry = {'address': str(pair['ip_address'])}
        mac = pair.get('mac_address')
        if mac and mac != port['mac_address']:
            entry['mac'] = mac
        pairs.append(entry)
    if pairs:
        out['allowed_address_pairs'] = sorted(
            pairs, key=lambda p: (p['address'], p.get('mac', '')))
    if not _is_bound(port):
        out['bound'] = False
    return out


def _routes(router, interfaces):
    """Extra routes whose next hop is on one of the router's internal networks.

    The namespace has the other routes. These are routes through a gateway, and
    routes with several next hops, because the agent knows only one of the hops.
    """
    inside = [ipaddress.ip_interface(a).network
              for i in interfaces for a in i['addresses']]
    hops = {}
    for route in router.get('routes') or []:
        hops.setdefault(route['destination'], set()).add(route['nexthop'])
    out = []
    for destination, addresses in sorted(hops.items()):
        hop = ipaddress.ip_address(min(addresses))
        if len(addresses) == 1 and any(
                hop in net for net in inside if net.version == hop.version):
            out.append({'destination': destination, 'nexthop': str(hop)})
    return out
