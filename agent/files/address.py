"""URLs that came from the network: which of them may be fetched, and what of them may be shown."""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit, urlunsplit

from requests.auth import AuthBase, HTTPBasicAuth

from agent.core.printable import printable
from agent.errors import DataError
from agent.http.http_session import NoAuth


def check_download_url(url: str, *, allow_http: bool) -> tuple[str, AuthBase]:
    """Check that a URL may be fetched; it without its user name and password, and these as an auth object.

    Raises DataError for anything but http or https, and for http unless allowed or to a loopback host."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
        if host and host.isascii():
            host.encode("idna")  # raises for a label that is empty or too long, which no name server has
    except ValueError:
        parts, host, port = urlsplit(""), None, None
    if parts.scheme not in ("http", "https") or not host:
        raise DataError(f"not an http or https address: {redact_url(url)}")
    loopback = host in ("localhost", "::1") or re.fullmatch(r"127(\.\d{1,3}){3}", host)
    if parts.scheme == "http" and not allow_http and not loopback:
        raise DataError(f"plain http is not allowed here: {redact_url(url)}")
    netloc = (f"[{host}]" if ":" in host else host) + (f":{port}" if port is not None else "")
    auth = HTTPBasicAuth(unquote(parts.username), unquote(parts.password or "")) if parts.username else NoAuth()
    return urlunsplit((parts.scheme, netloc, parts.path, parts.query, "")), auth


def redact_url(url: str) -> str:
    """The URL for logs and messages: no user name, password, query or fragment."""
    try:
        parts = urlsplit(url)
        text = f"{parts.scheme or '?'}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    except ValueError:
        return "(unreadable)"
    return printable(text[:200])
