"""HTTP requests and answers of the local cloud: reading bodies and headers, writing JSON and errors."""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec
from bottle import HTTPResponse, request

from agent.sandbox.original_bodies import form_object

MAX_JSON_BYTES = 1024 * 1024
"""Bytes of the largest JSON body taken; reports are 5,000 characters, Faye batches may be larger."""

FORM_TYPE = "application/x-www-form-urlencoded"
"""Media type of what a browser's form, and the first simulator, sends."""

_HOST = re.compile(r"[A-Za-z0-9.\-]+(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?", re.ASCII)


class ApiError(Exception):
    """Ends a request with `status` and the JSON body `{"error": {"code", "message"}}`. Never holds a token."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def answer(status: int, body: object = None) -> HTTPResponse:
    """Make a response with `body` as JSON; None gives an empty body, as 204 needs it."""
    if body is None:
        return HTTPResponse(status=status)
    return HTTPResponse(
        msgspec.json.encode(body), status=status, headers={"Content-Type": "application/json; charset=utf-8"}
    )


def error_answer(status: int, message: str) -> HTTPResponse:
    """Make the response of an error, whose body names it for a person."""
    return answer(status, {"error": {"code": status, "message": message}})


def endpoint(handler: Callable[..., HTTPResponse]) -> Callable[..., HTTPResponse]:
    """Wrap `handler`, so that its ApiError, and a full disk, become an answer."""

    def call(**parameters: str) -> HTTPResponse:
        try:
            return handler(**parameters)
        except ApiError as error:
            return error_answer(error.status, error.message)
        except OSError as error:
            return error_answer(507, f"the sandbox cannot use its state folder: {error.strerror}")

    return call


def content_length() -> int:
    """Return the bytes of the request's body; the server has taken chunked bodies apart already. Raises ApiError
    400."""
    text = request.environ.get("CONTENT_LENGTH") or "0"
    if not text.isdecimal():
        raise ApiError(400, "Content-Length is not a number")
    return int(text)


def body_bytes(limit: int = MAX_JSON_BYTES) -> bytes:
    """Read the whole body. Raises ApiError 413 when it is longer than `limit` bytes."""
    size = content_length()
    if size > limit:
        raise ApiError(413, f"the body has {size} bytes, at most {limit} are taken")
    data: bytes = request.environ["wsgi.input"].read(size)
    return data


def content_type() -> str:
    """Return the media type of the request without parameters, in lower case."""
    return str(request.environ.get("CONTENT_TYPE") or "").split(";")[0].strip().lower()


def json_or_form_object() -> dict[str, object]:
    """Decode the request's JSON object or form. Raises ApiError as `json_object`."""
    if content_type() != FORM_TYPE:
        return json_object()
    try:
        return form_object(body_bytes())
    except ValueError as error:
        raise ApiError(400, f"the body is not a form: {error}") from None


def json_object() -> dict[str, object]:
    """Decode the request's JSON object. Raises ApiError 400 (not JSON), 413 (too long), 422 (JSON, but no object)."""
    if content_type() != "application/json":
        raise ApiError(400, "Content-Type must be application/json")
    try:
        value: object = msgspec.json.decode(body_bytes())
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ApiError(400, f"the body is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise ApiError(422, "the body must be a JSON object")
    return value


def header(name: str) -> str:
    """Return a request header, empty when it is missing."""
    return str(request.get_header(name) or "")


def root_url() -> str:
    """Return `http://host:port` as the client wrote it, so that links work under the name that it used."""
    host = header("Host")
    if not _HOST.fullmatch(host):
        raise ApiError(400, "the Host header is missing or malformed")
    return f"http://{host}"
