"""Sends the desired state of the agent's routers to ofdvr, with retries.

Only the latest state of a router is sent. If a change arrives while ofdvr does
not answer, or while a snapshot is being sent, it replaces the previous change.
"""

import threading

from oslo_log import log as logging

from ofdvr_neutron import client

LOG = logging.getLogger(__name__)


class Sender:
    """A thread that sends the latest snapshot of each router."""

    def __init__(self, api, retry_interval):
        self._api = api
        self._retry = retry_interval
        self._cond = threading.Condition()
        self._wanted = {}  # router: function that makes the snapshot, or None to delete
        self._version = {}  # router: version of the desired state
        self._sent = {}  # router: the version that ofdvr has
        self._failed = {}  # router: the reason that the last attempt failed
        self._stopped = False
        self._thread = None

    def want(self, router_id, make):
        """Send the snapshot of a router, which make() returns.

        make also returns whether the snapshot is settled. If not, it is made
        again later. make is called just before the snapshot is sent, so that
        many events lead to one snapshot. If make is None, the router is
        deleted. Returns a version for wait.
        """
        with self._cond:
            self._wanted[router_id] = make
            version = self._version.get(router_id, 0) + 1
            self._version[router_id] = version
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name='ofdvr', daemon=True)
                self._thread.start()
            self._cond.notify_all()
            return version

    def wait(self, router_id, version, timeout):
        """Wait until ofdvr has a version. Return False after the timeout."""
        with self._cond:
            return self._cond.wait_for(
                lambda: self._sent.get(router_id, 0) >= version, timeout)

    def why(self, router_id):
        """The reason that the last attempt to send failed, or ''."""
        with self._cond:
            return self._failed.get(router_id, '')

    def stop(self):
        with self._cond:
            self._stopped = True
            self._cond.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join()

    def _dirty(self):
        return [r for r, v in self._version.items()
                if self._sent.get(r, 0) < v]

    def _run(self):
        while True:
            with self._cond:
                self._cond.wait_for(lambda: self._stopped or self._dirty())
                if self._stopped:
                    return
                work = [(r, self._version[r], self._wanted[r])
                        for r in self._dirty()]
            later = False
            for router_id, version, make in work:
                later = not self._send(router_id, version, make) or later
            if later:
                with self._cond:
                    self._cond.wait_for(lambda: self._stopped, self._retry)

    def _send(self, router_id, version, make):
        """Send a router's state. Return False if it has to be sent again."""
        settled = True
        try:
            pending = None
            if make is None:
                self._api.delete_router(router_id)
            else:
                snapshot, settled = make()
                pending = self._api.put_snapshot(router_id, snapshot)
            error = ''
        except client.Refused as e:
            # A retry of the same snapshot would be refused again.
            pending, error = None, str(e)
        except Exception as e:  # make's RPC may fail too
            self._note(router_id, str(e), 'Could not send router %(router)s '
                       'to ofdvr, will retry: %(why)s')
            return False
        self._note(router_id, error, 'ofdvr refused the snapshot of router '
                   '%(router)s and keeps the previous one: %(why)s')
        if pending:
            LOG.warning('ofdvr has not applied all of router %(router)s yet: '
                        '%(pending)s',
                        {'router': router_id, 'pending': pending})
        with self._cond:
            self._sent[router_id] = version
            if not settled and self._version[router_id] == version:
                self._version[router_id] += 1
            self._cond.notify_all()
        return settled

    def _note(self, router_id, error, message):
        """Log an error once, until it changes."""
        with self._cond:
            before = self._failed.get(router_id, '')
            self._failed[router_id] = error
        if error and error != before:
            LOG.error(message, {'router': router_id, 'why': error})
        elif before and not error:
            LOG.info('ofdvr accepts router %s again', router_id)
