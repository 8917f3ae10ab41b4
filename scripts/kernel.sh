#!/bin/bash
# Downloads a Linux kernel with an openvswitch module, Debian's newest, and extracts it to
# the directory DIR. Nothing is installed, and this machine boots as before. Returns quickly
# if this machine or DIR already has such a kernel.
#
#   scripts/kernel.sh DIR
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin
dir=$1

for root in "" "$dir"; do
	for module in "$root"/lib/modules/*/kernel/net/openvswitch/openvswitch.ko*; do
		version=${module#"$root/lib/modules/"}
		if [ -e "$module" ] && [ -e "$root/boot/vmlinuz-${version%%/*}" ]; then
			exit 0
		fi
	done
done

# cannot prints why there is no kernel, and ends the script.
cannot() {
	echo "kernel: no kernel with an openvswitch module: $1" >&2
	exit 1
}

command -v apt-get >/dev/null || cannot "apt-get is missing; install your system's kernel package, with /boot/vmlinuz-* and /lib/modules"
package=$(apt-cache depends linux-image-amd64 2>/dev/null | awk '$1 == "Depends:" && $2 ~ /^linux-image-/ {print $2; exit}')
if [ -z "$package" ]; then
	echo "kernel: 1/3 reading package lists"
	apt-get -q update || cannot "apt-get update did not succeed"
	package=$(apt-cache depends linux-image-amd64 | awk '$1 == "Depends:" && $2 ~ /^linux-image-/ {print $2; exit}')
	[ -n "$package" ] || cannot "the package linux-image-amd64 is not Debian's"
fi
scratch=$(mktemp -d)
trap 'rm -rf "$scratch" "$dir.new"' EXIT
chmod 755 "$scratch" # for apt's own user
echo "kernel: 2/3 downloading $package"
(cd "$scratch" && apt-get -q -o Dpkg::Use-Pty=0 -o APT::Sandbox::User=root download "$package") || cannot "$package could not be downloaded; perhaps apt-get update helps"
echo "kernel: 3/3 extracting it to $dir"
rm -rf "$dir.new" "$dir"
mkdir -p "$dir.new"
dpkg-deb -x "$scratch"/*.deb "$dir.new"
depmod -b "$dir.new" "${package#linux-image-}"
mv "$dir.new" "$dir"
echo "kernel: done"
