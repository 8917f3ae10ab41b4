"""The client handles the API's replies and failures."""

import http.server
import json
import os
import socketserver
import tempfile
import threading

from neutron.tests import base

from ofdvr_neutron import client


class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self):
        n = int(self.headers.get('Content-Length') or 0)
        body = json.loads(self.rfile.read(n)) if n else None
        self.server.seen.append((self.command, self.path, body))
        status, text = self.server.answers.pop(0)
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text.encode())

    do_GET = do_PUT = do_DELETE = answer

    def log_message(self, *args):
        pass

    def address_string(self):
        return ''


class TestClient(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.path = os.path.join(tempfile.mkdtemp(), 'api.sock')
        self.server = socketserver.ThreadingUnixStreamServer(
            self.path, Handler)
        self.server.seen, self.server.answers = [], []
        thread = threading.Thread(target=self.server.serve_forever,
                                  kwargs={'poll_interval': 0.01})
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(self.server.shutdown)
        self.addCleanup(self.server.server_close)
        self.client = client.Client('unix:' + self.path, 7)

    def test_snapshot(self):
        self.server.answers = [(200, '{"revision": 1, "applied": true}')]
        self.assertIsNone(self.client.put_snapshot('r.1/2', {'a': 1}))
        self.assertEqual(
            [('PUT', '/v1/routers/r%2E1%2F2/snapshot?wait=applied&timeout=7s',
              {'a': 1})], self.server.seen)

    def test_pending(self):
        self.server.answers = [(202, '{"pending": [{"what": "bridge"}]}')]
        self.assertEqual([{'what': 'bridge'}],
                         self.client.put_snapshot('r1', {}))

    def test_refused(self):
        self.server.answers = [(422, json.dumps({
            'detail': 'the body has a mistake',
            'errors': [{'pointer': '/ports/0/mac', 'detail': 'no'}]}))]
        e = self.assertRaises(client.Refused, self.client.put_snapshot,
                              'r1', {})
        self.assertIn('with 422: the body has a mistake; /ports/0/mac: no',
                      str(e))

    def test_unavailable(self):
        self.server.answers = [(503, 'not json')]
        e = self.assertRaises(client.Unavailable, self.client.put_snapshot,
                              'r1', {})
        self.assertIn('with 503: not json', str(e))
        gone = client.Client('unix:/nowhere/api.sock', 1)
        self.assertRaises(client.Unavailable, gone.put_snapshot, 'r1', {})

    def test_routers(self):
        self.server.answers = [(200, '{"items": [{"id": "a"}], "next": "a"}'),
                               (200, '{"items": [{"id": "b"}], "next": ""}')]
        self.assertEqual(['a', 'b'], [r['id'] for r in self.client.routers()])
        self.assertEqual(['/v1/routers?limit=1000',
                          '/v1/routers?limit=1000&after=a'],
                         [path for _, path, _ in self.server.seen])

    def test_delete(self):
        self.server.answers = [(404, '{}'), (200, '{}')]
        self.client.delete_router('r1')
        self.client.delete_router('r1')
        self.assertEqual([('DELETE', '/v1/routers/r1', None)] * 2,
                         self.server.seen)

    def test_endpoint(self):
        for bad in ('tcp:1.2.3.4:5', 'unix:relative', ''):
            self.assertRaises(client.Error, client.Client, bad, 1)
