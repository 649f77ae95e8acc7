"""The stand-in's replies besides a task's own document, in the service's style (video-api.md)."""

import json
import time
from typing import Any

from aiohttp import web

from sandbox.faults import Fault

MODELS = frozenset({"veo_3_1_fast", "veo_3_1_pro", "veo_3_1_pro_stable", "veo_3_1_fast_stable"})


def envelope(code: str, message: str) -> web.Response:
    """The business envelope: a refusal inside HTTP 200."""
    return web.json_response({"code": code, "msg": message, "data": None})


def key_refused(style: str) -> web.Response:
    """ "Login check failed", as seen under HTTP 200; or the 401 that others would send."""
    if style == "401":
        return web.json_response({"error": {"message": "Invalid API key"}}, status=401)
    return web.json_response({"code": "204", "msg": "登录验证失败"})


def unknown_task() -> web.Response:
    return web.json_response({"code": -1, "msg": "task not found", "data": None}, status=404)


def no_handler(method: str, path: str) -> web.Response:
    """Spring's reply to a path that the service does not have."""
    return web.json_response(
        {
            "timestamp": int(time.time() * 1000),
            "status": 404,
            "error": "Not Found",
            "message": f"No handler found for {method} {path}",
            "path": path,
        },
        status=404,
    )


def creation_problem(wish: Any) -> str | None:
    """What the create endpoint dislikes about a body, or None."""
    if not isinstance(wish, dict):
        return "请求体必须是 JSON 对象"
    for field in ("model", "prompt"):
        if not isinstance(wish.get(field), str) or not wish[field]:
            return f"缺少必填参数: {field}"
    if wish["model"] not in MODELS:
        return f"模型不存在: {wish['model']}"
    return None


def from_fault(fault: Fault) -> web.Response:
    """A body may be bytes, text, or anything that JSON can carry."""
    body, content_type = fault.body, "application/json"
    if body is None:
        body = b""
    elif isinstance(body, str):
        body, content_type = body.encode(), "text/plain"
        if fault.body.lstrip().startswith("<"):
            content_type = "text/html"
    elif not isinstance(body, bytes):
        body = json.dumps(body).encode()
    headers = {name: value for name, value in fault.headers.items() if value is not None}
    if not any(name.lower() == "content-type" for name in headers):
        headers["Content-Type"] = content_type
    return web.Response(status=fault.status or 200, body=body, headers=headers)
