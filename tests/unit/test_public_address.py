"""Which addresses a video's link may lead to, in every spelling."""

import logging
import socket
from ipaddress import ip_address, ip_network

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from bot.core.errors import LinkRefused, VideoUnusable
from bot.core.problems import Problem, ProblemCode
from bot.veo.public_address import (
    PublicResolver,
    check_link,
    is_allowed,
    is_public,
    next_hop,
    parse_link,
)


def nat64(address: str) -> str:
    return str(ip_address(b"\x00\x64\xff\x9b" + bytes(8) + ip_address(address).packed))


def sixtofour(address: str) -> str:
    return str(ip_address(b"\x20\x02" + ip_address(address).packed + bytes(9) + b"\x01"))


PUBLIC = [
    "8.8.8.8",
    "93.184.216.34",
    "172.32.0.1",
    "100.128.0.1",
    "2606:4700::1111",
    "2001:4860:4860::8888",
    "::ffff:8.8.8.8",
    nat64("8.8.8.8"),
]
PRIVATE = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.8",
    "192.0.0.192",
    "192.0.2.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::8.8.8.8",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b:1::1",
    nat64("10.0.0.1"),
    nat64("127.0.0.1"),
    "100::1",
    "2001::1",
    "2001:db8::1",
    sixtofour("10.0.0.1"),
    sixtofour("192.168.1.1"),
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
]


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_allowed(address: str):
    """Global unicast, also in its IPv6 spellings."""
    assert is_public(ip_address(address))


@pytest.mark.parametrize("address", PRIVATE)
def test_private_and_special_addresses_are_refused(address: str):
    """All special-purpose addresses, also IPv4 ones embedded in IPv6."""
    assert not is_public(ip_address(address))


@pytest.mark.parametrize(
    "link",
    [
        "http://10.0.0.1/v.mp4",
        "http://10.0.0.1./v.mp4",
        "http://10.0.0.1:8080/v.mp4",
        "http://user:secret@10.0.0.1/v.mp4",
        "http://example.com@10.0.0.1/v.mp4",
        "http://167772161/",
        "http://0xa.0.0.1/",
        "http://0x0A000001/",
        "http://012.0.0.1/",
        "http://10.1/",
        "http://127.1/",
        "http://0/",
        "http://2130706433/",
        "http://\uff11\uff10.0.0.1/",  # fullwidth digits
        "http://%31%30.0.0.1/",
        "http://[::1]/",
        "http://[::]/",
        "http://[::ffff:10.0.0.1]/",
        "http://[::ffff:a00:1]/",
        "http://[64:ff9b::a00:1]/",
        "http://[2002:a00:1::1]/",
        "http://[fe80::1%25eth0]/",
        "http://[fe80::1%eth0]/",
        "http://[2606:4700::1111%25eth0]/",
        "http://[fd00:ec2::254]/",
    ],
)
def test_odd_spellings_of_private_addresses_are_refused(link: str):
    """Any text that the system's resolver would read as an address is checked as that address."""
    with pytest.raises(VideoUnusable, match="link_forbidden"):
        check_link(parse_link(link), allow_loopback=False)


@pytest.mark.parametrize(
    "link",
    [
        "https://example.com/v.mp4",
        "http://8.8.8.8/",
        "http://134744072/",
        "http://[2606:4700::1111]:8443/",
        "https://1e100.net/",
        "http://视频.example/v.mp4",
        "http://localhost/",  # a name: the resolver checks it
    ],
)
def test_names_and_public_addresses_pass(link: str):
    """A name is checked when it is resolved."""
    url = parse_link(link)
    check_link(url, allow_loopback=False)
    assert url.raw_host


@pytest.mark.parametrize(
    "link", ["http://127.0.0.1/", "http://127.9.9.9/", "http://[::1]/", "http://[::ffff:127.0.0.1]/"]
)
def test_loopback_is_the_only_exemption(link: str):
    """allow_loopback is for a stand-in on this machine and allows no other private address."""
    check_link(parse_link(link), allow_loopback=True)
    with pytest.raises(VideoUnusable):
        check_link(parse_link(link), allow_loopback=False)
    for other in ("10.0.0.1", "169.254.169.254", "0.0.0.0", "[64:ff9b::7f00:1]"):
        with pytest.raises(VideoUnusable):
            check_link(parse_link(f"http://{other}/"), allow_loopback=True)


