#!/bin/sh
# install.sh install | uninstall, from the Makefile, in the project's folder.
#
#   DESTDIR   a folder to put everything under, for a package; empty: this machine
#   PREFIX    where the agent's environment is, /opt/printer-agent
#   UNITDIR, UDEVDIR, BINDIR   where systemd, udev and the shell look
#   PYTHON    the Python that it runs on: the system's, because the service sees neither /home nor /root
#   PIP       a pip to install with; the installed environment has none
#   EXTRAS    of pyproject.toml that a service can have: websocket, qr, sandbox; with a comma between them
#
# The new environment is made beside the old one and takes its place when it is whole. What is in it has the version and
# one of the hashes that constraints/ names, and so has what builds it.
set -eu
umask 022
: "${DESTDIR:=}" "${PREFIX:=/opt/printer-agent}" "${PYTHON:=/usr/bin/python3}" "${PIP:=pip}" "${EXTRAS:=}"
: "${UNITDIR:=/etc/systemd/system}" "${UDEVDIR:=/etc/udev/rules.d}" "${BINDIR:=/usr/local/bin}"
config=/etc/printer-agent
extras=$(echo "$EXTRAS" | tr , ' ')
pip_options='--quiet --disable-pip-version-check'
units='printer-agent.service printer-agent@.service'

fail() {
    echo "install.sh: $*" >&2
    exit 69
}

check() {
    check_prefix
    real=$("$PYTHON" -c 'import os, sys; print(os.path.realpath(sys.executable))') || fail "PYTHON=$PYTHON does not run"
    case $real in /home/* | /root/* | /tmp/*) fail "PYTHON=$PYTHON is $real, which the service cannot see" ;; esac
    "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail "PYTHON=$PYTHON is older than 3.11"
    for extra in $extras; do
        case $extra in
        websocket | qr | sandbox) ;;
        *) fail "EXTRAS=$EXTRAS: a service can have websocket, qr and sandbox" ;;
        esac
    done
}

# Whatever is at PREFIX goes, as a whole: it must be an environment with an agent in it, or nothing yet.
check_prefix() {
    case $PREFIX in /*[!/]) ;; *) fail "PREFIX=$PREFIX: expected an absolute path, without a slash at its end" ;; esac
    old=$DESTDIR$PREFIX
    if [ ! -e "$old" ] && [ ! -L "$old" ]; then return; fi
    if [ ! -L "$old" ] && [ -f "$old/pyvenv.cfg" ] && [ -f "$old/bin/printer-agent" ]; then return; fi
    fail "PREFIX=$PREFIX is there and is no environment of the agent: it is left as it is"
}

# An environment in $1 which works at $2: what pip writes knows only the place where it was made.
environment() {
    rm -rf "$1"
    "$PYTHON" -m venv --without-pip "$1"
    wheels=$(mktemp -d)
    trap 'rm -rf "$wheels"' EXIT
    "$PIP" --python "$1/bin/python" install $pip_options --require-hashes --target "$wheels/build" \
        --requirement constraints/build.txt || fail "not installed: constraints/build.txt, see above"
    files=
    for set in service $extras; do files="$files --requirement constraints/$set.txt"; done
    # From wheels, else from sources, built with what was just installed: nothing else is fetched.
    PYTHONPATH=$wheels/build "$PIP" --python "$1/bin/python" wheel $pip_options --require-hashes --no-build-isolation \
        --use-pep517 --wheel-dir "$wheels" $files || fail "not installed: constraints/service.txt, see above"
    PYTHONPATH=$wheels/build "$PIP" --python "$1/bin/python" wheel $pip_options --no-index --no-deps \
        --no-build-isolation --use-pep517 --wheel-dir "$wheels" .
    "$PIP" --python "$1/bin/python" install $pip_options --no-index --no-deps --no-compile \
        --no-warn-script-location "$wheels"/*.whl
    rm -rf "$wheels"
    find "$1/bin" -mindepth 1 ! -name 'python*' ! -name printer-agent -delete
    find "$1/lib" -name direct_url.json -delete
    sed -i "1s|^#!.*|#!$2/bin/python|" "$1/bin/printer-agent"
    sed -i '/^command = /d' "$1/pyvenv.cfg"
    # The service may not write there, so what Python would keep for the next start is made now.
    "$1/bin/python" -m compileall -q -s "$1" -p "$2" "$1/lib"
}

install_all() {
    check
    environment "$DESTDIR$PREFIX.new" "$PREFIX"
    if [ -e "$DESTDIR$PREFIX" ]; then mv "$DESTDIR$PREFIX" "$DESTDIR$PREFIX.old"; fi
    mv "$DESTDIR$PREFIX.new" "$DESTDIR$PREFIX"
    rm -rf "$DESTDIR$PREFIX.old"
    install -d "$DESTDIR$UNITDIR" "$DESTDIR$UDEVDIR" "$DESTDIR$BINDIR" "$DESTDIR$config"
    for unit in $units; do
        sed "s|/opt/printer-agent/|$PREFIX/|" "systemd/$unit" >"$DESTDIR$UNITDIR/$unit"
    done
    install -m 0644 systemd/60-printer-agent.rules "$DESTDIR$UDEVDIR/"
    ln -sfn "$PREFIX/bin/printer-agent" "$DESTDIR$BINDIR/printer-agent"
    if [ ! -e "$DESTDIR$config/config.toml" ]; then
        install -m 0644 config.example.toml "$DESTDIR$config/config.toml"
    fi
    if [ -z "$DESTDIR" ]; then tell_the_system; fi
}

uninstall_all() {
    check_prefix
    if [ -z "$DESTDIR" ] && [ -d /run/systemd/system ]; then
        systemctl disable --now printer-agent.service 'printer-agent@*.service' || true
    fi
    for unit in $units; do rm -rf "$DESTDIR$UNITDIR/$unit" "$DESTDIR$UNITDIR/$unit.d"; done
    rm -rf "$DESTDIR$UDEVDIR/60-printer-agent.rules" "$DESTDIR$BINDIR/printer-agent" "$DESTDIR$PREFIX"
    if [ -z "$DESTDIR" ]; then tell_the_system; fi
    echo "kept: $config and the state, /var/lib/private/printer-agent"
}

tell_the_system() {
    if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
    if [ -d /run/udev ] && command -v udevadm >/dev/null; then udevadm control --reload && udevadm trigger --subsystem-match=tty; fi
}

case ${1:-} in
install) install_all ;;
uninstall) uninstall_all ;;
*) fail 'expected install or uninstall' ;;
esac
