"""The pipeline of every REST request: read, record, inject faults, authorise, check, handle, answer.

The `*_routes` modules define what a route does: they give `Endpoint` values and raise `Refusal`.
"""

from __future__ import annotations

import asyncio
import json
import traceback
from typing import TYPE_CHECKING, Any, Literal

from aiohttp import web
from multidict import CIMultiDict

from sandbox.discord import errors
from sandbox.discord.endpoint import Answer, Call, Endpoint
from sandbox.discord.errors import Refusal
from sandbox.discord.record import Request, Upload

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sandbox.discord.contract import Contract
    from sandbox.discord.ratelimits import Bucket
    from sandbox.discord.record import Record
    from sandbox.faults import Fault, Faults
    from sandbox.holds import Holds

PREFIX = "/api/v10"
VIA = "1.1 stand-in"
# Not 500, because discord.py retries a 500 for half a minute before it reports it.
BROKEN_STAND_IN = 503

# received: nothing is done yet. accepted: the work is done, and the answer is not sent yet.
HoldPoint = Literal["received", "accepted"]


class ConnectionCut(Exception):
    """The connection is closed without an answer."""


class RestApi:
    def __init__(
        self,
        *,
        token: str,
        record: Record,
        faults: Faults,
        holds: Holds,
        buckets: list[Bucket],
        contract: Contract,
    ) -> None:
        self._token = token
        self._record = record
        self._faults = faults
        self._holds = holds
        self._buckets = buckets
        self._contract = contract
        self._endpoints: list[Endpoint] = []
        self.edge_limit: int | None = None

    def add(self, endpoints: Iterable[Endpoint]) -> None:
        self._endpoints.extend(endpoints)

    async def handle(self, incoming: web.Request) -> web.StreamResponse:
        try:
            request = await self._read(incoming)
        except (ConnectionError, ValueError) as broken:
            # A connection that breaks is no surprise, because tests kill the bot; a malformed body is one.
            if not isinstance(broken, ConnectionError):
                self._record.surprise(f"unreadable body at {incoming.path}: {broken}")
            return _response(_refused(errors.invalid_json()))
        self._record.add(request)
        try:
            answer = await self._answer(request, incoming)
        except ConnectionCut:
            return _abort(incoming)
        request.status = answer.status
        self._record.notify()
        return _response(answer)

    async def _read(self, incoming: web.Request) -> Request:
        body, files = await _body(incoming)
        return Request(
            method=incoming.method,
            path=incoming.path.removeprefix(PREFIX),
            query=dict(incoming.query),
            body=body,
            files=files,
        )

    async def _answer(self, request: Request, incoming: web.Request) -> Answer:
        if self.edge_limit is not None and (incoming.content_length or 0) > self.edge_limit:
            return _html(413, "413 Request Entity Too Large")
        await self._stop_at(request, "received")
        fault = self._faults.take(request.method, request.path, uploads=bool(request.files))
        if fault is not None:
            await asyncio.sleep(fault.delay)
            if fault.cut == "before":
                raise ConnectionCut
            if fault.status is not None and not fault.done:
                return _answer_of(fault)
        answer = self._limited(request, incoming)
        if fault is not None and fault.cut == "after":
            raise ConnectionCut
        if answer.status < 400:
            await self._stop_at(request, "accepted")
        return answer if fault is None or fault.status is None else _answer_of(fault)

    async def _stop_at(self, request: Request, point: HoldPoint) -> None:
        if not await self._holds.pass_through(request, point):
            raise ConnectionCut

    def _limited(self, request: Request, incoming: web.Request) -> Answer:
        for bucket in self._buckets:
            if bucket.counts(request.method, request.path):
                result = bucket.take(request.path)
                if not result.allowed:
                    return _too_many(result.retry_after, result.headers)
                answer = self._routed(request, incoming)
                return Answer(answer.body, answer.status, {**answer.headers, **result.headers})
        return self._routed(request, incoming)

    def _routed(self, request: Request, incoming: web.Request) -> Answer:
        endpoint, params = self._find(request)
        if endpoint is None:
            self._record.surprise(f"unknown route: {request.method} {request.path}")
            return _refused(errors.unknown_route())
        answer = self._attempt(endpoint, Call(request, params), incoming)
        for violation in self._contract.check_answer(request, endpoint.template, answer):
            self._record.surprise(violation)
        return answer

    def _find(self, request: Request) -> tuple[Endpoint | None, dict[str, str]]:
        for endpoint in self._endpoints:
            params = endpoint.params(request.path)
            if params is not None and endpoint.method == request.method:
                return endpoint, params
        return None, {}

    def _attempt(self, endpoint: Endpoint, call: Call, incoming: web.Request) -> Answer:
        try:
            if endpoint.needs_token:
                self._authorise(incoming)
            for violation in self._contract.check_request(call.request, endpoint.template):
                self._record.surprise(violation)
            return endpoint.handle(call)
        except Refusal as refusal:
            return _refused(refusal)
        except Exception:
            self._record.surprise(f"{call.request} broke the stand-in:\n{traceback.format_exc()}")
            return Answer({"message": "the stand-in is broken", "code": 0}, BROKEN_STAND_IN)

    def _authorise(self, incoming: web.Request) -> None:
        if incoming.headers.get("Authorization") != f"Bot {self._token}":
            self._record.surprise(f"bad token at {incoming.method} {incoming.path}")
            raise errors.unauthorized()


