"""Each answer of Discord and what it asks of us: the table, written by rules, and what discord.py raises."""

import json
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import discord
import pytest

from bot.chat.discord_answers import Call, DiscordAnswer, react, read_error
from bot.chat.responses import describe_error
from bot.core.problems import ProblemCode
from bot.core.reactions import Reaction

# -- the table -------------------------------------------------------------------------------------

UNAVAILABLE, NOT_ACCEPTED = ProblemCode.DISCORD_UNAVAILABLE, ProblemCode.NOT_ACCEPTED
TOO_LARGE = {40005, 50045}
# Discord's "Opcodes and Status Codes", with what each asks of us.
OBSTACLES = {
    Reaction.CHANNEL_GONE: {10003: ProblemCode.CHANNEL_GONE, 50008: ProblemCode.WRONG_CHANNEL_KIND},
    Reaction.NO_ACCESS: {10004: ProblemCode.NO_ACCESS, 50001: ProblemCode.NO_ACCESS},
    Reaction.MESSAGE_GONE: {10008: ProblemCode.MESSAGE_DELETED},
    Reaction.PERSON_UNREACHABLE: dict.fromkeys((10013, 50007, 50278), ProblemCode.NO_DIRECT_MESSAGES),
    Reaction.MISSING_PERMISSION: {50013: ProblemCode.MAY_NOT_POST},
    Reaction.THREAD_CLOSED: {
        50083: ProblemCode.THREAD_LOCKED,
        160005: ProblemCode.THREAD_LOCKED,
        160006: ProblemCode.THREAD_LIMIT,
    },
    Reaction.WORDS_REFUSED: {
        200000: ProblemCode.BLOCKED_BY_AUTOMOD,
        240000: ProblemCode.LINK_BLOCKED,
        50035: ProblemCode.FORM_REFUSED,
    },
    Reaction.EDGE_BLOCK: {40333: UNAVAILABLE},
    Reaction.PASSING: dict.fromkeys(
        (20016, 20022, 20028, 20029, 31001, 31002, 40003, 40062, 130000), UNAVAILABLE
    ),
}
KNOWN = {
    code: (reaction, problem) for reaction, codes in OBSTACLES.items() for code, problem in codes.items()
}
UNKNOWN = 99_999
CODES = [*KNOWN, *TOO_LARGE, UNKNOWN, 0, None]
# A page, an empty body and another server's JSON are one to us: no code.
FROM_DISCORD = {"Via": "1.1 google"}


def expected(
    status: int, code: int | None, call: Call, *, from_edge: bool
) -> tuple[Reaction, ProblemCode | None]:
    """The rules, in words that are not the code's: what the status says, then the code, then the rest."""
    if status >= 500:
        return Reaction.PASSING, UNAVAILABLE
    if status == 413 or code in TOO_LARGE:
        has_file = call is Call.UPLOAD
        return (
            (Reaction.TOO_LARGE, ProblemCode.TOO_LARGE_HERE)
            if has_file
            else (Reaction.FORM_REFUSED, NOT_ACCEPTED)
        )
    if status == 429:
        return (Reaction.EDGE_BLOCK if from_edge and code is None else Reaction.PASSING), UNAVAILABLE
    if status == 401:
        return Reaction.CHECK_TOKEN, UNAVAILABLE
    if code in KNOWN:
        return KNOWN[code]
    if status == 403 and code is None and from_edge:
        return Reaction.EDGE_BLOCK, UNAVAILABLE
    if status in {408, 409, 425} or code is None or code == 0:
        return Reaction.ODD, NOT_ACCEPTED
    return Reaction.FORM_REFUSED, NOT_ACCEPTED


@pytest.mark.parametrize("call", Call)
@pytest.mark.parametrize("from_edge", [False, True], ids=["Discord", "edge"])
def test_react_follows_the_table_for_every_status_and_code(call: Call, from_edge: bool):
    """400 to 599 with every known code, an unknown one, none, and what is not Discord's JSON."""
    headers = {} if from_edge else FROM_DISCORD
    wrong = {
        (status, code): found
        for status in range(400, 600)
        for code in CODES
        if (found := react(DiscordAnswer(status, code, headers), call))
        != expected(status, code, call, from_edge=from_edge)
    }

    assert wrong == {}


