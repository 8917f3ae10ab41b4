#!/bin/bash
# Installs what the demo and the tests need and this machine lacks. Returns quickly if
# nothing is missing.
#
#   scripts/setup.sh           for the demo and the examples
#   scripts/setup.sh --bench   also the peers of the benchmarks
#   scripts/setup.sh --tests   also what only the tests need; if it cannot install
#                              (not root, or not Debian or Ubuntu), it only prints
#                              a warning, because the tests that need it are then
#                              skipped; with CI=true it fails
#   scripts/setup.sh --neutron also a Neutron with its dependencies: some 250
#                              packages
#   scripts/setup.sh --kernel  also an emulator to boot another kernel, and the
#                              kernel if this machine has no suitable one
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin

tests=false
case ${1:-} in --tests | --neutron | --kernel) tests=true ;; esac

# a command or a file, and the packages that provide it
needed="
ovs-vswitchd openvswitch-switch
ovsdb-server openvswitch-switch
ovs-vsctl    openvswitch-switch
ovs-ofctl    openvswitch-switch
ip           iproute2
ping         iputils-ping
ethtool      ethtool
tcpdump      tcpdump
traceroute   traceroute
iperf3       iperf3
mn           mininet
curl         curl
nsenter      util-linux
mount        mount
losetup      mount
mkfs.ext4    e2fsprogs
mkfs.ext2    e2fsprogs
openssl      openssl
nft          nftables
"
if $tests; then
	needed+="
gcc          gcc libc6-dev
radvd        radvd
prometheus   prometheus
chromium     chromium
addgroup     adduser
lintian      lintian
/lib/systemd/systemd systemd
"
fi
if [ "${1:-}" = --bench ]; then
	needed+="
ovn-northd     ovn-central
ovn-controller ovn-host
"
fi
if [ "${1:-}" = --neutron ]; then
	python=/usr/lib/python3/dist-packages
	needed+="
neutron-server             neutron-server
neutron-openvswitch-agent  neutron-openvswitch-agent
neutron-l3-agent           neutron-l3-agent
mariadbd                   mariadb-server-core
mariadb                    mariadb-client-core
/usr/lib/rabbitmq/bin/rabbitmq-server rabbitmq-server
$python/pymysql            python3-pymysql
$python/setuptools         python3-setuptools
$python/testtools          python3-testtools
$python/testscenarios      python3-testscenarios
$python/testresources      python3-testresources
$python/oslotest           python3-oslotest
$python/webtest            python3-webtest
$python/ddt.py             python3-ddt
"
fi
if [ "${1:-}" = --kernel ]; then
	# The package busybox has the command too, but as a dynamically linked program.
	needed+="
qemu-system-x86_64         qemu-system-x86
/var/lib/dpkg/info/busybox-static.list busybox-static
cpio                       cpio
depmod                     kmod
"
fi
packages=()
# have reports whether a command or a file exists.
have() {
	case $1 in
	/*) [ -e "$1" ] ;;
	*) command -v "$1" >/dev/null ;;
	esac
}
while read -r command package; do
	if [ -n "$command" ] && ! have "$command" && [[ " ${packages[*]} " != *" $package "* ]]; then
		read -ra several <<<"$package"
		packages+=("${several[@]}")
	fi
done <<<"$needed"

# kernel downloads a kernel if necessary, and ends the script.
kernel() {
	if [ "$option" != --kernel ] || "${0%/*}/kernel.sh" "${0%/*}/../bin/kernel"; then
		exit 0
	fi
	[ "${CI:-}" != true ] || exit 1
	echo "setup: going on without a kernel; what needs one will be skipped" >&2
	exit 0
}
option=${1:-}
if [ ${#packages[@]} -eq 0 ]; then
	kernel
fi

# cannot prints why nothing can be installed, and ends the script.
cannot() {
	echo "setup: missing: ${packages[*]}; $1" >&2
	if $tests && [ "${CI:-}" != true ]; then
		echo "setup: going on without; tests that need it will be skipped" >&2
		exit 0
	fi
	exit 1
}

id=$(. /etc/os-release 2>/dev/null && echo "${ID:-} ${ID_LIKE:-}" || true)
case " $id " in
*" debian "* | *" ubuntu "*) command -v apt-get >/dev/null || cannot "apt-get is missing; install these packages or their equivalents" ;;
*) cannot "this is neither Debian nor Ubuntu; install these packages or their equivalents" ;;
esac
if [ "$(id -u)" != 0 ]; then
	cannot "run as root: apt-get install --no-install-recommends ${packages[*]}"
fi

# Packages start their services when they are installed. The lab starts its own
# Open vSwitch, and a running one must not be restarted. So no service may be
# started or stopped during the installation (invoke-rc.d(8)).
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
	trap 'rm -f $policy' EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM
	printf '#!/bin/sh\nexit 101\n' >$policy
	chmod 755 $policy
fi

export DEBIAN_FRONTEND=noninteractive
apt() {
	apt-get -q -y -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "$@" </dev/null
}
echo "setup: installing ${packages[*]}"
echo "setup: 1/2 reading package lists"
apt update
echo "setup: 2/2 installing"
apt install --no-install-recommends "${packages[@]}"
echo "setup: done"
kernel
