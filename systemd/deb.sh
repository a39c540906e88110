#!/bin/sh
# deb.sh, from the Makefile, in the project's folder: dist/printer-agent_VERSION_ARCH.deb, for this machine's Debian and
# processor. It holds what install.sh installs; no compiler is needed. The variables are install.sh's.
set -eu
umask 022
: "${PYTHON:=/usr/bin/python3}"
command -v dpkg-deb >/dev/null || { echo 'deb.sh: dpkg-deb is not installed' >&2; exit 69; }
root=$(mktemp -d)
chmod 0755 "$root"
trap 'rm -rf "$root"' EXIT
DESTDIR=$root UNITDIR=/lib/systemd/system UDEVDIR=/lib/udev/rules.d BINDIR=/usr/bin PREFIX=/opt/printer-agent \
    sh systemd/install.sh install

version=$("$root/opt/printer-agent/bin/python" -c 'from importlib.metadata import version as v; print(v("printer-agent"))')
minor=$("$PYTHON" -c 'import sys; print(sys.version_info.minor)')
arch=$(dpkg --print-architecture)
install -d "$root/DEBIAN" "$root/usr/share/doc/printer-agent"
install -m 0644 systemd/README.md config.example.toml CHANGELOG.md "$root/usr/share/doc/printer-agent/"
install -m 0644 LICENSE "$root/usr/share/doc/printer-agent/copyright"
cat >"$root/DEBIAN/control" <<END
Package: printer-agent
Version: $version
Architecture: $arch
Maintainer: printer-agent
Section: misc
Priority: optional
Installed-Size: $(du -sk "$root" | cut -f1)
Depends: python3 (>= 3.$minor), python3 (<< 3.$((minor + 1))), systemd (>= 250)
Recommends: udev
Suggests: openssl
Description: daemon on a 3D printer's board
 Hears commands on a Faye channel, prints over a serial line and reports over HTTP. See
 /usr/share/doc/printer-agent/README.md; the service is enabled by hand, after it was configured.
END
echo /etc/printer-agent/config.toml >"$root/DEBIAN/conffiles"
for script in postinst prerm postrm; do install -m 0755 "systemd/deb/$script" "$root/DEBIAN/$script"; done
mkdir -p dist
dpkg-deb --root-owner-group --build "$root" "dist/printer-agent_${version}_$arch.deb"
