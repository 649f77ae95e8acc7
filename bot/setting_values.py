"""Converts the values of environment variables, and refuses wrong ones in plain words."""

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, AnyHttpUrl, BeforeValidator, Field, SecretStr
from pydantic_settings import NoDecode

# The path that people copy with the base address. It is removed, because the bot adds it.
_API_PATH = re.compile(r"(?<![:/])/+v1(?:/+result(?:/.*)?)?/*$")
# Discord recommends about one per 1,000 servers.
MAX_SHARDS = 10_000
# Word processors and chats replace straight quotes by these.
_CURLY: Final = "\u201c\u201d\u201e\u201f\u00ab\u00bb\u2018\u2019\u201a\u201b"
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
# Cloud machines have their metadata service, with passwords, on a link-local address.
_LINK_LOCAL = (ipaddress.ip_network("169.254.0.0/16"), ipaddress.ip_network("fe80::/10"))
_LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))


def _without_slash(url: AnyHttpUrl) -> str:
    return str(url).rstrip("/")


def _api_address(url: AnyHttpUrl) -> str:
    """Return the base address, also from the documentation's full one.

    The bot adds /v1/result/ and the id.
    """
    if url.username or url.password:
        raise ValueError("must hold no user and password: the key goes into VEO_API_KEY")
    if url.query or url.fragment:
        raise ValueError("must end before the ? or #")
    return _API_PATH.sub("", str(url)).rstrip("/")


def _sendable(secret: SecretStr) -> SecretStr:
    """Check that a secret can be sent in an HTTP header. The error text never contains it."""
    text = secret.get_secret_value()
    if any(c.isspace() or not c.isprintable() for c in text):
        raise ValueError("contains a space or a line break: copy it again, without anything around it")
    if not text.isascii():
        raise ValueError("contains a character that cannot be in it, such as a curly quote: copy it again")
    return secret


def tidy(value: Any) -> Any:
    """Remove spaces around a text, and the quotes that `docker run --env-file` keeps."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        text = text[1:-1].strip()
    if text and (text[0] in _CURLY or text[-1] in _CURLY):
        raise ValueError("is in curly quotes: write straight ones, or none")
    return text


def _folder(path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError:
        raise ValueError(f"{str(path)!r}: that home folder is not known; write the whole path") from None


def _shard_ids(text: Any) -> Any:
    """Read shard ids from a text: `0,2-4` names four."""
    if not isinstance(text, str):
        return text
    ids: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise ValueError("must be numbers and ranges, such as 0,2-4")
        ids.update(range(int(first), min(int(last or first), MAX_SHARDS) + 1))
    return tuple(sorted(ids))


def _networks(text: Any) -> Any:
    """Read networks in CIDR form, separated by commas: `198.18.0.0/15, 10.1.0.0/16`."""
    if not isinstance(text, str):
        return text
    return tuple(_network(part.strip()) for part in text.split(",") if part.strip())


def _network(text: str) -> Network:
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"{text!r} is not a network in CIDR form, such as 198.18.0.0/15") from None
    if "/" in text and ipaddress.ip_interface(text).ip != network.network_address:
        raise ValueError(f"{text!r} names one address and a network: the network is {network}")
    if any(network.version == never.version and network.overlaps(never) for never in _LINK_LOCAL):
        raise ValueError(f"{text!r} contains link-local addresses, where no video is ever downloaded from")
    if any(network.version == never.version and network.overlaps(never) for never in _LOOPBACK):
        raise ValueError(f"{text!r} contains loopback addresses: only a VEO_API_URL on loopback allows them")
    return network


def _listening_address(text: str) -> str:
    """Return an address of this machine without the brackets of a URL, or `localhost`."""
    host = text.removeprefix("[").removesuffix("]").lower()
    if host == "localhost":
        return host
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        raise ValueError(
            f"{text!r} is not an address: 127.0.0.1 is this machine alone, 0.0.0.0 every interface"
        ) from None


BaseUrl = Annotated[AnyHttpUrl, AfterValidator(_without_slash)]
ApiUrl = Annotated[AnyHttpUrl, AfterValidator(_api_address)]
Secret = Annotated[SecretStr, AfterValidator(_sendable)]
Folder = Annotated[Path, AfterValidator(_folder)]
UpperCase = BeforeValidator(lambda text: text.upper() if isinstance(text, str) else text)
LowerCase = BeforeValidator(lambda text: text.lower() if isinstance(text, str) else text)
Count = Annotated[int, Field(ge=1, le=100_000)]
ShardIds = Annotated[tuple[int, ...], NoDecode, BeforeValidator(_shard_ids)]
ListeningAddress = Annotated[str, AfterValidator(_listening_address)]
Networks = Annotated[tuple[Network, ...], NoDecode, BeforeValidator(_networks)]


def on_loopback(url: str) -> bool:
    """Whether an address is on this machine."""
    host = (urlsplit(url).hostname or "").lower()
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
