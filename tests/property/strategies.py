"""Generated credentials in the formats of well-known services, and texts that contain them."""

import json
import string
from urllib.parse import quote

from hypothesis import strategies as st

_LETTERS = string.ascii_letters + string.digits


def _random(length: int, alphabet: str = _LETTERS) -> st.SearchStrategy[str]:
    """Random text with at least one digit, as every key has."""
    return st.builds(
        lambda text, digit, at: text[:at] + digit + text[at:],
        st.text(alphabet, min_size=length - 1, max_size=length + 8),
        st.sampled_from(string.digits),
        st.integers(0, length - 1),
    )


def _prefixed(prefix: str, length: int, alphabet: str = _LETTERS) -> st.SearchStrategy[str]:
    return _random(length, alphabet).map(prefix.__add__)


KEYS = st.one_of(
    _prefixed("sk-", 20),
    _prefixed("sk-live-", 16),
    _prefixed("sk-proj-", 24, _LETTERS + "-_"),
    _prefixed("sk_live_", 16),
    _prefixed("AIza", 30, _LETTERS + "-_"),
    _prefixed("ghp_", 30),
    _prefixed("github_pat_", 30),
    _prefixed("glpat-", 20),
    _prefixed("xoxb-", 20),
    _prefixed("hf_", 30),
    _prefixed("AKIA", 16, string.ascii_uppercase + string.digits),
    st.builds("eyJ{}.eyJ{}.{}".format, _random(12), _random(12), _random(20)),
)
# Of no known shape: recognised by the name before it.
OPAQUE = _random(16, string.ascii_lowercase + string.digits)

_AROUND_KEYS = [
    "{}",
    "Incorrect API key provided: {}. You can find your key at https://h.example/keys.",
    "密钥{}无效",
    "({})",
    "<b>{}</b>",
    "&quot;{}&quot;",
    "key {} is bad",
    "first\n{}\nlast",
    "https://h.example/v1/{}/x",
    "redirected to https://h.example/?a=1&x={}",
]
_AROUND_SECRETS = [
    "Authorization: Bearer {}",
    "authorization: Basic {}",
    "Authorization: {}",
    '{{"Authorization": "Bearer {}"}}',
    "{{'authorization': '{}'}}",
    "GET /v1 HTTP/1.1\r\nHost: h.example\r\nX-Api-Key: {}\r\nAccept: */*",
    "curl https://h.example/ -H 'Authorization: Bearer {}' -s",
    "https://h.example/v1?key={}&x=1",
    "https://h.example/v1?a=1&access_token={}",
    "https://user:{}@h.example/x",
    "X-Amz-Signature in https://h.example/?X-Amz-Signature={}",
    "api_key={}",
    '"api_key": "{}"',
    "password={}",
]
WAYS = ("plain", "json", "invisible", "entities")
INVISIBLE = "\u200b\u200d\u2060\ufeff\u00ad\x00"


@st.composite
def hidden_in(draw: st.DrawFn, secret: str, *, ways: tuple[str, ...] = WAYS) -> str:
    """A text with `secret`, which has a known shape, in a header, a URL, JSON or prose."""
    text = draw(st.sampled_from([*_AROUND_KEYS, *_AROUND_SECRETS])).format(secret)
    how = draw(st.sampled_from(ways))
    if how == "json":
        return json.dumps({"error": {"message": text}})
    if how == "invisible":
        at = text.index(secret) + draw(st.integers(1, len(secret) - 1))
        return text[:at] + draw(st.sampled_from(INVISIBLE)) + text[at:]
    if how == "entities":
        at = text.index(secret) + draw(st.integers(0, len(secret) - 1))
        return f"{text[:at]}&#{ord(text[at])};{text[at + 1 :]}"
    return text


@st.composite
def named(draw: st.DrawFn, secret: str) -> str:
    """A text with `secret` of any shape, after the name that announces it."""
    return draw(st.sampled_from(_AROUND_SECRETS)).format(secret)


@st.composite
def pasted(draw: st.DrawFn, task_id: str, secret: str) -> str:
    """A text that a user may paste: `task_id`, and `secret` beside it."""
    url = f"https://h.example/v1/result/{quote(task_id)}"
    return draw(
        st.sampled_from(
            [
                f"curl {url} -H 'Authorization: Bearer {secret}'",
                f"curl -u me:{secret} {url}",
                f"{url}?key={secret}",
                f"https://me:{secret}@h.example/v1/result/{task_id}",
                f"{task_id} {secret}",
                f"{secret}\n{task_id}",
                f"id={task_id} key={secret}",
                json.dumps({"id": task_id, "api_key": secret}),
                json.dumps({"headers": {"Authorization": f"Bearer {secret}"}, "data": {"id": task_id}}),
                f"polled {task_id} with Bearer {secret}, still queued",
                f"```\n{task_id}\nAuthorization: Bearer {secret}\n```",
            ]
        )
    )