async def _body(incoming: web.Request) -> tuple[Any, list[Upload]]:
    if incoming.content_type != "multipart/form-data":
        raw = await incoming.read()
        return (json.loads(raw) if raw else None), []
    body: Any = None
    files: list[Upload] = []
    async for part in await incoming.multipart():
        name = getattr(part, "name", None) or ""
        content = bytes(await part.read())  # type: ignore[union-attr]
        if name == "payload_json":
            body = json.loads(content)
        else:
            files.append(Upload(name, getattr(part, "filename", None) or "", content))
    return body, files


def _refused(refusal: Refusal) -> Answer:
    return Answer(refusal.body(), refusal.status)


def _too_many(retry_after: float, headers: Mapping[str, str]) -> Answer:
    body = {"message": "You are being rate limited.", "retry_after": retry_after, "global": False}
    return Answer(body, 429, {"X-RateLimit-Scope": "user", "Retry-After": "1", **headers})


def _html(status: int, title: str) -> Answer:
    body = f"<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>"
    return Answer(body, status, {"Content-Type": "text/html"})


def _answer_of(fault: Fault) -> Answer:
    assert fault.status is not None
    body = fault.body
    if body is None and fault.status == 429:
        return Answer(_too_many(0.05, {}).body, 429, fault.headers)
    if body is None:
        body = {"message": f"{fault.status}: on demand", "code": 0}
    return Answer(body, fault.status, fault.headers)


def _response(answer: Answer) -> web.Response:
    is_text = isinstance(answer.body, (str, bytes))
    # Exactly this value, because discord.py reads "application/json; charset=utf-8" as plain text.
    headers: CIMultiDict[str | None] = CIMultiDict()
    headers["Content-Type"] = "text/html" if is_text else "application/json"
    if answer.status == 429:
        # Without it discord.py assumes that Cloudflare has banned the address.
        headers["Via"] = VIA
    headers.update(answer.headers)
    kept = {name: value for name, value in headers.items() if value is not None}
    if answer.status == 204:
        del kept["Content-Type"]
        return web.Response(status=204, headers=kept)
    return web.Response(status=answer.status, headers=kept, body=_encoded(answer.body))


def _encoded(body: Any) -> bytes:
    if isinstance(body, bytes):
        return body
    return (body if isinstance(body, str) else json.dumps(body)).encode()


def _abort(incoming: web.Request) -> web.StreamResponse:
    if incoming.transport is not None:
        incoming.transport.abort()
    return web.Response()
