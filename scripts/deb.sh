#!/bin/sh
# Collects the files of the Debian package in bin/deb/root and makes the package
# from them: scripts/deb.sh VERSION ARCH NFPM. The same commit, version and Go give
# the same package, byte by byte, at any place and time. SOURCE_DATE_EPOCH is the
# time of all files in it.
set -eu
umask 022
export LC_ALL=C TZ=UTC
export VERSION=$1 ARCH=$2
nfpm=$3
if [ -z "$VERSION" ] || [ -z "${SOURCE_DATE_EPOCH-}" ]; then
	echo "make the package: this is not a git checkout; give a version and a date: make deb VERSION=1.2.3 SOURCE_DATE_EPOCH=1700000000" >&2
	exit 1
fi

root=bin/deb/root
doc=$root/usr/share/doc/ofdvr
rm -rf bin/deb
mkdir -p bin/deb "$doc/docs" "$root/etc/ofdvr"

# into installs files with a mode into a directory of the package.
into() {
	dir=$root$2 mode=$1
	shift 2
	mkdir -p "$dir"
	install -m "$mode" "$@" "$dir"
}

# The program is static, and does not depend on the directory of the build.
CGO_ENABLED=0 GOOS=linux GOARCH=$ARCH go build ${NOVCS-} -trimpath -ldflags "-s -w -X main.release=$VERSION" -o bin/deb/ofdvr ./cmd/ofdvr
into 755 /usr/bin bin/deb/ofdvr
into 644 /usr/lib/systemd/system contrib/systemd/ofdvr.service

# The program generates its manual and its completion; for another architecture,
# one for this machine does.
ofdvr=bin/deb/ofdvr
if [ "$ARCH" != "$(go env GOHOSTARCH)" ]; then
	ofdvr=bin/deb/here/ofdvr
	GOARCH=$(go env GOHOSTARCH) go build ${NOVCS-} -ldflags "-X main.release=$VERSION" -o $ofdvr ./cmd/ofdvr
fi
$ofdvr man bin/deb/man
gzip -9n bin/deb/man/*.1
into 644 /usr/share/man/man1 bin/deb/man/*.1.gz
for shell in bash zsh fish; do
	$ofdvr completion $shell >bin/deb/$shell
done
mkdir -p $root/usr/share/bash-completion/completions $root/usr/share/zsh/vendor-completions $root/usr/share/fish/vendor_completions.d
install -m 644 bin/deb/bash $root/usr/share/bash-completion/completions/ofdvr
install -m 644 bin/deb/zsh $root/usr/share/zsh/vendor-completions/_ofdvr
install -m 644 bin/deb/fish $root/usr/share/fish/vendor_completions.d/ofdvr.fish

mkdir -p $root/usr/share/lintian/overrides
install -m 644 contrib/deb/lintian-overrides $root/usr/share/lintian/overrides/ofdvr
into 644 /usr/share/doc/ofdvr README.md ARCHITECTURE.md CONTRIBUTING.md contrib/deb/copyright
into 644 /usr/share/doc/ofdvr/docs docs/*.md
for example in examples/*/; do
	into 644 "/usr/share/doc/ofdvr/$example" "$example"*
done
into 644 /usr/share/doc/ofdvr/examples examples/README.md
cat >bin/deb/changelog <<END
ofdvr ($VERSION) unstable; urgency=medium

  * See the history of the repository.

 -- The ofdvr maintainers <ofdvr@users.noreply.github.com>  $(date -R -d "@$SOURCE_DATE_EPOCH")
END
gzip -9n bin/deb/changelog
into 644 /usr/share/doc/ofdvr bin/deb/changelog.gz

# The licences of linked modules require that they are included.
go list -deps -f '{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}} {{.Dir}}{{end}}{{end}}' ./cmd/ofdvr | sort -u |
	while read -r path version dir; do
		for file in "$dir"/LICEN[CS]E* "$dir"/NOTICE* "$dir"/COPYING*; do
			if [ -f "$file" ]; then
				printf '=== %s %s: %s\n\n' "$path" "$version" "${file##*/}"
				cat "$file"
				echo
			fi
		done
	done >bin/deb/third-party-licences
printf '=== go: LICENSE\n\n' >>bin/deb/third-party-licences
cat "$(go env GOROOT)/LICENSE" >>bin/deb/third-party-licences
gzip -9n bin/deb/third-party-licences
into 644 /usr/share/doc/ofdvr bin/deb/third-party-licences.gz

"$nfpm" package --config contrib/deb/nfpm.yaml --packager deb --target "bin/ofdvr_${VERSION}_$ARCH.deb"
