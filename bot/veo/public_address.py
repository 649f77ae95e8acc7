"""Checks the addresses that a link leads to: only public ones and VIDEO_NETWORKS are allowed.

The link comes from outside, and the bot's network may hold a router, a database or a cloud's metadata service
that need no password. There are two checks: `check_link` for literal addresses, which aiohttp never resolves,
and `PublicResolver` for names. The connection uses the resolver's result, so a second resolution cannot give
another address.
"""

import logging
import re
import socket
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import quote

from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from bot.core.errors import LinkRefused, VideoUnusable
from bot.core.problems import ProblemCode
from bot.veo.look_up import SystemResolver

logger = logging.getLogger(__name__)

Address = IPv4Address | IPv6Address
Networks = tuple[IPv4Network | IPv6Network, ...]

_FORBIDDEN = ProblemCode.LINK_FORBIDDEN
_NOT_A_LINK = ProblemCode.LINK_UNUSABLE

# IANA assigns global unicast addresses only from here; every other range has a special meaning.
_GLOBAL_V6 = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")
# Private although Python 3.11 calls them global: IETF protocol assignments, where Oracle's cloud has its
# metadata service, and the host agent of every Azure machine.
_PRIVATE_V4 = (IPv4Network("192.0.0.0/24"), IPv4Network("168.63.129.16/32"))
# Scheme and authority (RFC 3986, 3); all that follows must stay byte for byte.
_AUTHORITY = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*:)?//[^/?#]*")
_NOT_FOR_THE_WIRE = re.compile(r"[^\x21-\x7e]+")
# This many hosts are named in the log, each once.
_MAX_LOGGED_HOSTS = 1000


def is_public(address: Address) -> bool:
    """Whether an address is public. An IPv4 address that an IPv6 one carries must be public too."""
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
    """Parse the link of a finished task. Raises VideoUnusable."""
    try:
        return _web_address(_parse(text))
    except (ValueError, TypeError) as error:
        raise VideoUnusable(_NOT_A_LINK) from error


def next_hop(url: URL, location: str) -> URL:
    """Return where a redirect leads. `location` may be relative to `url`. Raises VideoUnusable."""
    try:
        return _web_address(url.join(_parse(location)))
    except (ValueError, TypeError) as error:
        raise VideoUnusable(_NOT_A_LINK) from error


def _parse(text: str) -> URL:
    """Parse a link without changing it, because re-quoting could break a signature.

    Only spaces and what is not ASCII are quoted. A host name that is not ASCII becomes its ASCII form.
    """
    text = text.strip()
    if not text.isprintable():  # control characters, or replacements of undecodable bytes
        raise VideoUnusable(_NOT_A_LINK)
    match = _AUTHORITY.match(text)
    authority = match[0] if match else ""
    rest = _NOT_FOR_THE_WIRE.sub(lambda found: quote(found[0], safe=""), text[len(authority) :])
    try:
        if _NOT_FOR_THE_WIRE.search(authority):
            authority = str(URL(authority)).rstrip("/")
        return URL(authority + rest, encoded=True)
    except IndexError as error:  # yarl raises it for http://][@
        raise VideoUnusable(_NOT_A_LINK) from error


def _web_address(url: URL) -> URL:
    """Check that it is a web address. Drop user and password, which aiohttp would send as Authorization."""
    if url.scheme not in {"http", "https"} or not url.raw_host or url.port == 0:
        raise VideoUnusable(_NOT_A_LINK)
    return url.with_user(None)


def check_link(url: URL, *, allow_loopback: bool, networks: Networks = ()) -> None:
    """Raise VideoUnusable for a forbidden literal address. A name passes, and the resolver checks it."""
    host = url.raw_host or ""
    address = _literal_address(host)
    if address is not None and not is_allowed(address, allow_loopback=allow_loopback, networks=networks):
        raise VideoUnusable(_FORBIDDEN)


def _literal_address(host: str) -> Address | None:
    """Return the address that `host` spells; None for a name. Raises VideoUnusable.

    `inet_aton` reads what the system's resolver reads: 2130706433, 0x7f.1, 0177.0.0.1, 127.1.
    """
    host = host.rstrip(".")
    if not host or "%" in host:  # a zone names an interface of this machine
        raise VideoUnusable(_FORBIDDEN)
    try:
        if ":" in host:
            return IPv6Address(host)
        return IPv4Address(socket.inet_aton(host))
    except ValueError as error:
        raise VideoUnusable(_NOT_A_LINK) from error
    except OSError:
        return None


def is_allowed(address: Address, *, allow_loopback: bool, networks: Networks = ()) -> bool:
    """Whether a video's host may have this address. A link-local one is never allowed."""
    carried = _embedded_address(address)
    if carried.is_link_local:
        return False
    plain = address.ipv4_mapped or address if isinstance(address, IPv6Address) else address
    if (allow_loopback and plain.is_loopback) or any(plain in network for network in networks):
        return True
    return is_public(address)


def _embedded_address(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 one leads to, or the address itself."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(address.packed[12:])
    return address.ipv4_mapped or address.sixtofour or address


class PublicResolver(AbstractResolver):
    """Resolves names, and refuses a name as a whole when any of its addresses is not allowed.

    Taking only the allowed ones would let the owner of the name choose which address our check sees.
    """

    def __init__(
        self, *, allow_loopback: bool, networks: Networks = (), inner: AbstractResolver | None = None
    ) -> None:
        self._allow_loopback = allow_loopback
        self._networks = networks
        self._inner = inner or SystemResolver()
        self._logged_hosts: set[str] = set()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Resolve and check a name. aiohttp calls it for each new connection.

        Raises LinkRefused, VideoUnusable, OSError.
        """
        try:
            found = await self._inner.resolve(host, port, family)
        except UnicodeError as error:  # a label that no domain name can have
            raise VideoUnusable(_NOT_A_LINK) from error
        for result in found:
            self._check_address(host, result["host"])
        return found

    async def close(self) -> None:
        """Close the inner resolver. aiohttp calls it when the connector closes."""
        await self._inner.close()

    def _check_address(self, host: str, text: str) -> None:
        try:
            address = ip_address(text)
        except ValueError:
            raise LinkRefused(f"{host} resolves to {text!r}", code=_FORBIDDEN) from None
        if not is_allowed(address, allow_loopback=self._allow_loopback, networks=self._networks):
            self._log_forbidden(host, address)
            raise LinkRefused(f"{host} resolves to {address}", code=_FORBIDDEN)

    def _log_forbidden(self, host: str, address: Address) -> None:
        """Log a forbidden address once per host, because a link is tried again and again."""
        if host in self._logged_hosts or len(self._logged_hosts) >= _MAX_LOGGED_HOSTS:
            return
        self._logged_hosts.add(host)
        logger.warning(
            "%s resolves to %s, which is not public, so no video is downloaded from there "
            "(VIDEO_NETWORKS can allow networks that are not link-local)",
            host,
            address,
        )
