"""Routers that were removed while the agent did not run."""

from unittest import mock

from neutron.tests import base
from oslo_utils import uuidutils

from ofdvr_neutron import client
from ofdvr_neutron import stale


class TestStale(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.here, self.gone = (uuidutils.generate_uuid() for _ in range(2))
        self.api, self.sender, self.plugin = (mock.Mock() for _ in range(3))
        self.api.routers.return_value = [
            {'id': self.here, 'namespace': 'qrouter-' + self.here},
            {'id': self.gone, 'namespace': 'qrouter-' + self.gone},
            # The extension did not make these routers.
            {'id': 'r1', 'namespace': 'qrouter-r1'},
            {'id': uuidutils.generate_uuid()},
        ]
        self.plugin.get_router_ids.return_value = [
            self.here, uuidutils.generate_uuid()]

    def test_remove(self):
        stale.remove(self.api, self.sender, self.plugin)
        self.sender.want.assert_called_once_with(self.gone, None)

    def test_until_both_answer(self):
        self.api.routers.side_effect = [
            client.Unavailable('away')] * 2 + [self.api.routers.return_value]
        self.plugin.get_router_ids.side_effect = [
            self.plugin.get_router_ids.return_value]
        stale._run(self.api, self.sender, self.plugin, 0)
        self.sender.want.assert_called_once_with(self.gone, None)

    def test_a_server_that_does_not_answer_deletes_nothing(self):
        self.plugin.get_router_ids.side_effect = OSError('timeout')
        self.assertRaises(OSError, stale.remove, self.api, self.sender,
                          self.plugin)
        self.assertFalse(self.sender.want.called)
