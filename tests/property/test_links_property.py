"""Links, redirects and waiting times from outside are read, or refused with VideoUnusable."""

from email.utils import format_datetime

from hypothesis import example, given
from hypothesis import strategies as st
from yarl import URL

from bot.core.clock import to_datetime
from bot.core.errors import VideoUnusable
from bot.veo.public_address import check_link, next_hop, parse_link
from bot.veo.retry_after import retry_after

MARKS = st.sampled_from(
    ["://", "//", "/", "\\", "@", ":", "[", "]", "][", "%", "?", "#", ".", "..", " ", "\t", "\r\n"]
)
SCHEMES = st.sampled_from(["http", "https", "file", "ftp"])
HOSTS = st.sampled_from(
    ["127.0.0.1", "0x7f.1", "2130706433", "[::1]", "[::ffff:10.0.0.1]", "169.254.169.254", "localhost"]
)
ODD = st.sampled_from(
    ["a.example", "xn--", "é", "😀", "\ud800", "\x00", "65536", "443", "user:pass@", "%2e", "%00"]
)
PIECES = st.one_of(MARKS, SCHEMES, HOSTS, ODD)
LINKS = st.one_of(st.text(), st.lists(PIECES, max_size=10).map("".join))
BASE = URL("https://cdn.example/v/1.mp4")


def read(text: str) -> URL | None:
    try:
        return parse_link(text)
    except VideoUnusable:
        return None


def is_allowed(url: URL) -> bool:
    try:
        check_link(url, allow_loopback=False)
    except VideoUnusable:
        return False
    return True


@given(LINKS)
@example("http://][@")
def test_any_text_is_read_as_web_address_or_refused(text: str):
    url = read(text)

    assert url is None or (url.scheme in ("http", "https") and url.host)


@given(LINKS)
@example("//][@")
def test_any_redirect_is_read_as_web_address_or_refused(location: str):
    try:
        url = next_hop(BASE, location)
    except VideoUnusable:
        return
    assert url.scheme in ("http", "https")


@given(st.ip_addresses(v=4, network="10.0.0.0/8") | st.ip_addresses(v=6, network="fc00::/7"))
def test_private_address_is_refused_in_any_spelling(address: object):
    host = f"[{address}]" if ":" in str(address) else str(address)

    url = read(f"http://{host}/v.mp4")

    assert url is None or not is_allowed(url)


@given(LINKS)
def test_any_link_that_can_be_read_is_allowed_or_refused(text: str):
    url = read(text)

    assert url is None or is_allowed(url) in (True, False)


@given(st.one_of(st.text(max_size=40), st.integers().map(str), st.floats().map(str)), st.text(max_size=40))
def test_any_retry_after_is_a_number_of_seconds_or_ignored(wish: str, date: str):
    seconds = retry_after({"Retry-After": wish, "Date": date})

    assert seconds is None or 0 <= seconds < float("inf")


@given(st.integers(0, 4_000_000_000), st.integers(-100_000, 100_000))
def test_any_date_in_retry_after_is_a_number_of_seconds_or_ignored(now: int, ahead: int):
    date, until = (format_datetime(to_datetime(at * 1000), usegmt=True) for at in (now, max(now + ahead, 0)))

    seconds = retry_after({"Retry-After": until, "Date": date})

    assert seconds is None or 0 <= seconds <= 100_000
