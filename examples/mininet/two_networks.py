#!/usr/bin/python3
"""Four mininet hosts on two VLANs of one switch, and ofdvr routing between them.

    sudo examples/mininet/two_networks.py          check and end
    sudo examples/mininet/two_networks.py --cli    look around before

It needs a running Open vSwitch, Debian's or Ubuntu's package mininet, and ofdvr
in PATH or in bin/ of this repository (make build). The exit status is 0 if every
host reaches every other, with the TTL that it should have.
"""
import os
import re
import shutil
import subprocess
import sys

from mininet.cli import CLI
from mininet.net import Mininet
from mininet.node import OVSSwitch

HERE = os.path.dirname(os.path.abspath(__file__))
TOPOLOGY = os.path.join(HERE, "topology.yaml")

# name, VLAN, MAC, address, gateway: as in topology.yaml
HOSTS = [
    ("h1", 1, "02:00:00:00:01:10", "10.0.1.10", "10.0.1.1"),
    ("h2", 1, "02:00:00:00:01:11", "10.0.1.11", "10.0.1.1"),
    ("h3", 2, "02:00:00:00:02:10", "10.0.2.10", "10.0.2.1"),
    ("h4", 2, "02:00:00:00:02:11", "10.0.2.11", "10.0.2.1"),
]


def find_ofdvr():
    path = shutil.which("ofdvr") or shutil.which(os.path.join(HERE, "..", "..", "bin", "ofdvr"))
    if not path:
        sys.exit("ofdvr is neither in PATH nor in bin/: run make build")
    return path


def build():
    """Return a started network: a switch s1, and hosts on its VLANs."""
    net = Mininet(controller=None)
    # The userspace datapath works everywhere. With failMode standalone, s1 needs
    # no controller. It is the integration bridge; ofdvr adds its own bridge.
    s1 = net.addSwitch("s1", cls=OVSSwitch, datapath="user", failMode="standalone")
    for name, vlan, mac, address, gateway in HOSTS:
        host = net.addHost(name, ip=address + "/24", mac=mac, defaultRoute="via " + gateway)
        net.addLink(host, s1)
    net.start()
    for name, vlan, *_ in HOSTS:
        host = net.get(name)
        port = host.connectionsTo(s1)[0][1].name
        subprocess.run(["ovs-vsctl", "set", "Port", port, "tag=%d" % vlan], check=True)
        # The userspace datapath does not complete checksums.
        host.cmd("ethtool -K", host.defaultIntf().name, "tx off")
    return net


def check(net):
    """Ping from every host to every other; return what is wrong, in words."""
    wrong = []
    for name, vlan, *_ in HOSTS:
        for other, other_vlan, _, address, _ in HOSTS:
            if name == other:
                continue
            want = 64 if vlan == other_vlan else 63
            out = net.get(name).cmd("ping -n -c 1 -W 2", address)
            ttl = re.search(r" ttl=(\d+) ", out)
            print("%s -> %s: %s" % (name, other, "ttl=" + ttl.group(1) if ttl else "no reply"))
            if not ttl or int(ttl.group(1)) != want:
                wrong.append("%s -> %s should have ttl=%d" % (name, other, want))
    return wrong


def main():
    ofdvr = find_ofdvr()
    net = build()
    daemon = None
    try:
        daemon = subprocess.Popen([ofdvr, "serve", "--topology", TOPOLOGY,
                                   "--integration-bridge", "s1", "--log-level", "warn"])
        subprocess.run([ofdvr, "status", "--wait"], check=True)
        wrong = check(net)
        if "--cli" in sys.argv[1:]:
            CLI(net)
    finally:
        if daemon:
            daemon.terminate()
            daemon.wait()
            subprocess.run([ofdvr, "cleanup"], check=True)
        net.stop()
    for line in wrong:
        print(line, file=sys.stderr)
    if not wrong:
        print("all %d pings have the TTL that they should have" % (len(HOSTS) * (len(HOSTS) - 1)))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
