"""A router behaves like Neutron's router, except for its internal ports."""

import types
from unittest import mock

from neutron.agent.l3 import dvr_local_router
from neutron.agent.l3 import router_info
from neutron.tests import base
from neutron.tests.unit.agent.l3 import test_dvr_local_router as stock

from ofdvr_neutron import client
from ofdvr_neutron import router
from ofdvr_neutron import sender
from ofdvr_neutron.tests import test_sender
from ofdvr_neutron.tests import test_snapshot

PATIENCE = 20


class TestAsNeutron(stock.TestDvrRouterOperations):
    """Neutron's own tests of distributed routers, run with OfdvrRouter."""

    def setUp(self):
        super().setUp()
        for name, value in (('sender', mock.Mock()), ('plug_timeout', 1)):
            mock.patch.object(router.OfdvrRouter, name, value).start()
        # Replace the class only in the tests' module, not where it is defined.
        module = types.SimpleNamespace(**vars(dvr_local_router))
        module.DvrLocalRouter = router.OfdvrRouter
        mock.patch.object(stock, 'dvr_router', module).start()


class TestRouter(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.api = test_sender.Api()
        self.sender = sender.Sender(self.api, 0.01)
        self.addCleanup(self.sender.stop)
        mock.patch.object(router.OfdvrRouter, 'sender', self.sender).start()
        mock.patch.object(router.OfdvrRouter, 'plug_timeout', 1).start()
        for name in ('IPDevice', 'IPWrapper', 'send_ip_addr_adv_notif'):
            mock.patch('neutron.agent.linux.ip_lib.' + name).start()
        self.exists = mock.patch(
            'neutron.agent.linux.ip_lib.device_exists',
            return_value=True).start()
        self.bridge_of = mock.patch(
            'neutron.agent.common.ovs_lib.BaseOVS').start(
        ).return_value.get_bridge_for_iface
        self.bridge_of.return_value = 'rb-router-1'
        mock.patch('neutron.agent.linux.iptables_manager.IptablesManager'
                   ).start()
        mock.patch.object(dvr_local_router.DvrLocalRouter,
                          '_load_used_fip_information').start()
        self.ports = {'sub-1': [], 'sub-2': [], 'sub-6': []}
        self.agent = mock.Mock()
        self.agent.get_ports_by_subnet = lambda s: list(self.ports[s])
        self.driver = mock.Mock()
        self.conf = mock.Mock()
        self.conf.OVS.integration_bridge = 'br-int'
        self.router = router.OfdvrRouter(
            'host', agent=self.agent, router_id='router-1',
            router=dict(test_snapshot.ROUTER), agent_conf=self.conf,
            interface_driver=self.driver, use_ipv6=False)
        self.device = mock.Mock()

    def event(self, ip, operation='add', mac='02:00:00:00:01:10'):
        """An ARP event, as the server sends it."""
        self.router._update_arp_entry(ip, mac, 'sub-1', operation,
                                      self.device)

    def settled(self):
        """The ports that ofdvr has after the latest snapshot."""
        version = self.router._send()
        self.assertTrue(self.sender.wait('router-1', version, PATIENCE))
        return {p['id']: p['addresses']
                for p in self.api.has['router-1']['ports']}

    def plug(self):
        port = test_snapshot.ROUTER['_interfaces'][1]
        self.router._internal_network_added(
            self.router.ns_name, port['network_id'], port['id'],
            port['fixed_ips'], port['mac_address'], 'qr-if-1',
            router_info.INTERNAL_DEV_PREFIX, mtu=1450)

    def test_plug(self):
        self.plug()
        self.assertFalse(self.driver.plug.called)
        self.driver.init_router_port.assert_called_once_with(
            'qr-if-1', ['10.0.1.1/24', 'fd00:1::1/64'],
            namespace=self.router.ns_name)
        self.assertEqual(
            ['if-1', 'if-2'],
            [i['id'] for i in self.api.has['router-1']['router']['interfaces']])

    def test_plug_replaces_port_of_the_agent(self):
        self.bridge_of.return_value = 'br-int'
        self.plug()
        self.driver.unplug.assert_called_once_with(
            'qr-if-1', namespace=self.router.ns_name,
            prefix=router_info.INTERNAL_DEV_PREFIX)

    def test_plug_fails(self):
        self.exists.return_value = False
        self.api.failures = [client.Unavailable('ofdvr is away')] * 1000
        e = self.assertRaises(router.NotPluggedError, self.plug)
        self.assertIn('ofdvr is away', str(e))

    def test_driver_plugs_gateways(self):
        self.router._internal_network_added(
            self.router.ns_name, 'net', 'port', [], '02:00:00:00:09:09',
            'sg-port', 'sg-', mtu=1450)
        self.assertTrue(self.driver.plug.called)
        self.assertEqual({}, self.api.has)

    def test_event_has_only_new_address(self):
        """When an address changes, the server's event has only the new one."""
        self.ports['sub-1'] = [test_snapshot.port('vm')]
        self.event('10.0.1.10')
        self.assertEqual({'vm': ['10.0.1.10']}, self.settled())
        self.ports['sub-1'] = [test_snapshot.port('vm', ip='10.0.1.11')]
        self.event('10.0.1.11')
        self.assertEqual({'vm': ['10.0.1.11']}, self.settled())

    def test_event_before_the_port_is_bound(self):
        """The event of a moving port comes before the port is bound again."""
        reads = []

        def read(subnet_id):
            reads.append(subnet_id)
            if subnet_id == 'sub-1' and reads.count('sub-1') > 3:
                return [test_snapshot.port('vm')]
            return []
        self.agent.get_ports_by_subnet = read
        self.event('10.0.1.10')
        for _ in range(1000):
            if self.settled():
                break
        self.assertEqual({'vm': ['10.0.1.10']}, self.settled())
        self.assertEqual(4, reads.count('sub-1'))

    def test_event_that_ports_never_confirm(self):
        self.event('10.0.1.10')
        for _ in range(router.TRIES + 1):
            self.settled()
        self.assertEqual({}, self.router._expected)

    def test_delete_that_never_comes(self):
        self.ports['sub-1'] = [test_snapshot.port('vm')]
        self.event('10.0.1.10')
        self.settled()
        self.ports['sub-1'] = []
        self.event('10.0.1.99')  # any event of the subnet is enough
        self.assertEqual({}, self.settled())

    def test_event_before_the_device(self):
        self.ports['sub-1'] = [test_snapshot.port('vm')]
        self.assertIs(False, self.router._update_arp_entry(
            '10.0.1.10', '02:00:00:00:01:10', 'sub-1', 'add', self.device,
            device_exists=False))
        self.assertEqual({'vm': ['10.0.1.10']}, self.settled())

    def test_storm(self):
        self.api.gate.clear()
        for i in range(500):
            self.ports['sub-1'] = [
                test_snapshot.port('vm%d' % n, ip='10.0.1.%d' % (n + 10))
                for n in range(i % 50)]
            self.event('10.0.1.10', 'add' if i % 2 else 'delete')
        self.api.gate.set()
        self.assertEqual(49, len(self.settled()))
        self.assertLess(self.api.calls, 10)

    def test_server_that_does_not_answer(self):
        self.ports['sub-1'] = [test_snapshot.port('vm')]
        ask = self.agent.get_ports_by_subnet
        answers = [OSError('timeout'), OSError('timeout')]

        def get(subnet_id):
            if answers:
                raise answers.pop()
            return ask(subnet_id)
        self.agent.get_ports_by_subnet = get
        self.event('10.0.1.10')
        self.assertEqual({'vm': ['10.0.1.10']}, self.settled())

    def test_removed(self):
        self.settled()
        port = self.router.router['_interfaces'][0]
        self.router.router = dict(
            self.router.router,
            _interfaces=self.router.router['_interfaces'][1:])
        self.router.internal_network_removed(port)
        self.assertFalse(self.driver.unplug.called)
        self.settled()
        self.assertEqual(
            ['if-1'],
            [i['id'] for i in self.api.has['router-1']['router']['interfaces']])

    def test_delete(self):
        self.settled()
        with mock.patch.object(dvr_local_router.DvrLocalRouter, 'delete',
                               side_effect=self.router._send):
            self.router.delete()  # Neutron's delete changes the router, too
        self.assertEqual({'router-1': None}, self.api.has)

    def test_delete_without_ofdvr(self):
        self.api.failures = [client.Unavailable('away')] * 3
        with mock.patch.object(dvr_local_router.DvrLocalRouter, 'delete'):
            self.router.delete()
        self.assertEqual({'router-1': None}, self.api.has)
