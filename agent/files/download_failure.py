"""Failure of a download in words that show neither the URL nor what the server says."""

from __future__ import annotations

import http.client
from http import HTTPStatus

import requests
import urllib3

from agent.http.describe_error import describe, is_too_slow

TIMEOUTS = (10.0, 20.0)
"""Seconds to connect, and between two bytes."""


def status_text(code: int) -> str:
    """The status with its registered phrase; the server's own is not repeated."""
    return f"{code} {HTTPStatus(code).phrase}" if code in HTTPStatus.__members__.values() else str(code)


def describe_failure(error: Exception) -> str:
    """Describe why a request failed, without the URL that the libraries' own messages show."""
    cause = describe(error)
    if is_too_slow(error):
        return cause
    kinds: tuple[tuple[type[Exception] | tuple[type[Exception], ...], str], ...] = (
        (requests.ConnectTimeout, f"no connection within {TIMEOUTS[0]:g} s"),
        ((requests.ReadTimeout, urllib3.exceptions.ReadTimeoutError), f"silent for {TIMEOUTS[1]:g} s"),
        ((requests.exceptions.SSLError, urllib3.exceptions.SSLError), f"no secure connection (TLS): {cause}"),
        (requests.exceptions.ProxyError, f"the proxy cannot be reached: {cause}"),
        (requests.ConnectionError, f"the server cannot be reached: {cause}"),
        ((urllib3.exceptions.ProtocolError, http.client.HTTPException), "the connection was closed early"),
    )
    return next((text for kind, text in kinds if isinstance(error, kind)), cause)
