"""Check of the addresses that others name (`file_url`, `package_url`, `upload_url`, redirects, `data.url`).

What is checked is the address that is connected to, after the name was resolved, in every form that leads to it:
`127.0.0.1`, `2130706433`, `0177.1`, `[::ffff:127.0.0.1]`, `[64:ff9b::7f00:1]` and `localhost` are one place. Only
public addresses pass, the configured server's own, and the networks that the owner allows. A server on loopback has
all of loopback allowed, so that a local cloud needs no configuration.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from agent.errors import DataError

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_PUBLIC_IPV6 = IPv6Network("2000::/3")  # RFC 4291 §2.4: all global unicast that was ever given out
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052
_COMPATIBLE = IPv6Network("::/96")  # RFC 4291 §2.5.5.1, beside :: and ::1
REFUSAL = "the address is not allowed: it is not public ([cloud] allow_addresses)"


class AddressError(DataError):
    """An address that others named is not allowed."""


class AddressPolicy:
    """Which addresses may be connected to. `server` is the configured server's host name, `allowed` what the owner
    allows beside it."""

    def __init__(self, server: str, allowed: Iterable[Network]) -> None:
        self._server = server
        self._allowed = tuple(allowed)

    def require_allowed(self, address: str, resolve: Callable[[str], Iterable[str]]) -> None:
        """Raise AddressError unless `address`, an IP address, may be connected to. `resolve` gives the addresses of a
        name; it is asked for the server's only where that matters."""
        doubtful = [each for each in destinations(address) if not is_public(each) and not self._is_allowed(each)]
        if not doubtful:
            return
        try:
            server = {each for text in resolve(self._server) for each in destinations(text)}
        except OSError:
            server = set()
        local = any(each.is_loopback for each in server)
        if not all(each in server or (local and each.is_loopback) for each in doubtful):
            raise AddressError(REFUSAL)

    def _is_allowed(self, address: Address) -> bool:
        return any(address.version == network.version and address in network for network in self._allowed)


def destinations(text: str) -> tuple[Address, ...]:
    """Where packets to an IP address may end: itself, and the IPv4 address that is inside an IPv6 one. Raises
    AddressError for what is no IP address."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        raise AddressError("not an IP address") from None
    if isinstance(address, IPv4Address):
        return (address,)
    inner = IPv4Address(int(address) & 0xFFFF_FFFF)
    if address.ipv4_mapped is not None or address in _NAT64 or (address in _COMPATIBLE and int(address) > 1):
        return (inner,)
    if address.sixtofour is not None:
        return (address, address.sixtofour)
    if address.teredo is not None:
        return (address, *address.teredo)
    return (address,)


def is_public(address: Address) -> bool:
    """Whether an address belongs to the public Internet."""
    if not address.is_global or address.is_multicast:
        return False
    return isinstance(address, IPv4Address) or address in _PUBLIC_IPV6


def literal_address(host: str) -> str:
    """The IP address that a URL's host is, in any form that the C library takes (`0x7f.1`); empty for a name."""
    try:
        return str(ipaddress.ip_address(host.strip("[]").partition("%")[0]))
    except ValueError:
        pass
    try:
        return socket.inet_ntoa(socket.inet_aton(host))
    except (OSError, ValueError):  # ValueError: a character that no address has, a null character
        return ""
