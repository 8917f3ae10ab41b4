"""Neutron has the methods that the extension uses, with the same signatures.

Run these tests first with another release of Neutron.
"""

import inspect

from neutron.agent.common import ovs_lib
from neutron.agent.l3 import agent
from neutron.agent.l3 import dvr
from neutron.agent.l3 import dvr_local_router
from neutron.agent.l3 import l3_agent_extension_api
from neutron.agent.l3 import router_info
from neutron.agent.linux import ip_lib
from neutron.common import utils
from neutron.tests import base

from ofdvr_neutron import router

HOOKS = [
    (dvr_local_router.DvrLocalRouter, {
        '_internal_network_added': [
            'self', 'ns_name', 'network_id', 'port_id', 'fixed_ips',
            'mac_address', 'interface_name', 'prefix', 'mtu'],
        'internal_network_removed': ['self', 'port'],
        'internal_network_updated': ['self', 'port'],
        '_dvr_internal_network_removed': ['self', 'port'],
        '_process_internal_ports': ['self'],
        'routes_updated': ['self', 'old_routes', 'new_routes'],
        '_set_subnet_arp_info': ['self', 'subnet'],
        '_update_arp_entry': ['self', 'ip', 'mac', 'subnet_id', 'operation',
                              'device', 'device_exists'],
        'delete': ['self'],
    }),
    (dvr.AgentMixin, {'get_ports_by_subnet': ['self', 'subnet_id']}),
    (l3_agent_extension_api.L3AgentExtensionAPI, {
        'register_router': ['self', 'features', 'router_cls']}),
    (ovs_lib.BaseOVS, {'get_bridge_for_iface': ['self', 'iface']}),
]


class TestHooks(base.BaseTestCase):

    def test_signatures(self):
        for cls, methods in HOOKS:
            for name, want in methods.items():
                got = list(inspect.signature(getattr(cls, name)).parameters)
                self.assertEqual(want, got, '%s.%s' % (cls.__name__, name))

    def test_overrides_have_the_same_signature(self):
        for name, want in HOOKS[0][1].items():
            if name in vars(router.OfdvrRouter):
                got = inspect.signature(getattr(router.OfdvrRouter, name))
                self.assertEqual(want, list(got.parameters), name)

    def test_functions(self):
        for module, names in (
                (agent.L3PluginApi, ('get_router_ids',)),
                (ip_lib, ('device_exists', 'send_ip_addr_adv_notif')),
                (utils, ('fixed_ip_cidrs', 'wait_until_true', 'WaitTimeout')),
                (router_info, ('INTERNAL_DEV_PREFIX',))):
            for name in names:
                self.assertTrue(hasattr(module, name), name)
