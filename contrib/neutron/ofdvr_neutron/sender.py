"""Tells ofdvr what the agent's routers should be, until it has heard it.

Only the latest word about a router counts: what comes while ofdvr is away, or
while a snapshot is on its way, replaces what was to be said before.
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
        self._wanted = {}  # by router: what makes the snapshot; None: delete
        self._version = {}  # by router: of what is wanted
        self._sent = {}  # by router: the version that ofdvr has
        self._failed = {}  # by router: why the last attempt failed
        self._stopped = False
        self._thread = None

    def want(self, router_id, make):
        """Have sent what make() returns: the snapshot of a router, and whether
        it is settled, or has to be made again in a while.

        make is called when the snapshot is about to be sent, so that many
        events lead to one. None: the router is to be deleted. Returns a version
        for wait.
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
        """Wait until ofdvr has a version; False if it has not in time."""
        with self._cond:
            return self._cond.wait_for(
                lambda: self._sent.get(router_id, 0) >= version, timeout)

    def why(self, router_id):
        """Why the last attempt to tell ofdvr failed, '' if it did not."""
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
        """Tell ofdvr about a router; False if it has to be told again."""
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
            # Nothing but another snapshot can help.
            pending, error = None, str(e)
        except Exception as e:  # of the RPC that make does, too
            self._note(router_id, str(e), 'Could not tell ofdvr about router '
                       '%(router)s, trying again: %(why)s')
            return False
        self._note(router_id, error, 'ofdvr refuses what it is told about '
                   'router %(router)s; it stays as it was: %(why)s')
        if pending:
            LOG.warning('ofdvr has not carried out all that it was told about '
                        'router %(router)s yet: %(pending)s',
                        {'router': router_id, 'pending': pending})
        with self._cond:
            self._sent[router_id] = version
            if not settled and self._version[router_id] == version:
                self._version[router_id] += 1
            self._cond.notify_all()
        return settled

    def _note(self, router_id, error, message):
        """Log an error, once until it is another one."""
        with self._cond:
            before = self._failed.get(router_id, '')
            self._failed[router_id] = error
        if error and error != before:
            LOG.error(message, {'router': router_id, 'why': error})
        elif before and not error:
            LOG.info('ofdvr has been told about router %s again', router_id)
