"""Routers whose internal networks are routed by ofdvr.

Gateways, floating IPs, SNAT and metadata of a distributed router are inherited.
Only its internal ports differ. ofdvr plugs their taps, moves the taps into the
namespace and sets their addresses.
"""

import threading

from neutron_lib import constants
from oslo_log import log as logging

from neutron.agent.common import ovs_lib
from neutron.agent.l3 import dvr_local_router
from neutron.agent.l3 import router_info
from neutron.agent.linux import ip_lib
from neutron.common import utils as common_utils

from ofdvr_neutron import snapshot

LOG = logging.getLogger(__name__)


# The number of times that the ports of a subnet are read again, until they
# agree with an event. After a later event, they may never agree with this one.
TRIES = 10


class NotPluggedError(RuntimeError):
    """A tap is missing. The agent retries, as for any other port."""


class OfdvrRouter(dvr_local_router.DvrLocalRouter):
    """A distributed router on a host without SNAT."""

    # Set by the extension.
    sender = None
    plug_timeout = None

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._lock = threading.Lock()
        self._ports_of = {}  # subnet: its ports at the last read
        self._stale = set()  # subnets whose ports may have changed later
        self._expected = {}  # (subnet, address): the latest event
        self._deleted = False

    # Snapshots for ofdvr.

    def _snapshot(self):
        """Called by the sender just before it sends."""
        with self._lock:
            stale, self._stale = self._stale, set()
        router = self.router
        try:
            for port in router.get(constants.INTERFACE_KEY, []):
                for subnet_id in [s['id'] for s in port.get('subnets', [])]:
                    if subnet_id in stale or subnet_id not in self._ports_of:
                        self._ports_of[subnet_id] = (
                            self.agent.get_ports_by_subnet(subnet_id))
        except Exception:
            with self._lock:
                self._stale |= stale
            raise
        return (snapshot.of(router, self.ns_name, self._ports_of),
                self._as_expected())

    def _as_expected(self):
        """Whether the ports that were read agree with the events.

        If not, they are read again later, a limited number of times. The reason
        is that the server sends the event of a moving port before it has bound
        the port to its new host, and leaves out unbound ports.
        """
        with self._lock:
            for (subnet_id, ip), event in list(self._expected.items()):
                operation, mac, tries = event
                macs = snapshot.macs_of(self._ports_of.get(subnet_id, []), ip)
                if tries == 0 or (
                        mac in macs if operation == 'add' else not macs):
                    del self._expected[subnet_id, ip]
                    continue
                self._expected[subnet_id, ip] = operation, mac, tries - 1
                self._stale.add(subnet_id)
            return not self._expected

    def _send(self, *stale_subnets):
        """Send a snapshot. The ports of stale subnets are read again."""
        if self._deleted:
            return 0
        with self._lock:
            self._stale.update(stale_subnets)
        return self.sender.want(self.router_id, self._snapshot)

    def _send_and_wait(self, *stale_subnets):
        version = self._send(*stale_subnets)
        return self.sender.wait(self.router_id, version, self.plug_timeout)

    # Internal ports.

    def _internal_network_added(self, ns_name, network_id, port_id,
                                fixed_ips, mac_address, interface_name,
                                prefix, mtu=None):
        if prefix != router_info.INTERNAL_DEV_PREFIX:
            return super()._internal_network_added(
                ns_name, network_id, port_id, fixed_ips, mac_address,
                interface_name, prefix, mtu=mtu)
        self._unplug_stock(interface_name)
        sent = self._send_and_wait(*[f['subnet_id'] for f in fixed_ips])
        try:
            common_utils.wait_until_true(
                lambda: ip_lib.device_exists(interface_name,
                                             namespace=ns_name),
                timeout=self.plug_timeout, sleep=0.1)
        except common_utils.WaitTimeout:
            why = self.sender.why(self.router_id)
            if not why and not sent:
                why = 'no answer in %d s' % self.plug_timeout
            raise NotPluggedError(
                'ofdvr has not plugged %s into namespace %s: %s' %
                (interface_name, ns_name, why or 'see ofdvr doctor'))
        self.driver.init_router_port(
            interface_name, common_utils.fixed_ip_cidrs(fixed_ips),
            namespace=ns_name)
        for fixed_ip in fixed_ips:
            ip_lib.send_ip_addr_adv_notif(ns_name, interface_name,
                                          fixed_ip['ip_address'])

    def _unplug_stock(self, interface_name):
        """Remove a port that the agent plugged without the extension."""
        bridge = self.agent_conf.OVS.integration_bridge
        if ovs_lib.BaseOVS().get_bridge_for_iface(interface_name) == bridge:
            LOG.info('Port %s of router %s moves from %s to ofdvr',
                     interface_name, self.router_id, bridge)
            self.driver.unplug(interface_name, namespace=self.ns_name,
                               prefix=router_info.INTERNAL_DEV_PREFIX)

    def internal_network_removed(self, port):
        self._dvr_internal_network_removed(port)
        LOG.debug('Removing internal network: port(%s)', port['id'])
        self._send(*[s['id'] for s in port.get('subnets', [])])

    def internal_network_updated(self, port):
        self._send_and_wait(*[s['id'] for s in port.get('subnets', [])])
        super().internal_network_updated(port)

    def _process_internal_ports(self):
        super()._process_internal_ports()
        # Admin state and address scopes change without a separate event.
        self._send()

    def routes_updated(self, old_routes, new_routes):
        super().routes_updated(old_routes, new_routes)
        if old_routes != new_routes:
            self._send()

    # Ports of machines.

    def _set_subnet_arp_info(self, subnet):
        super()._set_subnet_arp_info(subnet)
        self._send(subnet['id'])

    def _update_arp_entry(self, ip, mac, subnet_id, operation, device,
                          device_exists=True):
        """A hint that the ports of a subnet have changed."""
        with self._lock:
            self._expected[subnet_id, str(ip)] = operation, mac, TRIES
        self._send(subnet_id)
        return super()._update_arp_entry(ip, mac, subnet_id, operation,
                                         device, device_exists=device_exists)

    # Deletion.

    def delete(self):
        self._deleted = True
        version = self.sender.want(self.router_id, None)
        # Before the namespace is deleted with its taps. If ofdvr is away, the
        # sender retries.
        self.sender.wait(self.router_id, version, self.plug_timeout)
        super().delete()
