#!/bin/sh
# go.sh prints "ok" if the go command in PATH is as new as go.mod asks for, or can fetch
# it (Go 1.21 and later do that by themselves). Otherwise it says on standard error what
# is wrong and what to do.
cd "$(dirname "$0")/.." || exit 1
needed=$(awk '$1 == "go" {split($2, v, "."); print v[1] "." v[2]}' go.mod)

if ! path=$(command -v go); then
	wrong="there is no go command in PATH"
elif ! version=$(go version 2>&1); then
	wrong="$path fails: $version"
else
	version=${version#go version go}
	version=${version%% *}
	minor=${version#*.}
	if [ "${version%%.*}" -gt "${needed%%.*}" ] 2>/dev/null || [ "${version%%.*}" = "${needed%%.*}" ] && [ "${minor%%[!0-9]*}" -ge "${needed#*.}" ] 2>/dev/null; then
		echo ok
		exit
	fi
	case $version in
	devel*) # built from Go's own source: its build is the check
		echo ok
		exit
		;;
	esac
	wrong="$path is Go $version"
fi
case $(uname -m) in
aarch64) arch=arm64 ;;
*) arch=amd64 ;;
esac
cat >&2 <<END
ofdvr needs Go $needed or later to build and to test; $wrong.
Debian 12 has 1.19, Debian 13 has 1.24. The current release from go.dev goes to /usr/local/go, beside a packaged one:

  version=\$(curl -fsSL 'https://go.dev/VERSION?m=text' | head -n 1)
  rm -rf /usr/local/go
  curl -fL "https://go.dev/dl/\$version.linux-$arch.tar.gz" | tar -C /usr/local -xz
  export PATH=/usr/local/go/bin:\$PATH

END