@pytest.mark.parametrize(
    "link",
    [
        "",
        "v.mp4",
        "//example.com/v.mp4",
        "ftp://example.com/v.mp4",
        "file:///etc/passwd",
        "data:video/mp4;base64,AAAA",
        "http://",
        "http:///v.mp4",
        "http://][@",
        "http://user@/v.mp4",
        "http://example.com:0/",
        "http://example.com:99999/",
        "http://example.com:x/",
        "http://example.com\\@10.0.0.1/",
        "http://exa\nmple.com/",
        "http://example.com/\x00",
        "http://example.com/\ud800",
        "http://[::1/",
        "http://[1::2::3]/",
    ],
)
def test_link_that_is_no_web_address_is_refused(link: str):
    """Only http and https with a host, and only printable characters."""
    with pytest.raises(VideoUnusable, match="link_unusable"):
        check_link(parse_link(link), allow_loopback=True)


def test_signed_link_keeps_every_byte():
    """Quoting it again could invalidate the signature."""
    link = "https://cdn.example/a%2Fb/v.mp4?X-Sig=a%2Bb%3d%7E&n=1+2"
    assert str(parse_link(f" {link} ")) == link


@pytest.mark.parametrize(
    ("link", "sent"),
    [
        ("https://cdn.example/a%2Fb/é?s=%2B", "https://cdn.example/a%2Fb/%C3%A9?s=%2B"),
        ("https://cdn.example/a b%20c", "https://cdn.example/a%20b%20c"),
        ("https://cdn.example?s=%2fé", "https://cdn.example/?s=%2f%C3%A9"),
        ("https://视频.example/a%2Fb?s=%7e", "https://xn--cy2a840a.example/a%2Fb?s=%7e"),
        ("https://视频.example:8443/é", "https://xn--cy2a840a.example:8443/%C3%A9"),
        ("https://ü:p@cdn.example/%2F", "https://cdn.example/%2F"),
    ],
)
def test_only_non_ascii_characters_are_quoted(link: str, sent: str):
    """The rest of a signed link stays byte for byte."""
    assert str(parse_link(link)) == sent


def test_user_and_password_are_dropped():
    """aiohttp would send them as an Authorization header."""
    assert str(parse_link("https://u:p@cdn.example/v?x=%2B")) == "https://cdn.example/v?x=%2B"


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("/w.mp4", "https://cdn.example/w.mp4"),
        ("w.mp4?s=%2B", "https://cdn.example/a/w.mp4?s=%2B"),
        ("//other.example/w", "https://other.example/w"),
        ("http://other.example/w", "http://other.example/w"),
        ("http://u:p@other.example/w", "http://other.example/w"),
        ("/视频.mp4", "https://cdn.example/%E8%A7%86%E9%A2%91.mp4"),
    ],
)
def test_redirects_may_be_relative(location: str, target: str):
    """Resolved against the page that sent them, then checked like a link."""
    assert str(next_hop(URL("https://cdn.example/a/v.mp4"), location)) == target


@pytest.mark.parametrize(
    "location", ["file:///etc/passwd", "http://[::1", "http://x:99999/", "https://x/\ud800", "x:y", "//][@"]
)
def test_redirect_to_no_web_address_is_refused(location: str):
    with pytest.raises(VideoUnusable):
        next_hop(URL("https://cdn.example/a/v.mp4"), location)


