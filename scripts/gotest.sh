#!/bin/bash
# Runs go test -json: scripts/gotest.sh FLAG... -- PACKAGE... gotestsum runs this script.
#
# With -race among the flags, packages without goroutines are tested first, without the race
# detector: it cannot find anything in them, and takes most of their CPU time. All other packages
# that use them are tested with it. TestPackagesWithoutGoroutines checks the list.
set -uo pipefail
sequential="internal/sorted ofproto routing routing/compile routing/topology routing/trace"

flags=() race=
while [ "$1" != -- ]; do
	if [ "$1" = -race ]; then race=-race; else flags+=("$1"); fi
	shift
done
shift

plain=() concurrent=()
packages=$(go list "$@") || exit 1
for package in $packages; do
	if [[ -n $race && " $sequential " == *" ${package#github.com/ofdvr/ofdvr/} "* ]]; then
		plain+=("$package")
	else
		concurrent+=("$package")
	fi
done

status=0
if [ ${#plain[@]} -gt 0 ]; then
	go test -json "${flags[@]}" "${plain[@]}" || status=$?
fi
if [ ${#concurrent[@]} -gt 0 ]; then
	go test -json $race "${flags[@]}" "${concurrent[@]}" || status=$?
fi
exit $status
