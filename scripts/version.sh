#!/bin/sh
# Prints the version of the checkout as Debian writes it: 1.2.3 at tag v1.2.3,
# 1.2.3+4.g1234567 four commits later, and before the first tag 0.0~ with the time
# and the name of the last commit, so that a later one is newer.
set -eu
export TZ=UTC
if tag=$(git describe --tags --match 'v[0-9]*' 2>/dev/null); then
	echo "${tag#v}" | sed 's/-\([0-9]*\)-g/+\1.g/; s/-/~/'
else
	git log -1 --format='0.0~%cd.g%h' --date=format-local:%Y%m%d%H%M%S
fi