class Zone(AbstractResolver):
    """A name server that resolves every name to these addresses."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses
        self.closed = False

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=host, host=address, port=port, family=socket.AF_INET, proto=0, flags=0)
            for address in self.addresses
        ]

    async def close(self) -> None:
        self.closed = True


async def test_name_with_public_addresses_is_resolved():
    """The connection uses the addresses that were checked."""
    zone = Zone("8.8.8.8", "2606:4700::1111")
    resolver = PublicResolver(allow_loopback=False, inner=zone)
    found = await resolver.resolve("cdn.example", 443)
    assert [entry["host"] for entry in found] == list(zone.addresses)
    await resolver.close()
    assert zone.closed


@pytest.mark.parametrize(
    "addresses",
    [
        ("10.0.0.1",),
        ("8.8.8.8", "10.0.0.1"),
        ("8.8.8.8", "127.0.0.1"),
        ("fe80::1%eth0",),
        ("nonsense",),
    ],
)
async def test_name_with_any_private_address_is_refused_as_a_whole(addresses: tuple[str, ...]):
    """Otherwise the check could see a public address and the connection use a private one."""
    resolver = PublicResolver(allow_loopback=False, inner=Zone(*addresses))
    with pytest.raises(LinkRefused) as caught:  # not final: the name may resolve to another address later
        await resolver.resolve("cdn.example")
    assert caught.value.problem == Problem(ProblemCode.LINK_FORBIDDEN)


async def test_name_on_loopback_needs_the_exemption():
    """localhost, and any public name that resolves to loopback."""
    zone = Zone("127.0.0.1")
    assert await PublicResolver(allow_loopback=True, inner=zone).resolve("localhost")
    with pytest.raises(LinkRefused):
        await PublicResolver(allow_loopback=False, inner=zone).resolve("localhost")


async def test_invalid_name_is_no_web_address():
    """A label of 64 characters makes the system's resolver raise an encoding error."""
    resolver = PublicResolver(allow_loopback=False)
    with pytest.raises(VideoUnusable, match="link_unusable"):
        await resolver.resolve("a" * 64 + ".example")
    await resolver.close()


# -- VIDEO_NETWORKS --------------------------------------------------------------------------------

FAKE_IP = (ip_network("198.18.0.0/15"), ip_network("fc00::/18"))


@pytest.mark.parametrize(
    "address", ["198.18.0.7", "198.19.255.255", "fc00::7", "::ffff:198.18.0.7", "8.8.8.8"]
)
def test_address_in_a_video_network_is_allowed(address: str):
    """Also in its IPv6 form; public addresses stay allowed."""
    assert is_allowed(ip_address(address), allow_loopback=False, networks=FAKE_IP)
    host = f"[{address}]" if ":" in address else address
    check_link(parse_link(f"http://{host}/"), allow_loopback=False, networks=FAKE_IP)


@pytest.mark.parametrize("address", ["10.0.0.1", "127.0.0.1", "fc00:4000::1", "192.168.1.1"])
def test_private_address_outside_the_video_networks_is_refused(address: str):
    assert not is_allowed(ip_address(address), allow_loopback=False, networks=FAKE_IP)


@pytest.mark.parametrize(
    "address", ["169.254.169.254", "fe80::1", "::ffff:169.254.169.254", nat64("169.254.169.254")]
)
def test_no_network_allows_a_link_local_address(address: str):
    """In any spelling, even with networks that contain every address."""
    everything = (ip_network("0.0.0.0/0"), ip_network("::/0"))
    assert not is_allowed(ip_address(address), allow_loopback=True, networks=everything)


async def test_name_in_a_video_network_is_resolved():
    """Each of its addresses must be public or in a video network."""
    resolver = PublicResolver(allow_loopback=False, networks=FAKE_IP, inner=Zone("198.18.0.7", "8.8.8.8"))
    assert len(await resolver.resolve("cdn.example")) == 2
    resolver = PublicResolver(allow_loopback=False, networks=FAKE_IP, inner=Zone("198.18.0.7", "10.0.0.1"))
    with pytest.raises(LinkRefused, match=r"cdn\.example resolves to 10\.0\.0\.1"):
        await resolver.resolve("cdn.example")


async def test_refused_name_is_logged_once_per_host(caplog: pytest.LogCaptureFixture):
    """With the address and the name of the setting; a link is tried several times."""
    resolver = PublicResolver(allow_loopback=False, inner=Zone("198.18.0.7"))
    with caplog.at_level(logging.WARNING):
        for host in ("a.example", "b.example", "a.example"):
            with pytest.raises(LinkRefused):
                await resolver.resolve(host)
    lines = [record.getMessage() for record in caplog.records]
    assert [line.split()[0] for line in lines] == ["a.example", "b.example"]
    assert all("198.18.0.7" in line and "VIDEO_NETWORKS" in line for line in lines)
