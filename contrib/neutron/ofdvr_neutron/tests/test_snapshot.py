"""Snapshots depend only on Neutron's data of a router."""

import copy

from neutron.tests import base

from ofdvr_neutron import snapshot

ROUTER = {
    'id': 'router-1',
    '_interfaces': [
        {'id': 'if-2', 'network_id': 'net-2', 'mac_address': '02:00:00:00:02:01',
         'mtu': 1450, 'admin_state_up': True,
         'address_scopes': {'4': 'scope-a', '6': None},
         'fixed_ips': [{'subnet_id': 'sub-2', 'ip_address': '10.0.2.1',
                        'prefixlen': 24}],
         'subnets': [{'id': 'sub-2', 'cidr': '10.0.2.0/24'}]},
        {'id': 'if-1', 'network_id': 'net-1', 'mac_address': '02:00:00:00:01:01',
         'mtu': 1450, 'admin_state_up': True, 'address_scopes': {},
         'fixed_ips': [{'subnet_id': 'sub-1', 'ip_address': '10.0.1.1',
                        'prefixlen': 24},
                       {'subnet_id': 'sub-6', 'ip_address': 'fd00:1::1',
                        'prefixlen': 64}],
         'subnets': [{'id': 'sub-1', 'cidr': '10.0.1.0/24'},
                     {'id': 'sub-6', 'cidr': 'fd00:1::/64'}]},
    ],
    'routes': [
        {'destination': '10.9.0.0/16', 'nexthop': '10.0.2.10'},
        {'destination': '10.8.0.0/16', 'nexthop': '10.0.2.11'},
        {'destination': '10.8.0.0/16', 'nexthop': '10.0.2.10'},
        {'destination': '0.0.0.0/0', 'nexthop': '192.0.2.1'},
    ],
}


def port(port_id, owner='compute:nova', ip='10.0.1.10', **more):
    out = {'id': port_id, 'network_id': 'net-1', 'device_owner': owner,
           'mac_address': '02:00:00:00:01:10', 'admin_state_up': True,
           'fixed_ips': [{'subnet_id': 'sub-1', 'ip_address': ip}],
           'allowed_address_pairs': [], 'binding:vif_type': 'ovs'}
    out.update(more)
    return out


class TestSnapshot(base.BaseTestCase):

    def of(self, *ports, router=ROUTER):
        return snapshot.of(router, 'qrouter-router-1', {'sub-1': list(ports)})

    def test_router(self):
        got = self.of()
        self.assertEqual({
            'id': 'router-1', 'namespace': 'qrouter-router-1',
            'interfaces': [
                {'id': 'if-1', 'network': 'net-1', 'mac': '02:00:00:00:01:01',
                 'addresses': ['10.0.1.1/24', 'fd00:1::1/64'],
                 'admin_state': 'up'},
                {'id': 'if-2', 'network': 'net-2', 'mac': '02:00:00:00:02:01',
                 'addresses': ['10.0.2.1/24'], 'admin_state': 'up'}],
            'routes': [
                {'destination': '10.9.0.0/16', 'nexthop': '10.0.2.10'}],
        }, got['router'])
        self.assertEqual([
            {'id': 'net-1', 'mtu': 1450},
            {'id': 'net-2', 'mtu': 1450, 'ipv4_address_scope': 'scope-a'},
        ], got['networks'])
        self.assertEqual([], got['ports'])

    def test_ports(self):
        got = self.of(
            port('vm'), port('dhcp', 'network:dhcp', '10.0.1.2'),
            port('if-1', 'network:router_interface_distributed', '10.0.1.1'),
            port('other', 'network:router_interface', '10.0.1.3'),
            port('ha', 'network:ha_router_replicated_interface', '10.0.1.4'),
            port('snat', 'network:router_centralized_snat', '10.0.1.5'),
            port('vip', 'Octavia', '10.0.1.6', **{
                'binding:vif_type': 'unbound'}),
            port('down', ip='10.0.1.7', admin_state_up=False),
            port('sub', 'trunk:subport', '10.0.1.12'),
            port('moves', ip='10.0.1.8', **{
                'binding:vif_type': 'unbound', 'binding:host_id': 'host2'}),
            port('failed', ip='10.0.1.9', **{
                'binding:vif_type': 'binding_failed',
                'binding:host_id': 'host2'}))
        self.assertEqual(['dhcp', 'down', 'failed', 'moves', 'sub', 'vip', 'vm'],
                         [p['id'] for p in got['ports']])
        ports = {p['id']: p for p in got['ports']}
        self.assertEqual(
            {'id': 'vm', 'network': 'net-1', 'mac': '02:00:00:00:01:10',
             'addresses': ['10.0.1.10'], 'admin_state': 'up'}, ports['vm'])
        self.assertIs(False, ports['vip']['bound'])
        self.assertIs(False, ports['failed']['bound'])
        self.assertNotIn('bound', ports['moves'])
        self.assertEqual('down', ports['down']['admin_state'])

    def test_allowed_address_pairs(self):
        got = self.of(port('amphora', allowed_address_pairs=[
            {'ip_address': '10.0.1.6', 'mac_address': '02:00:00:00:01:10'},
            {'ip_address': '10.0.1.64/28', 'mac_address': '02:00:00:00:09:09'},
        ]))
        self.assertEqual(
            [{'address': '10.0.1.6'},
             {'address': '10.0.1.64/28', 'mac': '02:00:00:00:09:09'}],
            got['ports'][0]['allowed_address_pairs'])

    def test_names(self):
        router = dict(ROUTER, name='edge', description='to the\nlab')
        got = self.of(
            port('vm', name='ü' * 200, description='x' * 2000),
            port('b', ip='10.0.1.11', name='', description=None),
            port('c', ip='10.0.1.12', name=' \t'),
            port('d', ip='10.0.1.13', name='\u200b\u3164\ufffd'),
            port('e', ip='10.0.1.14', name='w\u200beb\u20281'),
            router=router)
        self.assertEqual('edge', got['router']['name'])
        self.assertEqual('to the lab', got['router']['description'])
        ports = {p['id']: p for p in got['ports']}
        self.assertEqual('ü' * 127, ports['vm']['name'])
        self.assertEqual('x' * 1024, ports['vm']['description'])
        self.assertEqual('web 1', ports['e']['name'])
        for p in ('b', 'c', 'd'):
            self.assertNotIn('name', ports[p])
            self.assertNotIn('description', ports[p])

    def test_order_does_not_matter(self):
        other = copy.deepcopy(ROUTER)
        other['_interfaces'].reverse()
        other['routes'].reverse()
        a, b = port('a'), port('b', ip='10.0.1.11')
        self.assertEqual(self.of(a, b), self.of(b, a, router=other))

    def test_prefix_not_yet_delegated(self):
        router = copy.deepcopy(ROUTER)
        router['_interfaces'][0]['fixed_ips'] = []
        self.assertEqual(
            ['if-1'],
            [i['id'] for i in self.of(router=router)['router']['interfaces']])