@pytest.mark.parametrize("status", [403, 429])
@pytest.mark.parametrize(
    ("headers", "code", "blocks"),
    [
        ({}, None, True),
        ({"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, None, True),
        ({"Retry-After": "3"}, None, False),
        ({"Via": "1.1 google"}, None, False),
        ({}, 0, False),
        ({}, UNKNOWN, False),
    ],
    ids=["page", "date", "seconds", "Via", "JSON without a code", "JSON with one"],
)
def test_only_what_nobody_but_cloudflare_can_have_written_is_a_block(
    status: int, headers: dict[str, str], code: int | None, blocks: bool
):
    """A REST proxy of the operator answers 429 with seconds; a block stops every call of the process."""
    reaction, _ = react(DiscordAnswer(status, code, headers), Call.TEXT)

    assert (reaction is Reaction.EDGE_BLOCK) is blocks


@pytest.mark.parametrize("status", [200, 204, 302])
def test_answer_that_is_no_error_and_cannot_be_read_is_odd(status: int):
    """A page of a proxy with 200: tried again a few times."""
    assert react(DiscordAnswer(status), Call.UPLOAD)[0] is Reaction.ODD


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("3", 3.0),
        (" 0.25 ", 0.25),
        ("Wed, 21 Oct 2026 07:28:00 GMT", None),
        ("-5", None),
        ("9" * 400, None),
        ("1e9", None),
        ("nan", None),
        ("inf", None),
        ("", None),
    ],
)
def test_retry_after_is_a_plain_number_of_seconds_or_nothing(text: str, seconds: float | None):
    """What cannot be planned with is not taken for a number."""
    assert DiscordAnswer(429, headers={"Retry-After": text}).retry_after == seconds


# -- what discord.py raises ------------------------------------------------------------------------


@dataclass
class Response:
    """As much of an HTTP response as discord.py's exceptions read."""

    status: int
    reason: str = "Reason"
    headers: dict[str, str] = field(default_factory=dict)


def error_of(status: int, form: str | None, body: str) -> discord.HTTPException:
    """As discord.py raises it: its `json_or_text` reads JSON only under exactly `application/json`."""
    kind = {403: discord.Forbidden, 404: discord.NotFound}.get(
        status, discord.DiscordServerError if status >= 500 else discord.HTTPException
    )
    response: Any = Response(status, headers={} if form is None else {"Content-Type": form})
    read = json.loads(body) if form == "application/json" and body else body
    return kind(response, read)


JSON, WITH_CHARSET, PAGE = "application/json", "application/json; charset=utf-8", "text/html"
MISSING = json.dumps({"message": "Missing Permissions", "code": 50013})


@pytest.mark.parametrize(
    ("form", "body", "code"),
    [
        (JSON, MISSING, 50013),
        (WITH_CHARSET, MISSING, 50013),
        (PAGE, MISSING, 50013),
        (None, MISSING, 50013),
        (JSON, '{"message": "401: Unauthorized", "code": 0}', 0),
        (WITH_CHARSET, '{"message": "401: Unauthorized", "code": 0}', 0),
        (JSON, '{"message": "401: Unauthorized"}', 0),
        (WITH_CHARSET, '{"message": "401: Unauthorized"}', 0),
        (JSON, '{"message": "x", "code": "50013"}', 0),
        (WITH_CHARSET, '{"message": "x", "code": "50013"}', 0),
        (JSON, '{"error": "unauthorized"}', None),
        (WITH_CHARSET, '{"error": "unauthorized"}', None),
        (JSON, '["no", "object"]', None),
        (WITH_CHARSET, '["no", "object"]', None),
        (JSON, "{}", None),
        (PAGE, "<html>blocked</html>", None),
        (WITH_CHARSET, "{broken", None),
        (JSON, "", None),
        (PAGE, "", None),
        (None, "", None),
    ],
)
def test_read_error_finds_the_code_of_discords_own_json(form: str | None, body: str, code: int | None):
    """0 for its JSON without a code, None for anything else, with any header."""
    answer = read_error(error_of(403, form, body))

    assert (answer.status, answer.code) == (403, code)


def test_read_error_keeps_the_headers_and_the_words():
    """The headers tell the edge from Discord; the words are for the log."""
    answer = read_error(error_of(400, JSON, MISSING))

    assert answer.headers["Content-Type"] == JSON
    assert answer.message == "Missing Permissions"


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (error_of(403, JSON, MISSING), "HTTP 403, code 50013"),
        (error_of(502, PAGE, "<html>"), "HTTP 502"),
        (aiohttp.ClientError("http://user:secret@proxy"), "an unreadable answer"),
        (TimeoutError(), "no answer in time"),
        (TimeoutError("no answer within 30 s"), "no answer within 30 s"),
        (discord.RateLimited(5), "asked to slow down"),
    ],
)
def test_describe_error_says_in_words_what_happened(error: Exception, text: str):
    """The request, whose headers hold the token, is never in it."""
    assert describe_error(error) == text
