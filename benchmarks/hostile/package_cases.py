"""Cases of firmware packages: of whoever publishes or serves one, and of the owner's own install command."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agent.files.firmware_file import make_manifest, manifest_path, signature_path
from agent.service.signature import make_keys
from benchmarks.hostile.answers import OK, HostileHost, endless, whole
from benchmarks.hostile.case import Case, Control
from benchmarks.hostile.run import Group
from benchmarks.hostile.stage import Stage

MODEL = "Mk-3"
# What an install command does, by the version that it is to install.
SCRIPT = """case $PRINTER_AGENT_VERSION in
3.*) head -c 300000000 /dev/zero | tr '\\0' x ;;
4.*) (trap '' TERM HUP; sleep 300) & echo $! >CHILD ;;
5.*) env >ENVIRON ;;
9.*) while :; do echo endless; done ;;
esac
echo $PRINTER_AGENT_VERSION >>INSTALLED"""


def prepare(folder: Path, host: HostileHost) -> tuple[str, dict[str, Any]]:
    """A key of the owner, another one, and an install command."""
    make_keys(folder / "key", folder / "key.pub")
    make_keys(folder / "other", folder / "other.pub")
    names = {name: folder / name.lower() for name in ("CHILD", "ENVIRON", "INSTALLED")}
    script = SCRIPT
    for name, path in names.items():
        script = script.replace(name, str(path))
    install = folder / "install.sh"
    install.write_text(script)
    more = (
        f'[firmware_upgrade]\ncommand = ["/bin/sh", "{install}"]\npublic_key = "{folder / "key.pub"}"\n'
        f'model = "{MODEL}"\ntimeout_s = 12\n'
    )
    return more, {
        "folder": folder,
        "installed": names["INSTALLED"],
        "child": names["CHILD"],
        "environ": names["ENVIRON"],
    }


def package(stage: Stage, version: str, *, key: str = "key", model: str = MODEL, served: bytes | None = None) -> str:
    """Make, sign and serve one; its URL. `served` is given in place of the package."""
    folder: Path = stage.config["folder"]
    path = folder / f"fw-{version}-{key}-{model}"
    path.write_bytes(b"firmware" + version.encode())
    make_manifest(path, model=model, version=version, private_key=folder / key)
    for part in (path, manifest_path(path), signature_path(path)):
        stage.host.serve(f"/{part.name}", whole(part.read_bytes() if part != path or served is None else served))
    return f"{stage.host.url}/{path.name}"


def upgrade(stage: Stage, url: str) -> dict[str, Any]:
    """Publish it and wait for its end."""
    return stage.rig.ended(stage.rig.command("firmware_upgrade", package_url=url), within=30.0)


def refused(make: Callable[[Stage], str]) -> Callable[[Stage], None]:
    """A package that is not installed."""

    def attack(stage: Stage) -> None:
        installed: Path = stage.config["installed"]
        before = installed.read_text() if installed.exists() else ""
        end = upgrade(stage, make(stage))
        assert end["data"]["state"] == "failed", end
        assert (installed.read_text() if installed.exists() else "") == before, "it was installed"

    return attack


def older(stage: Stage) -> None:
    """A newer one, then an older one again and again."""
    end = upgrade(stage, package(stage, "2.10"))
    assert end["data"]["state"] == "completed", end
    for _ in range(3):
        refused(lambda stage: package(stage, "2.9"))(stage)


def served(name: str, make: Callable[[Stage], Callable[[Any], None]]) -> Callable[[Stage], str]:
    """A package of which one part is answered so."""

    def prepared(stage: Stage) -> str:
        url = package(stage, "2.11")
        stage.host.serve(url.removeprefix(stage.host.url) + name, make(stage))
        return url

    return prepared


def during_a_print(stage: Stage) -> None:
    """A good one, twenty times, while it prints: refused as busy."""
    for _ in range(20):
        end = upgrade(stage, package(stage, "2.12"))
        assert end["data"]["state"] == "failed", end


def output(stage: Stage) -> None:
    """An install command that prints 300 MB."""
    assert upgrade(stage, package(stage, "3.0"))["data"]["state"] == "completed"


def endless_output(stage: Stage) -> None:
    """One that never ends, and prints all the while."""
    end = upgrade(stage, package(stage, "9.0"))
    assert end["data"]["state"] == "failed", end


def children(stage: Stage) -> None:
    """One that leaves a child which ignores SIGTERM."""
    assert upgrade(stage, package(stage, "4.0"))["data"]["state"] == "completed"
    child = int(Path(stage.config["child"]).read_text())
    end = time.monotonic() + 5.0
    while os.path.exists(f"/proc/{child}") and time.monotonic() < end:  # noqa: PTH110
        time.sleep(0.05)
    assert time.monotonic() < end, "a child of the install command lives on"


def environment(stage: Stage) -> None:
    """One that writes down what it was given."""
    assert upgrade(stage, package(stage, "5.0"))["data"]["state"] == "completed"
    names = {line.partition("=")[0] for line in Path(stage.config["environ"]).read_text().splitlines()}
    assert "NETRC" not in names, f"it has the agent's environment: {sorted(names)}"


OWN = Control.OWN
NOT = "not installed"
CASES = (
    Case("package-older", "publisher", "an older signed package after a newer one, again and again", NOT, older, OWN),
    Case(
        "package-key",
        "publisher",
        "a package signed with another key",
        NOT,
        refused(lambda s: package(s, "2.13", key="other")),
        OWN,
    ),
    Case(
        "package-model",
        "publisher",
        "a package for another model",
        NOT,
        refused(lambda s: package(s, "2.13", model="Mk-4")),
        OWN,
    ),
    Case(
        "package-content",
        "host of packages",
        "another package under the signed manifest",
        NOT,
        refused(lambda s: package(s, "2.13", served=b"firmware2.14")),
        OWN,
    ),
    Case(
        "package-endless",
        "host of packages",
        "a package without end",
        NOT,
        refused(served("", lambda s: endless(s.ends, OK + b"\r\n", b"x" * 65536))),
        OWN,
    ),
    Case(
        "package-manifest",
        "host of packages",
        "a manifest without end",
        NOT,
        refused(served(".manifest", lambda s: endless(s.ends, OK + b"\r\n", b" " * 65536))),
        OWN,
    ),
    Case(
        "package-signature",
        "host of packages",
        "a signature without end",
        NOT,
        refused(served(".manifest.sig", lambda s: endless(s.ends, OK + b"\r\n", b"x" * 65536))),
        OWN,
    ),
    Case(
        "package-tree",
        "host of packages",
        "a manifest of lists in each other",
        NOT,
        refused(served(".manifest", lambda _: whole(b"[" * 4000))),
        OWN,
    ),
    Case("package-print", "publisher", "twenty good packages during a print", "refused as busy", during_a_print),
    Case("package-output", "owner's package", "an install command that prints 300 MB", "its end is kept", output, OWN),
    Case("package-children", "owner's package", "one that leaves a child", "killed with its group", children, OWN),
    Case(
        "package-environment",
        "owner's package",
        "one that looks at its environment",
        "it has nothing of the agent's",
        environment,
        OWN,
    ),
    Case(
        "package-forever", "owner's package", "one that prints without end", "killed at its limit", endless_output, OWN
    ),
)

GROUPS = (Group("packages", CASES, prepare),)
