"""The API of ofdvr, JSON over HTTP on a Unix socket (docs/api.md)."""

import http.client
import json
import socket
import urllib.parse


class Error(Exception):
    """A request to ofdvr failed."""


class Unavailable(Error):
    """ofdvr did not answer, or failed. The request may be retried."""


class Refused(Error):
    """ofdvr refused the request. A retry does not help."""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__('ofdvr', timeout=timeout)
        self._path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Client:
    """Sends requests to the daemon at an endpoint, unix:PATH."""

    def __init__(self, endpoint, timeout):
        scheme, _, path = endpoint.partition(':')
        if scheme != 'unix' or not path.startswith('/'):
            raise Error('[ofdvr] endpoint = %s: want unix:/path' % endpoint)
        self._endpoint = endpoint
        self._path = path
        self._timeout = timeout

    def put_snapshot(self, router_id, snapshot):
        """Replace a router with its networks and ports.

        Returns None if the switches have confirmed it, else the pending
        changes, with the reasons.
        """
        query = urllib.parse.urlencode(
            {'wait': 'applied', 'timeout': '%ds' % self._timeout})
        status, body = self._ask(
            'PUT', '/v1/routers/%s/snapshot?%s' % (_quote(router_id), query),
            snapshot)
        return body.get('pending') if status == http.client.ACCEPTED else None

    def routers(self):
        """All routers of ofdvr, from all of its sources."""
        out, after = [], ''
        while True:
            query = urllib.parse.urlencode({'limit': 1000, 'after': after}
                                           if after else {'limit': 1000})
            _, page = self._ask('GET', '/v1/routers?' + query, None)
            out += page.get('items') or []
            after = page.get('next')
            if not after:
                return out

    def delete_router(self, router_id):
        """Delete a router, if it exists."""
        self._ask('DELETE', '/v1/routers/%s' % _quote(router_id), None,
                  http.client.NOT_FOUND)

    def _ask(self, method, path, body, fine=None):
        # ofdvr may reply only at the end of the wait.
        conn = _UnixConnection(self._path, self._timeout + 10)
        try:
            data = None if body is None else json.dumps(body)
            conn.request(method, path, data,
                         {'Content-Type': 'application/json'})
            resp = conn.getresponse()
            text = resp.read()
        except (OSError, http.client.HTTPException) as e:
            raise Unavailable('request to ofdvr at %s: %s %s: %s' %
                              (self._endpoint, method, path, e)) from e
        finally:
            conn.close()
        if resp.status == fine:
            return resp.status, {}
        try:
            answer = json.loads(text) if text else {}
        except ValueError:
            answer = {'detail': text.decode(errors='replace')}
        if resp.status < 300:
            return resp.status, answer
        why = [answer.get('detail', '')]
        why += ['%s%s: %s' % (m.get('pointer', ''), m.get('parameter', ''),
                              m.get('detail', ''))
                for m in answer.get('errors', [])]
        error = Refused if resp.status < 500 else Unavailable
        raise error('ofdvr at %s answered %s %s with %d: %s' %
                    (self._endpoint, method, path, resp.status,
                     '; '.join(why)))


def _quote(text):
    return urllib.parse.quote(text, safe='').replace('.', '%2E')
