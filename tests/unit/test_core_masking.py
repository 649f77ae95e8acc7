"""Text that looks like a credential is masked, and never read as an id."""

import pytest

from bot.core.ids import find_ids, read_ids
from bot.core.masking import STARS, looks_like_credential, mask_credentials

V = "vgen_abc123def456"
API = f"https://zcbservice.aizfw.cn/kyyReactApiServer/v1/result/{V}"
# Invented keys in the formats of well-known services.
KEYS = [
    "sk-abcdefgh12345678",
    "sk-live-abcdefgh12345678",
    "sk-proj-AbCdEf_123456-abcdefgh",
    "sk-ant-api03-AbCdEf123456",
    "sk_live_abcdefgh12345678",
    "rk_test_abcdefgh12345678",
    "pk-lf-abcdefgh12345678",
    "sk-ab**********yz",
    "AIzaSyA1234567890abcdefghijklmnopqrstuv",
    "ya29.a0AfH6SMBabcdefghij",
    "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
    "gho_abcdefghijklmnopqrstuvwxyz0123456789",
    "github_pat_11ABCDEFG0abcdefghijkl_mnopqrstuvwxyz",
    "glpat-abcdefghij1234567890",
    "xoxb-123456789012-abcdefghijkl",
    "hf_abcdefghijklmnopqrstuvwxyzABCDEF",
    "AKIAIOSFODNN7EXAMPLE",
    "ASIAIOSFODNN7EXAMPLE",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.abcdefghijk",
    "MTk4NjIyNDgzNDcxOTI1MjQ4.Cl2FMQ.ZnCjm1XVW7vRze4b7Cq4se7kKWs",
    "gsk_abcdefghijklmnop0123456789ABCDEF",
    "xai-abcdefghijklmnop0123456789ABCDEF",
    "pplx-abcdef0123456789abcdef0123456789",
    "npm_abcdefghijklmnopqrstuvwxyz0123456789",
    "r8_abcdefghijklmnopqrstuvwxyz0123456789A",
    "SG.abcdefghijklmnopqrstuv.abcdefghijklmnopqrstuvwxyz0123456789abcdefg",
    "123456789:AAFabcdefghijklmnopqrstuvwxyz012345",
]
OPAQUE = "abcdef123456opaque"


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize(
    "around", ["{}", "the key {} is bad", "({})", '"{}"', "key={}", "a, {}.", "`{}`", "密钥{}无效", "\n{}\n"]
)
def test_key_of_a_known_shape_is_masked_in_any_text(key: str, around: str):
    """The rest of the text stays."""
    masked = mask_credentials(around.format(key))

    assert key not in masked
    assert STARS in masked


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        (f"Authorization: Bearer {OPAQUE}", f"Authorization: Bearer {STARS}"),
        (f"authorization: basic {OPAQUE}==", f"authorization: basic {STARS}"),
        (f"Authorization: {OPAQUE}", f"Authorization: {STARS}"),
        (f'{{"Authorization": "Bearer {OPAQUE}"}}', f'{{"Authorization": "Bearer {STARS}"}}'),
        (f"{{'authorization': '{OPAQUE}'}}", f"{{'authorization': '{STARS}'}}"),
        (f"Bot {OPAQUE}", f"Bot {STARS}"),
        (f"X-Api-Key: {OPAQUE}", f"X-Api-Key: {STARS}"),
        (f'"x-goog-api-key": "{OPAQUE}"', f'"x-goog-api-key": "{STARS}"'),
        (f"https://h/?key={OPAQUE}&a=1", f"https://h/?key={STARS}&a=1"),
        (f"https://h/?a=1&access_token={OPAQUE}#x", f"https://h/?a=1&access_token={STARS}#x"),
        (f"https://h/?X-Amz-Signature={OPAQUE}", f"https://h/?X-Amz-Signature={STARS}"),
        (f"https://user:{OPAQUE}@h/x", f"https://user:{STARS}@h/x"),
        (f"https://:{OPAQUE}@h/x", f"https://:{STARS}@h/x"),
        (f"password={OPAQUE} user=me", f"password={STARS} user=me"),
        (f"api_key: {OPAQUE}", f"api_key: {STARS}"),
        (f"API KEY = {OPAQUE}", f"API KEY = {STARS}"),
        (f"client_secret={OPAQUE}", f"client_secret={STARS}"),
    ],
)
def test_named_secret_is_masked_and_its_name_stays(text: str, masked: str):
    """A secret of any format is recognised by the name before it."""
    assert mask_credentials(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "",
        "The prompt was rejected by the safety filter.",
        "Incorrect API key provided.",
        "the token has expired; please log in",
        "risk-assessment failed for task-1234567890",
        "Support codes: 29310472",
        f"{V} sora_2_x proj_77 video_68e5f0b2-1234-4abc-9def-001122334455",
        "https://cdn.example/v/1.mp4?Expires=1800000000",
        "https://h.example:8080/a@b",
        "key frames: 12, keyboard: none",
        "HTTP 502: a web page",
        "内容违规，请修改提示词",  # noqa: RUF001 - some keyboards type it so
    ],
)
def test_harmless_text_stays_as_it_is(text: str):
    assert mask_credentials(text) == text


@pytest.mark.parametrize("mark", ["\u200b", "\u00ad", "\u2060", "\x00"])
def test_key_with_an_invisible_character_is_masked(mark: str):
    """A reader could copy the key without that character."""
    masked = mask_credentials(f"key sk-live-{mark}abcdefgh12345678 is bad")

    assert "abcdefgh12345678" not in masked


