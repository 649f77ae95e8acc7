"""The replies other than a task's document, in the service's style (video-api.md)."""

import json
import time
from typing import Any

from aiohttp import web

from sandbox.faults import Fault

MODELS = frozenset({"veo_3_1_fast", "veo_3_1_pro", "veo_3_1_pro_stable", "veo_3_1_fast_stable"})


def envelope(code: str, message: str) -> web.Response:
    """A refusal in the service's envelope, under HTTP 200."""
    return web.json_response({"code": code, "msg": message, "data": None})


def key_refused(style: str) -> web.Response:
    """The reply to a wrong key: "login check failed" under HTTP 200 as observed, or a 401."""
    if style == "401":
        return web.json_response({"error": {"message": "Invalid API key"}}, status=401)
    return web.json_response({"code": "204", "msg": "登录验证失败"})


def unknown_task() -> web.Response:
    return web.json_response({"code": -1, "msg": "task not found", "data": None}, status=404)


def no_handler(method: str, path: str) -> web.Response:
    """Spring's reply to an unknown path."""
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


def creation_problem(body: Any) -> str | None:
    """Why the create endpoint refuses this body, or None."""
    if not isinstance(body, dict):
        return "请求体必须是 JSON 对象"
    for field in ("model", "prompt"):
        if not isinstance(body.get(field), str) or not body[field]:
            return f"缺少必填参数: {field}"
    if body["model"] not in MODELS:
        return f"模型不存在: {body['model']}"
    return None


def from_fault(fault: Fault) -> web.Response:
    """The answer of a fault. Its body is bytes, text, or any JSON value."""
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
