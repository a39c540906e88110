"""Addresses that came from the network: which of them may be fetched, and what of them may be shown."""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit, urlunsplit

import requests
from requests.auth import AuthBase, HTTPBasicAuth

from agent.errors import DataError


class NoAuth(AuthBase):
    """Without one, requests would look into ~/.netrc."""

    def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
        return r


def checked(url: str, *, allow_http: bool) -> tuple[str, AuthBase]:
    """The address without its user name and password, and these for the one request. Raises DataError."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        parts, host, port = urlsplit(""), None, None
    if parts.scheme not in ("http", "https") or not host:
        raise DataError(f"not an http or https address: {shown(url)}")
    loopback = host in ("localhost", "::1") or re.fullmatch(r"127(\.\d{1,3}){3}", host)
    if parts.scheme == "http" and not allow_http and not loopback:
        raise DataError(f"plain http is not allowed here: {shown(url)}")
    netloc = (f"[{host}]" if ":" in host else host) + (f":{port}" if port is not None else "")
    auth = HTTPBasicAuth(unquote(parts.username), unquote(parts.password or "")) if parts.username else NoAuth()
    return urlunsplit((parts.scheme, netloc, parts.path, parts.query, "")), auth


def shown(url: str) -> str:
    """What may be shown of an address: no user name, password, query or fragment."""
    try:
        parts = urlsplit(url)
        text = f"{parts.scheme or '?'}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    except ValueError:
        return "(unreadable)"
    return "".join(c if c.isprintable() else "?" for c in text[:200])
