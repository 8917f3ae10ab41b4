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
    """Has ofdvr route between the internal networks of distributed routers."""

    def initialize(self, connection, driver_type):
        pass

    def consume_api(self, agent_api):
        conf = cfg.CONF
        config.register(conf)
        if conf.agent_mode == constants.L3_AGENT_MODE_DVR_SNAT:
            LOG.warning('ofdvr routes nothing here: agent_mode is %s, and '
                        'only hosts with agent_mode = %s or %s are its',
                        conf.agent_mode, constants.L3_AGENT_MODE_DVR,
                        constants.L3_AGENT_MODE_DVR_NO_EXTERNAL)
            return
        api = client.Client(conf.ofdvr.endpoint, conf.ofdvr.timeout)
        tell = sender.Sender(api, conf.ofdvr.retry_interval)
        router.OfdvrRouter.sender = tell
        stale.start(api, tell, conf.host, conf.ofdvr.retry_interval)
        router.OfdvrRouter.plug_timeout = conf.ofdvr.plug_timeout
        for features in (['distributed'], ['ha', 'distributed']):
            agent_api.register_router(features, router.OfdvrRouter)
        LOG.info('ofdvr at %s routes between internal networks of '
                 'distributed routers', conf.ofdvr.endpoint)

    # The router classes do all that is to do.

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
