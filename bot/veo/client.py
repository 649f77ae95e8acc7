"""Polls the video API about one task: one GET over aiohttp; reply.py reads the answer."""

from dataclasses import replace
from urllib.parse import quote

import aiohttp
from pydantic import SecretStr
from yarl import URL

from bot.core.answers import Answer, AnswerKind
from bot.core.masking import STARS
from bot.core.version import NAME, VERSION
from bot.network_errors import describe_network_error
from bot.veo.reply import read_reply

# The name under which the bot calls the video API and the video's host.
USER_AGENT = f"{NAME}/{VERSION}"
# From waiting for a free connection to the last byte of the body.
_TIMEOUT = aiohttp.ClientTimeout(total=20)
# A status reply has some 200 bytes.
_MAX_BODY = 1 << 20
# Longer than the pause between two polls, so that a single task keeps its connection.
_KEEP_ALIVE = 75.0


def open_api_session(*, connections: int) -> aiohttp.ClientSession:
    """Open a session for the video API alone: no cookies, no proxy settings from the environment."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=connections, keepalive_timeout=_KEEP_ALIVE),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": USER_AGENT, "Accept": "application/json"},
        timeout=_TIMEOUT,
        trust_env=False,
    )


class VideoApiClient:
    """Client of the video API. It never retries, and the caller closes its session."""

    def __init__(
        self,
        *,
        base_url: str,
        key: SecretStr,
        session: aiohttp.ClientSession,
        timeout: aiohttp.ClientTimeout = _TIMEOUT,
    ) -> None:
        self._results = f"{URL(base_url.rstrip('/'))}/v1/result/"
        self._key = key.get_secret_value()
        self._headers = {"Authorization": f"Bearer {self._key}"}
        self._session = session
        self._timeout = timeout

    async def poll(self, task_id: str) -> Answer:
        """Poll one task. A failure of the network is an answer as well: SILENCE."""
        url = URL(self._results + quote(task_id, safe="", errors="replace"), encoded=True)
        try:
            # A followed redirect would carry the key to another host.
            async with self._session.get(
                url, headers=self._headers, allow_redirects=False, timeout=self._timeout
            ) as response:
                body = await _read_bounded(response)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            reason = describe_network_error(error, timeout=self._timeout.total)
            where = reason if reason.startswith("no answer") else f"no answer ({reason})"
            return Answer(AnswerKind.SILENCE, where=where)
        if body is None:
            return Answer(AnswerKind.ERROR, where=f"HTTP {response.status}: more than 1 MiB")
        return self._without_key(read_reply(response.status, response.headers, body, task_id))

    def _without_key(self, answer: Answer) -> Answer:
        """Mask our key. Some services repeat it in their refusal, and it must not reach a log or a chat."""
        if not self._key or self._key not in f"{answer.words}{answer.where}":
            return answer
        words = answer.words.replace(self._key, STARS) if answer.words else None
        return replace(answer, words=words, where=answer.where.replace(self._key, STARS))


async def _read_bounded(response: aiohttp.ClientResponse) -> bytes | None:
    """Return the body; None when it is larger than any status reply."""
    body = await response.content.readany()
    while not response.content.at_eof():
        if len(body) > _MAX_BODY:
            response.close()
            return None
        body += await response.content.readany()
    return body
