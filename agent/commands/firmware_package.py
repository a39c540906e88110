"""Keys for firmware packages, and the packages themselves."""

from __future__ import annotations

import argparse

import msgspec

from agent.commands.console import emit
from agent.errors import EX_OK
from agent.files.firmware_file import check_content, make_manifest, manifest_path, read_manifest, signature_path
from agent.files.firmware_manifest import check_model, check_version
from agent.service.signature import make_keys
from agent.service.system_clock import SystemClock


def package(arguments: argparse.Namespace) -> int:
    """Make keys for firmware packages, sign a package, or check one."""
    return {"key": _package_key, "make": _package_make, "check": _package_check}[arguments.action](arguments)


def _package_key(arguments: argparse.Namespace) -> int:
    public = arguments.file.with_name(arguments.file.name + ".pub")
    make_keys(arguments.file, public)
    if arguments.json:
        emit({"private_key": str(arguments.file), "public_key": str(public)})
    else:
        print(f"{arguments.file}: the private key; keep it where packages are signed\n{public}: the public key")
    return EX_OK


def _package_make(arguments: argparse.Namespace) -> int:
    made = make_manifest(arguments.file, model=arguments.model, version=arguments.version, private_key=arguments.key)
    if arguments.json:
        beside = [manifest_path(arguments.file).name, signature_path(arguments.file).name]
        emit({"file": str(arguments.file), **msgspec.to_builtins(made), "serve_beside": beside})
        return EX_OK
    print(f"{arguments.file}: version {made.version} for {made.model}, {made.size} bytes, SHA-256 {made.sha256}")
    print(f"serve beside it: {manifest_path(arguments.file).name}, {signature_path(arguments.file).name}")
    return EX_OK


def _package_check(arguments: argparse.Namespace) -> int:
    manifest = read_manifest(arguments.file, arguments.key, clock=SystemClock())
    if arguments.model is not None:
        check_model(manifest, arguments.model)
    check_version(manifest, arguments.installed)
    check_content(arguments.file, manifest)
    if arguments.json:
        emit({"file": str(arguments.file), "check": "good", **msgspec.to_builtins(manifest)})
        return EX_OK
    print(f"{arguments.file}: good: version {manifest.version} for {manifest.model}, {manifest.size} bytes")
    return EX_OK
