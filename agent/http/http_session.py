"""A session of HTTP calls with bounds, for one thread.

No redirect is followed and no redirect's body is read: `requests.Session.send` reads it to its end even when it is not
followed and the answer is streamed, so the adapter is called directly. Proxies come from the environment; nothing else
does: no ~/.netrc.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import BinaryIO

import requests
from requests.auth import AuthBase
from requests.utils import get_environ_proxies, select_proxy

from agent.http.adapter import BoundedAdapter
from agent.http.content_encoding import ContentEncodingError, Inflater, content_encoding

BLOCK = 64 << 10
COOKIES = 32
COOKIE_BYTES = 8 << 10
"""What a server may have kept here; beyond it all its cookies are forgotten."""


class NoAuth(AuthBase):
    """No credentials, whatever the URL holds."""

    def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
        return r


class HttpSession:
    """Calls over kept connections. A context manager. `keep_cookies`: a load balancer's, to find our server again."""

    def __init__(self, adapter: BoundedAdapter, *, keep_cookies: bool) -> None:
        self._adapter = adapter
        self._keep_cookies = keep_cookies
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers["Accept-Encoding"] = "gzip"
        self.headers = self._session.headers
        """Headers of every call."""

    def __enter__(self) -> HttpSession:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._adapter.close()

    def set_deadline(self, seconds: float) -> None:
        """Give the call that is under way `seconds` from now; infinity for no limit in all."""
        self._adapter.set_deadline(seconds)

    def send(
        self,
        method: str,
        url: str,
        *,
        timeouts: tuple[float, float],
        total: float,
        body: bytes | BinaryIO | None = None,
        headers: dict[str, str | None],
        auth: AuthBase,
    ) -> requests.Response:
        """Send a request; the response with its body still to be read. Close it.

        `timeouts` are seconds to connect and of silence, `total` is for the whole call. A header None is left out.
        Raises requests.RequestException, urllib3's HTTPError, OSError; ValueError for a URL that cannot be used;
        AddressError for one that is not allowed."""
        prepared = self._session.prepare_request(requests.Request(method, url, headers=headers, data=body, auth=auth))
        proxies = _proxies(prepared.url or url)
        self._adapter.set_deadline(total)
        if select_proxy(prepared.url or url, proxies):
            self._adapter.require_allowed(prepared.url or url, proxied=True)
        response = self._adapter.send(prepared, stream=True, timeout=timeouts, verify=True, proxies=proxies)
        if self._keep_cookies:
            self._session.cookies.update(response.cookies)
            limit_cookies(self._session.cookies)
        return response

    def require_allowed(self, url: str, *, total: float) -> None:
        """Raise AddressError when a call to `url` would not be allowed, OSError when its name cannot be looked up."""
        self._adapter.set_deadline(total)
        self._adapter.require_allowed(url, proxied=bool(select_proxy(url, _proxies(url))))


def read_body(response: requests.Response, limit: int) -> bytes:
    """The body, decoded, of at most `limit` bytes; what comes after them is not read. Raises urllib3's HTTPError,
    OSError."""
    body = bytearray()
    for piece in _pieces(response, limit):
        body += piece
        if len(body) >= limit:
            break
    del body[limit:]
    return bytes(body)


def _pieces(response: requests.Response, limit: int) -> Iterator[bytes]:
    """The decoded body piece by piece, of at most `limit` bytes as they are sent. Raises as `read_body`."""
    encoding = content_encoding(response.headers.get("Content-Encoding"))
    inflater = None if encoding == "identity" else Inflater(encoding)
    left = limit
    while left > 0 and (block := response.raw.read(min(BLOCK, left), decode_content=False)):
        left -= len(block)
        if inflater is None:
            yield block
        else:
            yield from inflater.feed(block)
    if inflater is not None and left > 0 and not inflater.complete:
        raise ContentEncodingError("a body that breaks off")


def limit_cookies(jar: requests.cookies.RequestsCookieJar) -> None:
    """Forget all cookies when there are too many or they are too large."""
    if len(jar) > COOKIES or sum(len(cookie.name) + len(cookie.value or "") for cookie in jar) > COOKIE_BYTES:
        jar.clear()


def _proxies(url: str) -> dict[str, str]:
    return get_environ_proxies(url, no_proxy=None)
