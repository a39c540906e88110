"""Firmware packages for the simulated board, on a server, and an install command that the test holds up."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler
from pathlib import Path

from agent.files.firmware_file import make_manifest, manifest_path, signature_path
from agent.service.signature import make_keys
from drivers.simulated.firmware_image import build_image
from tests.support.file_server import FileServer, reply
from tests.support.tools import need

MODEL = "Mk-3"
FLASH = (
    "['/bin/sh', '{script}', '-c', 'wiring', '-p', 'm2560', '-P', '{{port}}', '-b', '115200', '-D', '-U', '{flash}']"
)


class Flashing:
    """`install` says what the install command does before and after avrdude; `begun` counts how often it began."""

    def __init__(self, folder: Path) -> None:
        need("avrdude")
        self._folder = folder
        folder.mkdir()
        make_keys(folder / "key", folder / "key.pub")
        self._script, self._begun, self._go = folder / "install", folder / "begun", folder / "go"
        self.install()
        self.files: dict[str, bytes] = {}
        self.server = FileServer()
        self.server.answers.append(self.answer)

    @property
    def config(self) -> str:
        """`[firmware_upgrade]` of the agent."""
        command = FLASH.format(script=self._script, flash="flash:w:{package}:r")
        key = self._folder / "key.pub"
        return f"[firmware_upgrade]\ncommand = {command}\npublic_key = '{key}'\nmodel = '{MODEL}'\n"

    @property
    def begun(self) -> int:
        """How often the install command has begun."""
        return self._begun.read_text().count("begun") if self._begun.exists() else 0

    def install(self, body: str = 'exec avrdude "$@"', *, waits: bool = False) -> None:
        """What the command does from now on; with `waits` not before `go`."""
        self._go.unlink(missing_ok=True)
        wait = f"while [ ! -e {self._go} ]; do sleep 0.05; done\n" if waits else ""
        self._script.write_text(f"echo begun >>{self._begun}\n{wait}{body}\n")

    def go(self) -> None:
        """Let the command go on."""
        self._go.touch()

    def half(self) -> str:
        """A body for `install` that writes half of the image, and then waits for `go`."""
        avrdude = f"avrdude -c wiring -p m2560 -P $6 -b 115200 -D -V -U flash:w:{self._folder}/half:r"
        begins = f"head -c 1024 $PRINTER_AGENT_PACKAGE >{self._folder}/half; {avrdude} && touch {self._folder}/broken"
        return f"{begins}; while [ ! -e {self._go} ]; do sleep 0.05; done"

    @property
    def broken(self) -> bool:
        """Whether half an image has been written."""
        return (self._folder / "broken").exists()

    def build(self, version: str, *, key: Path | None = None) -> str:
        """Make, sign and serve a package with the firmware `Marlin VERSION`; its URL."""
        package = self._folder / f"fw-{version}"
        package.write_bytes(build_image(f"Marlin {version}"))
        make_manifest(package, model=MODEL, version=version, private_key=key or self._folder / "key")
        for path in (package, manifest_path(package), signature_path(package)):
            self.files[path.name] = path.read_bytes()
        return f"{self.server.url}/{package.name}"

    def strange_key(self) -> Path:
        """A key that the printer does not know."""
        path = self._folder / "strange"
        make_keys(path, self._folder / "strange.pub")
        return path

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """Serve what was built."""
        name = request.path.lstrip("/")
        reply(200 if name in self.files else 404, self.files.get(name, b""))(request)
