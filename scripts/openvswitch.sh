#!/bin/bash
# Downloads the Open vSwitch of a Debian release, with its libraries, and extracts it to the
# directory DIR. Nothing is installed. Returns quickly if DIR has one; remove DIR to get the
# release's latest.
#
#   scripts/openvswitch.sh SUITE DIR
#
# Its programs are in DIR/bin and its other files in DIR/root. To use them, set
#
#   PATH=DIR/bin:$PATH OVS_PKGDATADIR=DIR/root/usr/share/openvswitch
#
# They run on the kernel of this machine, with the release's own dynamic loader and
# libraries. DIR must not be moved.
set -euo pipefail
suite=$1 dir=$(realpath -m "$2")
programs="ovs-vswitchd ovsdb-server ovsdb-tool ovsdb-client ovs-vsctl ovs-ofctl ovs-appctl ovs-dpctl"

# works reports whether DIR has an Open vSwitch that runs.
works() {
	[ -x "$dir/bin/ovs-vswitchd" ] && "$dir/bin/ovs-vswitchd" --version >/dev/null
}
if works 2>/dev/null; then
	exit 0
fi

# cannot prints why there is no Open vSwitch, and ends the script.
cannot() {
	echo "openvswitch: no Open vSwitch of Debian $suite: $1" >&2
	exit 1
}

# mirror prints the URI of this machine's Debian mirror.
mirror() {
	apt-get indextargets --format '$(REPO_URI)' 'Origin: Debian' 'Label: Debian' 'Created-By: Packages' 2>/dev/null | head -n 1
}

keyring=/usr/share/keyrings/debian-archive-keyring.gpg
command -v apt-get >/dev/null || cannot "apt-get is missing; this script needs Debian"
[ -e $keyring ] || cannot "$keyring is missing; install debian-archive-keyring"
uri=$(mirror)
if [ -z "$uri" ]; then
	echo "openvswitch: reading this machine's package lists"
	apt-get -q update || cannot "apt-get update failed, so Debian's mirror is unknown"
	uri=$(mirror)
	[ -n "$uri" ] || cannot "apt has no source of Debian's packages; add one below /etc/apt/sources.list.d"
fi

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir -p "$scratch/lists/partial" "$scratch/cache/archives/partial" "$scratch/packages"
echo "deb [signed-by=$keyring] $uri $suite main" >"$scratch/sources.list"
# apt runs apt-get or apt-cache with only the release's packages, and as if nothing were installed.
apt() {
	"$@" -q -o Dpkg::Use-Pty=0 -o APT::Sandbox::User=root \
		-o Dir::Etc::sourcelist="$scratch/sources.list" -o Dir::Etc::sourceparts=/dev/null \
		-o Dir::State::lists="$scratch/lists" -o Dir::State::status=/dev/null -o Dir::Cache="$scratch/cache"
}
echo "openvswitch: 1/3 reading package lists of $suite"
apt apt-get update -o APT::Update::Error-Mode=any ||
	cannot "its package lists could not be read; Debian moves old releases from its mirrors to its archive: then use the archive as apt's source"
packages=$(apt apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces --no-enhances openvswitch-switch |
	grep -E '^(lib|openvswitch|zlib)' | sort -u) || cannot "the release has no openvswitch-switch"
echo "openvswitch: 2/3 downloading $(wc -w <<<"$packages") packages"
(cd "$scratch/packages" && apt apt-get download $packages) || cannot "its packages could not be downloaded; try again"

echo "openvswitch: 3/3 extracting them to $dir"
rm -rf "$dir"
mkdir -p "$dir/root" "$dir/bin"
for package in "$scratch"/packages/*.deb; do
	dpkg-deb -x "$package" "$dir/root"
done
shopt -s nullglob
libraries=("$dir"/root/lib/*-linux-gnu* "$dir"/root/usr/lib/*-linux-gnu*)
# bullseye's package makes these links when it is installed, to one of two variants.
for file in "$dir"/root/usr/lib/openvswitch-common/lib*.so.*; do
	ln -s "$file" "$dir"/root/usr/lib/*-linux-gnu*/
done
loader=
for file in "$dir"/root/{lib,usr/lib}/*-linux-gnu*/ld-linux*.so.*; do
	loader=$file
done
[ -n "$loader" ] || cannot "its libc6 has no dynamic loader"
for program in $programs; do
	file=
	for place in usr/bin usr/sbin usr/lib/openvswitch-switch usr/lib/openvswitch-common; do
		if [ -z "$file" ] && [ -x "$dir/root/$place/$program" ]; then
			file=$dir/root/$place/$program
		fi
	done
	[ -n "$file" ] || cannot "its packages have no $program"
	printf '#!/bin/sh\nexec "%s" --library-path "%s" "%s" "$@"\n' \
		"$loader" "$(IFS=: && echo "${libraries[*]}")" "$file" >"$dir/bin/$program"
	chmod 755 "$dir/bin/$program"
done
works || cannot "its ovs-vswitchd does not run here"
echo "openvswitch: done, $("$dir/bin/ovs-vswitchd" --version | head -n 1)"
