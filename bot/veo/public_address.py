"""Which addresses a link may lead to: public ones only, however they are spelled.

The link comes from outside, and the bot's network may hold a router, a database or a cloud's metadata service
that need no password. Two checks: `check_link` for literal addresses, which aiohttp never resolves, and
`PublicResolver` for names. The connection uses the resolver's result, so a second resolution cannot give
another address.
"""

import socket
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from bot.core.errors import VideoUnusable
from bot.core.problems import ProblemCode

_FORBIDDEN = ProblemCode.LINK_FORBIDDEN
_NOT_A_LINK = ProblemCode.LINK_UNUSABLE

# IANA gives out global unicast addresses from here alone; everything else has a special meaning.
_GLOBAL_V6 = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")
# Public by number, private by meaning: IETF protocol assignments, where Oracle's cloud keeps its
# metadata service and which Python 3.11 calls global, and the host agent of every Azure machine.
_PRIVATE_V4 = (IPv4Network("192.0.0.0/24"), IPv4Network("168.63.129.16/32"))


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """An IPv6 address that carries an IPv4 one leads there, so the inner one must be public too."""
    if isinstance(address, IPv4Address):
        private = any(address in network for network in _PRIVATE_V4)
        return address.is_global and not address.is_multicast and not private
    if address.ipv4_mapped is not None:
        return is_public(address.ipv4_mapped)
    if address in _NAT64:
        return is_public(IPv4Address(address.packed[12:]))
    if address.sixtofour is not None and not is_public(address.sixtofour):
        return False
    return address in _GLOBAL_V6 and address.is_global


def parse_link(text: str) -> URL:
    """The link of a finished task."""
    try:
        return _web_address(_read(text))
    except (ValueError, TypeError) as error:
        raise VideoUnusable(_NOT_A_LINK) from error


def next_hop(url: URL, location: str) -> URL:
    """Where a redirect leads; `location` may be relative to the page that sent it."""
    try:
        return _web_address(url.join(_read(location)))
    except (ValueError, TypeError) as error:
        raise VideoUnusable(_NOT_A_LINK) from error


def _read(text: str) -> URL:
    """A signed link stays byte for byte what it was: re-quoting could break its signature."""
    text = text.strip()
    if not text.isprintable():  # control characters, or what is left of undecodable bytes
        raise VideoUnusable(_NOT_A_LINK)
    try:
        return URL(text, encoded=text.isascii() and " " not in text)
    except IndexError as error:  # yarl's answer to http://][@
        raise VideoUnusable(_NOT_A_LINK) from error


def _web_address(url: URL) -> URL:
    """Without user and password: aiohttp would turn them into an Authorization header."""
    if url.scheme not in {"http", "https"} or not url.raw_host or url.port == 0:
        raise VideoUnusable(_NOT_A_LINK)
    return url.with_user(None)


def check_link(url: URL, *, allow_loopback: bool) -> None:
    """Judges literal addresses; a name passes here and is judged by the resolver."""
    host = url.raw_host or ""
    address = _literal_address(host)
    if address is not None and not _is_allowed(address, allow_loopback):
        raise VideoUnusable(_FORBIDDEN)


def _literal_address(host: str) -> IPv4Address | IPv6Address | None:
    """`inet_aton` reads what the system's resolver reads: 2130706433, 0x7f.1, 0177.0.0.1, 127.1."""
    host = host.rstrip(".")
    if not host or "%" in host:  # a zone names an interface of this very machine
        raise VideoUnusable(_FORBIDDEN)
    try:
        if ":" in host:
            return IPv6Address(host)
        return IPv4Address(socket.inet_aton(host))
    except ValueError as error:
        raise VideoUnusable(_NOT_A_LINK) from error
    except OSError:
        return None


def _is_allowed(address: IPv4Address | IPv6Address, allow_loopback: bool) -> bool:
    if allow_loopback:
        inner = address.ipv4_mapped if isinstance(address, IPv6Address) else None
        if (inner or address).is_loopback:
            return True
    return is_public(address)


class PublicResolver(AbstractResolver):
    """Refuses a name as a whole when any of its addresses is not public.

    Taking only the public ones would let the owner of the name choose which address our check sees.
    """

    def __init__(self, *, allow_loopback: bool, inner: AbstractResolver | None = None) -> None:
        self._allow_loopback = allow_loopback
        self._inner = inner or ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Called by aiohttp for each new connection."""
        try:
            found = await self._inner.resolve(host, port, family)
        except UnicodeError as error:  # a label that no domain name can have
            raise VideoUnusable(_NOT_A_LINK) from error
        if not all(self._allows(result["host"]) for result in found):
            raise VideoUnusable(_FORBIDDEN)
        return found

    async def close(self) -> None:
        """Called by aiohttp when the connector closes."""
        await self._inner.close()

    def _allows(self, address: str) -> bool:
        try:
            return _is_allowed(ip_address(address), self._allow_loopback)
        except ValueError:
            return False
