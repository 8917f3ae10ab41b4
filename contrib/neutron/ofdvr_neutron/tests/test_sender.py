"""ofdvr gets the latest state of each router, despite any failures."""

import threading
from unittest import mock

from neutron.tests import base

from ofdvr_neutron import client
from ofdvr_neutron import sender

PATIENCE = 20


class Api:
    """An ofdvr that fails with the given failures."""

    def __init__(self):
        self.failures = []
        self.has = {}  # the snapshots that it has, by router
        self.calls = 0
        self.gate = threading.Event()
        self.gate.set()

    def put_snapshot(self, router_id, snapshot):
        self.gate.wait(PATIENCE)
        self.calls += 1
        if self.failures:
            raise self.failures.pop(0)
        self.has[router_id] = snapshot

    def delete_router(self, router_id):
        self.put_snapshot(router_id, None)


class TestSender(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.api = Api()
        self.sender = sender.Sender(self.api, 0.01)
        self.addCleanup(self.sender.stop)

    def sent(self, router_id, version):
        self.assertTrue(self.sender.wait(router_id, version, PATIENCE))

    def test_latest(self):
        self.api.gate.clear()
        for i in range(100):
            version = self.sender.want('r1', lambda i=i: (i, True))
        other = self.sender.want('r2', lambda: ('other', True))
        self.api.gate.set()
        self.sent('r1', version)
        self.sent('r2', other)
        self.assertEqual({'r1': 99, 'r2': 'other'}, self.api.has)
        self.assertLess(self.api.calls, 5)

    def test_away(self):
        self.api.failures = [client.Unavailable('away')] * 3 + [OSError('rpc')]
        with mock.patch.object(sender, 'LOG') as log:
            self.sent('r1', self.sender.want('r1', lambda: (1, True)))
        self.assertEqual({'r1': 1}, self.api.has)
        # A log entry is made once for each reason, and at the recovery.
        self.assertEqual(2, log.error.call_count)
        self.assertEqual(1, log.info.call_count)
        self.assertEqual('', self.sender.why('r1'))

    def test_made_again_until_it_is_settled(self):
        made = []

        def make():
            made.append(len(made))
            return made[-1], len(made) == 4
        version = self.sender.want('r1', make)
        self.sent('r1', version)
        self.sent('r1', version + 3)
        self.assertEqual({'r1': 3}, self.api.has)

    def test_refused(self):
        self.api.failures = [client.Refused('no such thing')]
        self.sent('r1', self.sender.want('r1', lambda: (1, True)))
        self.assertEqual({}, self.api.has)
        self.assertEqual('no such thing', self.sender.why('r1'))
        self.sent('r1', self.sender.want('r1', lambda: (2, True)))
        self.assertEqual({'r1': 2}, self.api.has)

    def test_one_router_does_not_block_another(self):
        def broken():
            raise ValueError('rpc')
        self.sender.want('r1', broken)
        self.sent('r2', self.sender.want('r2', lambda: (2, True)))
        self.assertFalse(self.sender.wait('r1', 1, 0))

    def test_delete(self):
        self.sent('r1', self.sender.want('r1', lambda: (1, True)))
        self.sent('r1', self.sender.want('r1', None))
        self.assertEqual({'r1': None}, self.api.has)
        self.sent('r1', self.sender.want('r1', lambda: (3, True)))
        self.assertEqual({'r1': 3}, self.api.has)
