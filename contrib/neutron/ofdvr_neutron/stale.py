"""Deletes routers from ofdvr that were removed while the agent did not run."""

import threading

from neutron.agent.l3 import agent
from neutron.agent.l3 import namespaces
from neutron_lib.agent import topics
from neutron_lib import context
from oslo_log import log as logging
from oslo_utils import uuidutils

LOG = logging.getLogger(__name__)


def start(api, sender, host, retry_interval):
    """Compare once, in a thread, as soon as ofdvr and the server answer."""
    threading.Thread(
        target=_run, name='ofdvr-stale', daemon=True,
        args=(api, sender, agent.L3PluginApi(topics.L3PLUGIN, host),
              retry_interval)).start()


def _run(api, sender, plugin, retry_interval):
    never = threading.Event()
    while True:
        try:
            remove(api, sender, plugin)
            return
        except Exception as e:  # errors of ofdvr and of the RPC
            LOG.debug('Cannot find stale routers yet, will retry: %s', e)
        never.wait(retry_interval)


def remove(api, sender, plugin):
    """Delete the routers that ofdvr has and the server does not.

    ofdvr is read first, because the server knows every router that is added to
    ofdvr later.
    """
    have = [r['id'] for r in api.routers() if _is_neutrons(r)]
    wanted = set(plugin.get_router_ids(
        context.get_admin_context_without_session()))
    for router_id in have:
        if router_id not in wanted:
            LOG.info('Router %s is no longer on this host, deleting it from '
                     'ofdvr', router_id)
            sender.want(router_id, None)


def _is_neutrons(router):
    """Whether this extension made the given router."""
    return (uuidutils.is_uuid_like(router['id']) and
            router.get('namespace') == namespaces.NS_PREFIX + router['id'])
