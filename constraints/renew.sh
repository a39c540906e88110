#!/bin/sh
# renew.sh, from the Makefile (`make pins`), in the project's folder: the newest versions that pyproject.toml allows, for
# every Python from the oldest that it allows on and for every processor. Needs the package index that pip is configured
# for; uv resolves, from an environment of its own that is gone afterwards.
#
#   test.txt       what `make dry-run`, `make test` and `make lint` install and build with: exact versions
#   service.txt    what the service needs, with the hashes of all files that the index has of it
#   NAME.txt       the same for the extra NAME of pyproject.toml that a service can be installed with
#   build.txt      the same for what builds the service and, on a machine without a wheel, its dependencies
set -eu
: "${PYTHON:=python3}"
here=constraints
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$PYTHON" -m venv "$work/env"
"$work/env/bin/pip" install --quiet --disable-pip-version-check uv
index=$("$work/env/bin/pip" config get global.index-url 2>/dev/null || true)
index=${PIP_INDEX_URL:-$index}
if [ -n "$index" ]; then export UV_DEFAULT_INDEX="$index"; fi

# What pyproject.toml names: `dependencies`, or an extra.
named() {
    "$work/env/bin/python" - "$1" <<'END'
import sys, tomllib
with open("pyproject.toml", "rb") as file:
    project = tomllib.load(file)["project"]
print(*(project["dependencies"] if sys.argv[1] == "service" else project["optional-dependencies"][sys.argv[1]]), sep="\n")
END
}

oldest=$("$work/env/bin/python" -c 'import tomllib; print(tomllib.load(open("pyproject.toml", "rb"))["project"]["requires-python"].lstrip(">="))')

resolve() { # resolve FROM TO [ARGUMENT]…
    from=$1 to=$2
    shift 2
    echo '# Made by `make pins` (constraints/renew.sh).' >"$work/pins"
    "$work/env/bin/uv" pip compile --quiet --no-config --universal --python-version "$oldest" --no-header --no-annotate \
        --no-emit-index-url --no-emit-find-links "$@" "$from" >>"$work/pins"
    cp "$work/pins" "$here/$to"
}

for set in service websocket qr sandbox; do named "$set" >"$work/$set.in"; done
cat "$here/build.in" "$work/service.in" "$work/websocket.in" "$work/qr.in" "$work/sandbox.in" >"$work/all.in"
named test | grep -v '^printer-agent' >>"$work/all.in"
resolve "$work/all.in" test.txt
for set in service websocket qr sandbox; do resolve "$work/$set.in" "$set.txt" --constraint "$here/test.txt" --generate-hashes; done
resolve "$here/build.in" build.txt --constraint "$here/test.txt" --generate-hashes
echo "constraints/: $(grep -c == "$here/test.txt") versions; see what has changed with: git diff --stat constraints"
