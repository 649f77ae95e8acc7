"""Polls the video API about one task: one GET over aiohttp; reply.py reads the answer."""

from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from typing import NoReturn
from urllib.parse import quote

import aiohttp
from pydantic import SecretStr
from yarl import URL

from bot.core.errors import CourierError, VideoApiUnavailable
from bot.core.verdicts import Answer, Failed
from bot.veo.reply import read_reply


def _installed_version() -> str:
    try:
        return version("veo-courier")
    except PackageNotFoundError:  # run from a checkout that was never installed
        return "0"


# The name under which the bot calls the video API and the video's host.
USER_AGENT = f"veo-courier/{_installed_version()}"
# From waiting for a free connection to the last byte of the body.
_TIMEOUT = aiohttp.ClientTimeout(total=20)
# A status reply has some 200 bytes.
_MAX_BODY = 1 << 20
# Longer than the pause between two polls, so that a single task keeps its connection.
_KEEP_ALIVE = 75.0


def open_api_session(*, connections: int) -> aiohttp.ClientSession:
    """A session for the video API alone: no cookies, no proxy settings from the environment."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=connections, keepalive_timeout=_KEEP_ALIVE),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": USER_AGENT, "Accept": "application/json"},
        timeout=_TIMEOUT,
        trust_env=False,
    )


class VideoApiClient:
    """The session belongs to the caller, who closes it. Nothing is retried in here."""

    def __init__(
        self,
        *,
        base_url: str,
        key: SecretStr,
        session: aiohttp.ClientSession,
        timeout: aiohttp.ClientTimeout = _TIMEOUT,
    ) -> None:
        self._results = f"{URL(base_url.rstrip('/'))}/v1/result/"
        self._key = key
        self._headers = {"Authorization": f"Bearer {key.get_secret_value()}"}
        self._session = session
        self._timeout = timeout

    async def poll(self, task_id: str) -> Answer:
        """The API's answer about one task. Raises VideoApiUnavailable, VideoApiThrottled or KeyRefused."""
        url = URL(self._results + quote(task_id, safe="", errors="replace"), encoded=True)
        try:
            # A followed redirect would carry the key to another host.
            async with self._session.get(
                url, headers=self._headers, allow_redirects=False, timeout=self._timeout
            ) as response:
                body = await _read_bounded(response)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise VideoApiUnavailable(
                f"The video API could not be reached ({type(error).__name__})."
            ) from error
        return self._read(response, body)

    def _read(self, response: aiohttp.ClientResponse, body: bytes) -> Answer:
        """Read the reply without our key: some services repeat it in their refusal."""
        try:
            answer = read_reply(response.status, response.headers, body)
        except CourierError as error:
            self._raise_without_key(error)
        if isinstance(answer, Failed):
            return replace(answer, reason=self._without_key(answer.reason))
        return answer

    def _raise_without_key(self, error: CourierError) -> NoReturn:
        error.args = (self._without_key(str(error)),)
        raise error

    def _without_key(self, text: str) -> str:
        key = self._key.get_secret_value()
        return text.replace(key, "***") if key else text


async def _read_bounded(response: aiohttp.ClientResponse) -> bytes:
    body = await response.content.readany()
    while not response.content.at_eof():
        if len(body) > _MAX_BODY:
            response.close()
            raise VideoApiUnavailable("The video API sent more than 1 MiB instead of a status.")
        body += await response.content.readany()
    return body
