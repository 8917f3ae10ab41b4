"""The entry point registers the router class."""

from unittest import mock

from neutron.agent.l3 import l3_agent_extension_api
from neutron.conf.agent.l3 import config as l3_config
from neutron.tests import base
from oslo_config import cfg

from ofdvr_neutron import client
from ofdvr_neutron import config
from ofdvr_neutron import extension
from ofdvr_neutron import router


class TestExtension(base.BaseTestCase):

    def consume(self, mode, **options):
        l3_config.register_l3_agent_config_opts(l3_config.OPTS, cfg.CONF)
        config.register(cfg.CONF)
        cfg.CONF.set_override('agent_mode', mode)
        for name, value in options.items():
            cfg.CONF.set_override(name, value, 'ofdvr')
        factory = mock.Mock()
        self.stale = mock.patch('ofdvr_neutron.stale.start').start()
        extension.OfdvrExtension().consume_api(
            l3_agent_extension_api.L3AgentExtensionAPI({}, factory))
        return [(sorted(c.args[0]), c.args[1])
                for c in factory.register.call_args_list]

    def test_registers(self):
        for mode in ('dvr', 'dvr_no_external'):
            self.assertEqual(
                [(['distributed'], router.OfdvrRouter),
                 (['distributed', 'ha'], router.OfdvrRouter)],
                self.consume(mode))

            self.assertEqual(1, self.stale.call_count)

    def test_not_where_snat_is(self):
        self.assertEqual([], self.consume('dvr_snat'))
        self.assertEqual(0, self.stale.call_count)

    def test_bad_endpoint(self):
        self.assertRaises(client.Error, self.consume, 'dvr', endpoint='nope')

    def test_options_have_help(self):
        for group, options in config.list_opts():
            self.assertEqual('ofdvr', group)
            for option in options:
                self.assertTrue(option.help)
