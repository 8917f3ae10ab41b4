"""Options of the section [ofdvr] of the L3 agent's configuration."""

from oslo_config import cfg

OPTS = [
    cfg.StrOpt('endpoint', default='unix:/run/ofdvr/api.sock',
               help='The endpoint of the API of ofdvr on this host: '
                    'unix:PATH.'),
    cfg.IntOpt('timeout', default=30, min=1,
               help='Seconds to wait until ofdvr has applied a change. A '
                    'change that takes longer continues.'),
    cfg.IntOpt('retry_interval', default=2, min=1,
               help='Seconds between retries when ofdvr does not answer.'),
    cfg.IntOpt('plug_timeout', default=20, min=1,
               help="Seconds to wait for a router's tap in its namespace. "
                    'After that the agent fails to process the router and '
                    'retries, as when Open vSwitch does not make a port.'),
]


def register(conf):
    conf.register_opts(OPTS, 'ofdvr')


def list_opts():
    """Options for oslo-config-generator."""
    return [('ofdvr', OPTS)]
