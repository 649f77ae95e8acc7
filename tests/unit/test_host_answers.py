"""Every answer and every failure of a video host has exactly one reaction."""

import asyncio
import errno
import inspect
import socket
import ssl
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest
from aiohttp import client_exceptions, http_exceptions
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from bot.core.errors import LinkRefused, VideoUnusable
from bot.core.problems import ProblemCode
from bot.media.part_file import Representation
from bot.veo.host_answers import (
    HostReaction,
    body_range,
    read_host_answer,
    read_host_failure,
    validator_of,
)

TAKE, RESTART, TRY_LATER, ODD, NEVER = HostReaction
MP4 = b"\x00\x00\x00\x20ftypisom"
BODIES = {
    "mp4": MP4,
    "empty": b"",
    "json": b'{"error": "expired"}',
    "html": b"<!DOCTYPE html>",
    "random": bytes(range(200, 216)),
    "short": MP4[:7],
}
LENGTH, LIMIT, AT = 1000, 5000, 600
ETAG = '"v1"'
PART = Representation("digest", ETAG, LENGTH)
# Content-Range of the whole video, and of the bytes from AT on.
WHOLE = {"Content-Range": f"bytes 0-{LENGTH - 1}/{LENGTH}", "ETag": ETAG}
REST = {"Content-Range": f"bytes {AT}-{LENGTH - 1}/{LENGTH}", "ETag": ETAG}
HEADERS: dict[str, dict[str, str]] = {
    "none": {},
    "length": {"Content-Length": str(LENGTH)},
    "whole": WHOLE,
    "rest": REST,
    "odd range": {"Content-Range": "bytes 5-1/x", "Content-Length": "many"},
    "too large": {"Content-Length": "5001", "Content-Range": "bytes 0-5000/5001", "ETag": ETAG},
    "encoded": {"Content-Encoding": "gzip", "Content-Length": "5001"},
    "retry": {"Retry-After": "9"},
}


def expected_first(status: int, body: str, headers: str) -> HostReaction:
    """The contract's reaction to an answer to a request without Range."""
    if status in (408, 425, 429) or status >= 500:
        return TRY_LATER
    if status not in (200, 203, 206) or body != "mp4":
        return ODD
    if status == 206 and headers == "rest":
        return ODD
    return NEVER if headers == "too large" else TAKE


def expected_rest(status: int, body: str, headers: str) -> HostReaction:
    """The contract's reaction to an answer to a request for the bytes from AT on."""
    if status in (408, 425, 429) or status >= 500:
        return TRY_LATER
    if status in (400, 412, 416):
        return RESTART
    if status not in (200, 203, 206):
        return ODD
    if status == 206 and headers == "rest":
        return TAKE if BODIES[body] else ODD
    if status == 206 and headers not in ("whole", "too large"):
        return RESTART
    if body != "mp4":
        return ODD
    return NEVER if headers == "too large" else RESTART


@pytest.mark.parametrize("headers", HEADERS)
@pytest.mark.parametrize("body", BODIES)
def test_every_status_has_its_reaction(body: str, headers: str):
    """100 to 599, with each body and header set, for a first and for a resumed request."""
    for status in range(100, 600):
        first = read_host_answer(status, HEADERS[headers], BODIES[body], max_bytes=LIMIT)
        assert first is expected_first(status, body, headers), status
        rest = read_host_answer(
            status, HEADERS[headers], BODIES[body], resumed_at=AT, part=PART, max_bytes=LIMIT
        )
        assert rest is expected_rest(status, body, headers), status


@pytest.mark.parametrize("status", [0, 42, 600, 999])
def test_status_that_does_not_exist_is_odd(status: int):
    assert read_host_answer(status, {}, MP4) is ODD


@pytest.mark.parametrize(
    ("change", "reaction"),
    [
        ({}, TAKE),
        ({"Content-Range": f"bytes {AT}-{AT}/{LENGTH}"}, TAKE),
        ({"Content-Range": f"BYTES {AT}-{LENGTH - 1}/*"}, TAKE),
        ({"Content-Range": f"bytes {AT - 1}-{LENGTH - 1}/{LENGTH}"}, RESTART),
        ({"Content-Range": f"bytes {AT}-{LENGTH}/{LENGTH + 1}"}, RESTART),
        ({"Content-Range": f"bytes {AT}-{LENGTH}/{LENGTH}"}, RESTART),
        ({"Content-Range": f"items {AT}-{LENGTH - 1}/{LENGTH}"}, RESTART),
        ({"Content-Range": "bytes 0-99/1000"}, RESTART),
        ({"ETag": '"v2"'}, RESTART),
        ({"ETag": f"W/{ETAG}"}, RESTART),
        ({"ETag": None}, RESTART),
        ({"Content-Encoding": "gzip"}, RESTART),
        ({"Content-Encoding": "Identity"}, TAKE),
    ],
)
def test_rest_must_match_the_part_on_disk(change: dict[str, str | None], reaction: HostReaction):
    """The same offset, total length and version."""
    headers = {name: value for name, value in (REST | change).items() if value is not None}
    assert read_host_answer(206, headers, b"x", resumed_at=AT, part=PART) is reaction


@pytest.mark.parametrize(
    ("modified", "reaction"), [(None, TAKE), ("Thu, 09 Oct 2025 08:53:20 GMT", TAKE), ("another", RESTART)]
)
def test_rest_validated_by_date_need_not_repeat_the_date(modified: str | None, reaction: HostReaction):
    """RFC 9110, 15.3.7."""
    part = Representation("digest", "Thu, 09 Oct 2025 08:53:20 GMT", LENGTH)
    headers = {"content-range": REST["Content-Range"]} | ({"Last-Modified": modified} if modified else {})
    assert read_host_answer(206, headers, b"x", resumed_at=AT, part=part) is reaction


