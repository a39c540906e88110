"""File hosting: files that a member uploads for printers to download, and files that printers upload for the member.

files/<key>/<name>    PUT by a member; GET by anyone who knows the unguessable key: a printer sends no token there
uploads/<key>         PUT by anyone who knows the key (`upload_url` of a `logs` command); GET by the member
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from bottle import Bottle, HTTPResponse, parse_range_header, request, static_file

from agent.sandbox.api_context import ApiContext
from agent.sandbox.web import ApiError, answer, content_length, endpoint, error_answer, header, root_url

MAX_FILE_BYTES = 2048 * 1024 * 1024
"""As the agent's own default for `job.max_file_mb`."""
MAX_UPLOAD_BYTES = 256 * 1024 * 1024

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", re.ASCII)
_KEY = re.compile(r"[A-Za-z0-9_-]{16,64}", re.ASCII)
_CHUNK = 256 * 1024


class FileHosting:
    """Endpoints of hosted files, kept below `folder`: complete ones only, readable by this user alone."""

    def __init__(self, context: ApiContext, folder: Path, *, max_file_bytes: int = MAX_FILE_BYTES) -> None:
        self._context = context
        self._folder = folder
        self._max_file_bytes = max_file_bytes

    def install(self, app: Bottle) -> None:
        """Add the routes to `app`."""
        app.route("/files/<name>", "PUT", endpoint(self.put_file))
        app.route("/files/<key>/<name>", ["GET", "HEAD"], endpoint(self.get_file))
        app.route("/uploads/<key>", "PUT", endpoint(self.put_upload))
        app.route("/uploads/<key>", ["GET", "HEAD"], endpoint(self.get_upload))

    def put_file(self, name: str) -> HTTPResponse:
        """Store the body under a new key; answers `{"url": …}`."""
        self._context.asking_member()
        if not _NAME.fullmatch(name):
            raise ApiError(422, "a file's name has 1 to 128 letters, digits, `.`, `_` and `-`; no `.` or `-` first")
        key = secrets.token_urlsafe(24)
        self._store(self._folder / "files" / key, name, self._max_file_bytes)
        return answer(200, {"url": f"{root_url()}/files/{key}/{quote(name)}"})

    def get_file(self, key: str, name: str) -> HTTPResponse:
        """Serve the file, or a part of it (Range, If-Range)."""
        if not (_KEY.fullmatch(key) and _NAME.fullmatch(name)):
            raise ApiError(404, "no such file")
        return _serve(self._folder / "files" / key, name, key)

    def put_upload(self, key: str) -> HTTPResponse:
        """Store the body in the place that a command named; a second PUT replaces the first."""
        self._place(key)
        self._store(self._folder / "uploads", key, MAX_UPLOAD_BYTES)
        return answer(204)

    def get_upload(self, key: str) -> HTTPResponse:
        """Serve what a printer has uploaded."""
        member_id = self._context.asking_member()
        if self._context.accounts.owned(member_id, self._place(key)) is None:
            raise ApiError(404, "no such place")
        path = self._folder / "uploads" / key
        # Unlike a file it may be replaced, so its age is part of its tag.
        return _serve(path.parent, key, f"{key}-{path.stat().st_mtime_ns if path.is_file() else 0}")

    def _place(self, key: str) -> int:
        printer_id = self._context.accounts.upload_printer(key) if _KEY.fullmatch(key) else None
        if printer_id is None:
            raise ApiError(404, "no such place")
        return printer_id

    def _store(self, folder: Path, name: str, limit: int) -> None:
        """Write the request's body to `folder/name`: whole or not at all."""
        size = content_length()
        if size > limit:
            raise ApiError(413, f"the file has {size} bytes, at most {limit} are taken")
        partial = self._folder / "partial"
        for each in (partial, folder.parent, folder):
            each.mkdir(mode=0o700, exist_ok=True)
        temporary = partial / secrets.token_hex(16)
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as out:
                written = _copy(out.write, size)
                out.flush()
                os.fsync(out.fileno())
            if written != size:
                raise ApiError(400, f"the body ended after {written} of {size} bytes")
            temporary.replace(folder / name)
        finally:
            temporary.unlink(missing_ok=True)


def _copy(write: Callable[[bytes], object], size: int) -> int:
    source = request.environ["wsgi.input"]
    left = size
    while left:
        chunk: bytes = source.read(min(_CHUNK, left))
        if not chunk:
            break
        write(chunk)
        left -= len(chunk)
    return size - left


def _serve(folder: Path, name: str, tag: str) -> HTTPResponse:
    """Serve `folder/name` with Content-Length, a strong ETag and ranges (RFC 9110 §13, §14)."""
    path = folder / name
    if not path.is_file():
        raise ApiError(404, "no such file")
    etag = f'"{tag}"'
    if header("If-Range") not in {"", etag}:
        request.environ.pop("HTTP_RANGE", None)  # the client's part is of another file: it gets the whole
    wanted, size = header("Range"), path.stat().st_size
    if wanted and not list(parse_range_header(wanted, size)):
        response = error_answer(416, f"the file has {size} bytes")
        response.set_header("Content-Range", f"bytes */{size}")
        return response
    # Never a type that a browser would run or show.
    headers = {"X-Content-Type-Options": "nosniff", "Cache-Control": "private"}
    return static_file(name, str(folder), mimetype="application/octet-stream", etag=etag, headers=headers)