@pytest.mark.parametrize(
    "text",
    [
        "https://h/?next=https%3A%2F%2Fg%2F%3Fkey%3DAIzaSyA1234567890abcdefghijklmnopqrstuv",
        r"first\nsk-live-abcdefgh12345678",
        r"{\"key\":\"sk-live-abcdefgh12345678\"}",
        r"key\u003dsk-live-abcdefgh12345678",
    ],
)
def test_key_after_an_escape_sequence_is_masked(text: str):
    """The last character of the escape is not part of the key."""
    masked = mask_credentials(text)

    assert "abcdefgh" not in masked


@pytest.mark.parametrize("key", KEYS)
def test_key_alone_looks_like_a_credential(key: str):
    assert looks_like_credential(key)


@pytest.mark.parametrize(
    "word", ["Authorization:", "authorization", "Bearer", "BASIC", "token", "password=", "secret:"]
)
def test_word_before_a_secret_looks_like_a_credential(word: str):
    """The word alone is not read as an id."""
    assert looks_like_credential(word)


def test_long_random_word_looks_like_a_credential():
    """No service has such ids. A long word of only one kind of characters may still be an id."""
    assert looks_like_credential("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
    assert not looks_like_credential("A" * 128)
    assert not looks_like_credential("68e5f0b2-1234-4abc-9def-001122334455")


# -- pasted text -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        f"curl {API} -H 'Authorization: Bearer {OPAQUE}'",
        f'curl -X GET "{API}" \\\n  -H "Authorization: Bearer sk-live-abcdefgh12345678" \\\n  -s | jq',
        f"curl -u me:{OPAQUE} {API}",
        f"curl '{API}?key=AIzaSyA1234567890abcdefghijklmnopqrstuv'",
        f"curl --location '{API}' --header 'X-Api-Key: {OPAQUE}'",
        f"wget --header='Authorization: Bearer {OPAQUE}' {API}",
        f"http GET {API} Authorization:'Bearer {OPAQUE}'",
        f"Invoke-RestMethod {API} -Headers @{{Authorization='Bearer {OPAQUE}'}}",
        f"requests.get('{API}', headers={{'Authorization': 'Bearer {OPAQUE}'}})",
        f"fetch('{API}', {{headers: {{authorization: `Bearer {OPAQUE}`}}}})",
        f"GET /v1/result/{V} HTTP/1.1\nHost: h.example\nAuthorization: Bearer {OPAQUE}\nAccept: */*",
        f"id={V} token={OPAQUE}",
        f"{V}\n{OPAQUE} is my key",
        f"sk-live-abcdefgh12345678 {V}",
        f"https://user:{OPAQUE}@h.example/v1/result/{V}",
        f'{{"id":"{V}","api_key":"{OPAQUE}"}}',
        f'{{"headers":{{"Authorization":"Bearer {OPAQUE}"}},"data":{{"id":"{V}"}}}}',
        f"VEO_API_KEY={OPAQUE} python poll.py {V}",
        f"2026-11-26 INFO polled {V} with key sk-live-abcdefgh12345678",
    ],
)
def test_only_the_id_of_a_pasted_command_is_read(text: str):
    """The rest is ignored: not stored, not shown, not polled."""
    found = read_ids(text)

    assert (found.ids, found.malformed, found.refused) == ((V,), (), False)
    assert find_ids(text) == (V,)


@pytest.mark.parametrize(
    "text",
    [
        *KEYS,
        f"Bearer {OPAQUE}",
        f"Authorization: Bearer {OPAQUE}",
        f"Authorization:Bearer {OPAQUE}",
        f"authorization:{OPAQUE}",
        f"-H 'Authorization: Bearer {OPAQUE}'",
        f'-H "X-Api-Key: {OPAQUE}"',
        f"X-Api-Key {OPAQUE}",
        f"x-goog-api-key {OPAQUE}",
        f"X-Api-Key:{OPAQUE}",
        f"key: {OPAQUE}",
        f"my key: {OPAQUE}",
        f"key = {OPAQUE}",
        f"key={OPAQUE}",
        f"--key {OPAQUE}",
        f"-k {OPAQUE}",
        f"api_key={OPAQUE}",
        f"api_key:{OPAQUE}",
        "token:opaque-letters",
        "secret:opaque-letters",
        "password:hunter",
        "password hunter2",
        f"token {OPAQUE}",
        f"Basic {OPAQUE}==",
        "curl https://h.example/ -u me:hunter2",
        f"Cookie: session={OPAQUE}",
        f"密钥： {OPAQUE}",  # noqa: RUF001 - some keyboards type it so
        f"密钥：{OPAQUE}",  # noqa: RUF001
        "odd-1 sk-live-abcdefgh12345678",
        "odd-1, Bearer",
        "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQ",
        "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        '{"id":"sk-live-abcdefgh12345678"}',
        f'["odd-1","Bearer {OPAQUE}"]',
        f"```\nBearer {OPAQUE}\n```",
        "https://h.example/v1/result/sk-live-abcdefgh12345678",
        "https://h.example/?id=sk-live-abcdefgh12345678",
        "https://discord.com/api/webhooks/123/abcDEF123_abcDEF123_abcDEF123_abcDEF123_abcDEF12",
        "sk-live-\u200babcdefgh12345678",
    ],
)
def test_secret_alone_is_refused_and_not_repeated(text: str):
    """No part of it becomes an id or is named as an invalid id."""
    found = read_ids(text)

    assert (found.ids, found.malformed, found.refused) == ((), (), True)
    assert find_ids(text) == ()
