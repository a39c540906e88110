"""Maker of all HTTP sessions of the agent, with one TLS context for them."""

from __future__ import annotations

import os
import ssl
import threading
from collections.abc import Callable
from http.client import HTTPResponse
from ipaddress import ip_network
from pathlib import Path
from urllib.parse import urlsplit

import certifi

from agent.errors import ConfigError
from agent.http.adapter import BoundedAdapter, RateFloor
from agent.http.addresses import AddressPolicy
from agent.http.http_session import HttpSession
from agent.http.name_resolver import Lookup, NameResolver
from agent.http.response import BoundedResponse
from agent.service.config import CloudSection

TRANSFER_FLOOR = RateFloor(bytes_per_s=500.0, window_s=60.0)
"""The slowest transfer that is waited for: a sixth of what GPRS does."""


class HttpClient:
    """Maker of HTTP sessions with bounds. Any thread; a session is for one. `monotonic` is a clock in seconds, `lookup`
    is socket.getaddrinfo. Raises ConfigError when the configured `ca_file` cannot be used."""

    response_class: type[HTTPResponse] = BoundedResponse
    """For a client that makes its own connections."""

    def __init__(self, cloud: CloudSection, *, monotonic: Callable[[], float], lookup: Lookup) -> None:
        self._ca_file = cloud.ca_file
        self._monotonic = monotonic
        self._lookup = lookup
        self._policy = AddressPolicy(
            urlsplit(cloud.server).hostname or "",
            [ip_network(network, strict=False) for network in cloud.allow_addresses],
        )
        self._lock = threading.Lock()
        self._context: ssl.SSLContext | None = None
        if self._ca_file:
            try:
                self.tls()
            except (OSError, ValueError) as error:
                raise ConfigError(f"[cloud] ca_file: {self._ca_file}: cannot be used: {error}") from None

    def tls(self) -> ssl.SSLContext:
        """The TLS context: 1.2 or later, certificate and host name checked against the system's authorities, certifi's,
        and `ca_file`'s. Made when it is first needed: the authorities take memory. Raises OSError, ssl.SSLError."""
        with self._lock:
            if self._context is None:
                context = ssl.create_default_context()
                context.minimum_version = ssl.TLSVersion.TLSv1_2
                context.load_verify_locations(certifi.where())
                for path in (os.environ.get("REQUESTS_CA_BUNDLE"), self._ca_file):
                    if path:
                        folder = Path(path).is_dir()
                        context.load_verify_locations(None if folder else path, path if folder else None)
                self._context = context
            return self._context

    def resolver(self) -> NameResolver:
        """A lookup of names with a limit, for a client that makes its own connections."""
        return NameResolver(self._lookup)

    def calls(self) -> HttpSession:
        """A session for the servers that the configuration names: any address, cookies are kept."""
        return HttpSession(self._adapter(None, None), keep_cookies=True)

    def transfers(self, floor: RateFloor = TRANSFER_FLOOR) -> HttpSession:
        """A session for URLs that came from the network: their addresses are checked, a slow transfer is given up."""
        return HttpSession(self._adapter(self._policy, floor), keep_cookies=False)

    def _adapter(self, policy: AddressPolicy | None, floor: RateFloor | None) -> BoundedAdapter:
        return BoundedAdapter(monotonic=self._monotonic, tls=self.tls, lookup=self._lookup, policy=policy, floor=floor)
