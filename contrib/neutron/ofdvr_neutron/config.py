"""Options of the section [ofdvr] of the L3 agent's configuration."""

from oslo_config import cfg

OPTS = [
    cfg.StrOpt('endpoint', default='unix:/run/ofdvr/api.sock',
               help='Where the API of ofdvr is on this host: unix:PATH.'),
    cfg.IntOpt('timeout', default=30, min=1,
               help='Seconds that ofdvr may take to carry out what it is '
                    'told. What takes longer goes on, and is asked for '
                    'again.'),
    cfg.IntOpt('retry_interval', default=2, min=1,
               help='Seconds between attempts to tell ofdvr, when it does '
                    'not answer.'),
    cfg.IntOpt('plug_timeout', default=20, min=1,
               help="Seconds until a router's tap has to be in its namespace. "
                    'After that the agent gives up on the router and tries '
                    'again, as it does when Open vSwitch does not make a '
                    'port.'),
]


def register(conf):
    conf.register_opts(OPTS, 'ofdvr')


def list_opts():
    """What oslo-config-generator lists."""
    return [('ofdvr', OPTS)]