def test_rest_of_a_part_without_a_length_is_bounded():
    """The size limit is for all bytes together."""
    headers = REST | {"Content-Range": f"bytes {AT}-{LIMIT}/{LIMIT + 1}"}
    part = Representation("digest", ETAG, None)
    assert read_host_answer(206, headers, b"x", resumed_at=AT, part=part, max_bytes=LIMIT) is NEVER
    assert read_host_answer(206, headers, b"x", resumed_at=AT, part=part, max_bytes=LIMIT + 1) is TAKE


@pytest.mark.parametrize(
    ("headers", "validator"),
    [
        ({"ETag": '"a-b"'}, '"a-b"'),
        ({"etag": ' "" '}, '""'),
        ({"ETag": 'W/"a"'}, None),
        ({"ETag": "bare"}, None),
        ({"ETag": '"a"b"'}, None),
        ({"ETag": '"a"', "Content-Encoding": "br"}, None),
        ({"Last-Modified": "Thu, 09 Oct 2025 08:53:20 GMT"}, None),
        (
            {
                "Last-Modified": "Thu, 09 Oct 2025 08:53:20 GMT",
                "Date": "Thu, 09 Oct 2025 08:53:21 GMT",
            },
            "Thu, 09 Oct 2025 08:53:20 GMT",
        ),
        (
            {
                "Last-Modified": "Thu, 09 Oct 2025 08:53:20 GMT",
                "Date": "Thu, 09 Oct 2025 08:53:20 GMT",
            },
            None,
        ),
        ({"Last-Modified": "soon", "Date": "Thu, 09 Oct 2025 08:53:20 GMT"}, None),
        (
            {
                "ETag": 'W/"a"',
                "Last-Modified": "Thu, 09 Oct 2025 08:53:20 GMT",
                "Date": "Thu, 09 Oct 2026 08:53:20 GMT",
            },
            None,
        ),
        ({}, None),
    ],
)
def test_only_a_strong_validator_may_be_sent(headers: dict[str, str], validator: str | None):
    """RFC 9110, 13.1.5: a strong ETag; a date only without any ETag, and only an old one."""
    assert validator_of(headers) == validator


@given(
    st.integers(0, 999),
    st.dictionaries(
        st.sampled_from(
            ["Content-Range", "Content-Length", "ETag", "Last-Modified", "Date", "Content-Encoding"]
        ),
        st.text(max_size=30)
        | st.sampled_from([value for each in HEADERS.values() for value in each.values()]),
    ),
    st.binary(max_size=16) | st.just(MP4),
    st.integers(0, 2000),
)
def test_any_answer_has_a_reaction(status: int, headers: dict[str, str], body: bytes, at: int):
    """Nothing is raised, and the answer to a request without Range never means "restart"."""
    reaction = read_host_answer(status, headers, body, resumed_at=at, part=PART, max_bytes=LIMIT)
    assert reaction in HostReaction
    assert at > 0 or reaction is not RESTART
    if reaction in (TAKE, RESTART) and status == 200:
        assert body[4:8] == b"ftyp"
    body_range(status, headers)
    validator_of(headers)


# -- failures --------------------------------------------------------------------------------------


def classes(*modules: Any) -> Iterator[type[BaseException]]:
    for module in modules:
        for _, found in inspect.getmembers(module, inspect.isclass):
            if issubclass(found, Exception) and not issubclass(found, Warning):
                yield found


# Instances are made without their constructor, because the reaction depends only on the class.
FAILURES = sorted(
    {*classes(aiohttp, client_exceptions, http_exceptions, ssl, socket), *OSError.__subclasses__(), OSError},
    key=lambda found: (found.__module__, found.__qualname__),
)


@pytest.mark.parametrize("kind", FAILURES)
def test_every_network_error_has_its_reaction(kind: type[BaseException]):
    """Try later for certificates, refused connections and names; never for an invalid address."""
    error = kind.__new__(kind)
    wanted = TRY_LATER
    if issubclass(kind, (aiohttp.InvalidURL, UnicodeError)):
        wanted = NEVER
    elif issubclass(kind, aiohttp.TooManyRedirects):
        wanted = ODD
    assert read_host_failure(error) is wanted


@pytest.mark.parametrize(
    ("error", "reaction"),
    [
        (OSError(errno.ECONNREFUSED, "refused"), TRY_LATER),
        (socket.gaierror(socket.EAI_NONAME, "unknown"), TRY_LATER),
        (ssl.SSLCertVerificationError(1, "expired"), TRY_LATER),
        (TimeoutError(), TRY_LATER),
        (asyncio.IncompleteReadError(b"", 9), TRY_LATER),
        (ValueError("a surprise"), TRY_LATER),
        (aiohttp.InvalidURL(URL("http://x")), NEVER),
        ("\ud800".encode, NEVER),
        (VideoUnusable(ProblemCode.LINK_FORBIDDEN), NEVER),
        (LinkRefused("resolves to 10.0.0.1"), ODD),
    ],
)
def test_observed_failure_has_its_reaction(error: Any, reaction: HostReaction):
    if callable(error):
        with pytest.raises(UnicodeError) as caught:
            error()
        error = caught.value
    assert read_host_failure(error) is reaction


def test_headers_may_be_any_mapping():
    """A plain dict, or aiohttp's case-insensitive one."""
    headers = CIMultiDictProxy(CIMultiDict({"content-range": REST["Content-Range"]}))
    assert read_host_answer(206, headers, MP4) is ODD
    for name in ("content-range", "CONTENT-RANGE"):
        assert read_host_answer(206, {name: REST["Content-Range"]}, MP4) is ODD
