"""The entry point: [agent] extensions = ofdvr in l3_agent.ini."""

from neutron_lib.agent import l3_extension
from neutron_lib import constants
from oslo_config import cfg
from oslo_log import log as logging

from ofdvr_neutron import client
from ofdvr_neutron import config
from ofdvr_neutron import router
from ofdvr_neutron import sender
from ofdvr_neutron import stale

LOG = logging.getLogger(__name__)


class OfdvrExtension(l3_extension.L3AgentExtension):
    """Lets ofdvr route between internal networks of distributed routers."""

    def initialize(self, connection, driver_type):
        pass

    def consume_api(self, agent_api):
        conf = cfg.CONF
        config.register(conf)
        if conf.agent_mode == constants.L3_AGENT_MODE_DVR_SNAT:
            LOG.warning('ofdvr does not route on this host: agent_mode is %s; '
                        'ofdvr needs agent_mode = %s or %s',
                        conf.agent_mode, constants.L3_AGENT_MODE_DVR,
                        constants.L3_AGENT_MODE_DVR_NO_EXTERNAL)
            return
        api = client.Client(conf.ofdvr.endpoint, conf.ofdvr.timeout)
        the_sender = sender.Sender(api, conf.ofdvr.retry_interval)
        router.OfdvrRouter.sender = the_sender
        stale.start(api, the_sender, conf.host, conf.ofdvr.retry_interval)
        router.OfdvrRouter.plug_timeout = conf.ofdvr.plug_timeout
        for features in (['distributed'], ['ha', 'distributed']):
            agent_api.register_router(features, router.OfdvrRouter)
        LOG.info('ofdvr at %s routes between internal networks of '
                 'distributed routers', conf.ofdvr.endpoint)

    # The router class does all the work.

    def add_router(self, context, data):
        pass

    def update_router(self, context, data):
        pass

    def delete_router(self, context, data):
        pass

    def ha_state_change(self, context, data):
        pass

    def update_network(self, context, data):
        pass
