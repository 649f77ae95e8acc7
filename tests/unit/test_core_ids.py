"""Reading task ids out of pasted text."""

import json

import pytest

from bot.core.ids import find_ids, is_task_id, read_ids

V = "vgen_abc123def456"
S = "sora_2_x.y:z-1"
P = "proj_77"
U = "video_68e5f0b2-1234-4abc-9def-001122334455"
API = "https://zcbservice.aizfw.cn/kyyReactApiServer/v1/result/"


@pytest.mark.parametrize("text", ["a", V, S, P, U, "..a", "A" * 128, "0", "-", "a:b"])
def test_id_of_allowed_characters_is_valid(text: str):
    """Ids are opaque: no prefix is required."""
    assert is_task_id(text)


@pytest.mark.parametrize("text", ["", ".", "..", "....", "A" * 129, "a b", "a/b", "a\n", "é", "a?b", "a%20"])
def test_text_that_is_not_safe_in_a_url_path_is_no_id(text: str):
    """At most 128 characters, none that must be escaped, and no path segment such as ".."."""
    assert not is_task_id(text)


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("", ()),
        ("  \n ", ()),
        (V, (V,)),
        (f"{V} {S}", (V, S)),
        (f"{V},{S}", (V, S)),
        (f"{V};{S}", (V, S)),
        (f"{V}, {S} ,\n{P}\t{U}", (V, S, P, U)),
        (f"{S} {V} {S}", (S, V)),
        (f"`{V}`", (V,)),
        (f'"{V}"', (V,)),
        (f"**{V}**", (V,)),
        (f"<{V}>", (V,)),
        (API + V, (V,)),
        (API + V + "/", (V,)),
        (API + V + "?x=1#top", (V,)),
        (f"<{API}{V}>", (V,)),
        (f"{API}a%2Db {API}{P}", ("a-b", P)),
        (f"https://cdn.example/v/{V}.mp4?sig=1", (V,)),
        (f"{API}{V} {V}", (V,)),
    ],
)
def test_option_gives_each_id_once_and_in_order(text: str, ids: tuple[str, ...]):
    """Separated by spaces, commas, semicolons, line ends or quotes, or within URLs."""
    found = read_ids(text)

    assert (found.ids, found.malformed) == (ids, ())


@pytest.mark.parametrize(
    ("value", "ids"),
    [
        ({"id": V, "status": "queued"}, (V,)),
        ({"task_id": V}, (V,)),
        ({"taskId": V}, (V,)),
        ({"projectId": P}, (P,)),
        ({"id": V, "task_id": S}, (V,)),
        ({"code": 0, "data": {"id": V}}, (V,)),
        ({"data": [{"id": V}, {"taskId": S}]}, (V, S)),
        ([V, S, V], (V, S)),
        ([[V], {"data": [S]}], (V, S)),
        ({"id": 17, "data": {"id": V}}, (V,)),
        ({"id": 17}, ()),
        ([17, None, True], ()),
        ({"nothing": V}, ()),
        ({}, ()),
        ([], ()),
    ],
)
def test_pasted_json_gives_the_ids_of_the_reply(value: object, ids: tuple[str, ...]):
    """The first known key that holds a text; lists and the `data` wrapper are searched."""
    found = read_ids(json.dumps(value, indent=2))

    assert (found.ids, found.malformed) == (ids, ())


@pytest.mark.parametrize(("depth", "ids"), [(7, (V,)), (9, ())])
def test_json_is_read_only_to_a_limited_depth(depth: int, ids: tuple[str, ...]):
    """No real reply is nested deeper."""
    assert read_ids("[" * depth + f'"{V}"' + "]" * depth).ids == ids


def test_json_nested_beyond_the_parsers_stack_is_malformed():
    """It is reported as malformed and raises nothing."""
    found = read_ids("[" * 100_000)

    assert found.ids == ()
    assert len(found.malformed) == 1


def test_broken_json_is_read_as_text():
    """Ids of known shapes are found, the rest is ignored."""
    found = read_ids(f"[{V}, {{oops!")

    assert (found.ids, found.malformed) == ((V,), ())


@pytest.mark.parametrize(
    ("text", "malformed"),
    [
        (".", (".",)),
        ("..", ("..",)),
        ("A" * 129, ("A" * 129,)),
        ("naïve naïve", ("naïve",)),
        ("a/b", ("a/b",)),
        ("https://host/", ("https://host/",)),
        ("http://[oops/x", ("http://[oops/x",)),
        (API + "%2E%2E", (API + "%2E%2E",)),
        (json.dumps({"id": "two words"}), ("two words",)),
        ("``", ("``",)),
    ],
)
def test_invalid_id_in_the_option_is_named_once(text: str, malformed: tuple[str, ...]):
    """So that the user can correct it."""
    found = read_ids(text)

    assert (found.ids, found.malformed) == ((), malformed)


def test_option_with_known_shapes_gives_only_those():
    """The rest of the text need not be ids."""
    found = read_ids(f"{V} a/b {S} odd-1")

    assert (found.ids, found.malformed) == ((V, S), ())


def test_list_of_words_gives_valid_ids_and_names_invalid_ones():
    """One invalid word does not lose the valid ids."""
    found = read_ids("odd-1 a/b odd-2")

    assert (found.ids, found.malformed) == (("odd-1", "odd-2"), ("a/b",))


@pytest.mark.parametrize(
    ("message", "ids"),
    [
        ("hello there, no ids", ()),
        (f"my video is {V}.", (V,)),
        (f"({V}), then {S}!", (V, S)),
        (f"{V}: done - {P}...", (V, P)),
        (f"**{V}** `{U}` ||{S}||", (V, U, S)),
        (f'{{"id":"{V}","status":"queued"}}', (V,)),
        (f"{API}{V}?x=1 and {API}odd-1", (V, "odd-1")),
        (f"[result]({API}odd-1)", ("odd-1",)),
        (f"https://cdn.example/v/{V}.mp4?sig=1", (V,)),
        (f"https://cdn.example/v/{V}.mp4.", (V,)),
        (f"{V} {V}", (V,)),
        (f"任务ID：{V}，请稍候", (V,)),  # noqa: RUF001 - some keyboards type it so
        (f"xx{V} {V[:6]} my_vgen_abc123", ()),
        (f"{API}.. {API}%2E", ()),
        (f"{API}a%2Fb", ()),
    ],
)
def test_message_gives_known_shapes_and_ids_in_result_urls(message: str, ids: tuple[str, ...]):
    """In prose any word could be an id, so only known shapes count."""
    assert find_ids(message) == ids


@pytest.mark.parametrize("family", ["vgen_", "sora_", "proj_", "video_"])
def test_id_of_each_family_is_found_in_a_message(family: str):
    """All families use the same endpoint."""
    assert find_ids(f"see {family}Ab1, please") == (f"{family}Ab1",)


@pytest.mark.parametrize(
    ("message", "found"),
    [
        ("id:vgen_abc123", ("vgen_abc123",)),
        ("my vgen_... one", ()),
        ("vgen_" + "x" * 124, ()),
        ("vgen_" + "x" * 123, ("vgen_" + "x" * 123,)),
    ],
)
def test_find_ids_takes_whole_ids_or_none(message: str, found: tuple[str, ...]):
    """A label may stand before an id; the beginning of a longer word is not an id."""
    assert find_ids(message) == found


# -- pasted text -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        f"id: {V}.",
        f"1. {V}",
        f"2) {V}",
        f"- {V}",
        f"* {V}",
        f"• {V}",
        f"> {V}",
        f"# {V}",
        f"({V})",
        f"[{V}]",
        f"“{V}”",
        f"{V},",
        f"{V};",
        f"{V}!",
        f"{V}?",
        f"{V}。",
        f"Your task is {V}, please wait",
        f"任务ID：{V}，请稍候",  # noqa: RUF001 - some keyboards type it so
        f"id是{V}的",
        f"…/{V}/content",
        f"/v1/result/{V}",
        f"GET /kyyReactApiServer/v1/result/{V} HTTP/1.1",
        f'10.0.0.1 - - "GET /v1/result/{V} HTTP/1.1" 200 231',
        f"zcbservice.aizfw.cn/v1/result/{V}",
        f"https://h.example/v1/videos/{V}/content",
        f"https://h.example/v1/videos/{V}/content?variant=video",
        f"https://h.example/?id={V}",
        f"https://h.example/x?task_id={V}&key=1",
        f"https://h.example/tasks#{V}",
        f"?id={V}",
        f"id={V}",
        f"task_id={V}&x=1",
        f"--id={V}",
        f"[{V}](https://h.example/v1/result/{V})",
        f"![video](https://h.example/v/{V}.mp4)",
        f'```json\n{{"id": "{V}", "status": "queued"}}\n```',
        f"```\n{V}\n```",
        f"```{V}```",
        f'here it is: ```json\n{{"data": {{"id": "{V}"}}}}\n``` thanks',
        f"``{V}``",
        f"**{V}**",
        f"~~{V}~~",
        f"||{V}||",
        f"_{V}_",
        f"__{V}__",
        f"*__{V}__*",
        f"<code>{V}</code>",
        V.replace("_", "\\_"),
        f"{V[:8]}\u200b{V[8:]}",
        f"\ufeff{V}\u2060",
        f"{V[:4]}\u00ad{V[4:]}",
        f"\u2068{V}\u2069",
        f"\u061c{V[:8]}\u061c{V[8:]}",
        f"{V}\ufe0f",
        f"\u3000{V}\u00a0",
        f'reply: {{"id":"{V}","object":"video"',
        f'\'{{"id": "{V}"}}\'',
        f"{{'id': '{V}', 'status': 'queued'}}",
        f"id\t{V}\tqueued",
        f"{V}.mp4",
        f"videos/{V}.mp4",
        f"C:\\videos\\{V}.mp4",
        f"2026-11-26 09:05:00 INFO task {V} created",
    ],
)
def test_id_of_a_known_shape_is_found_in_any_surroundings(text: str):
    """Lists, paths, URLs, markdown, JSON, log lines, invisible characters."""
    found = read_ids(text)

    assert (found.ids, found.malformed, found.refused) == ((V,), (), False)


# Full-width comma and semicolon, ideographic and Arabic comma, ideographic space, line separator.
SEPARATORS = [",", "\uff0c", "\u3001", "\uff1b", "\u060c", " ", "\u3000", "\n", "\u2028", " and "]


@pytest.mark.parametrize("separator", SEPARATORS)
def test_ids_are_separated_by_the_commas_and_spaces_of_any_script(separator: str):
    """For example full-width commas and spaces."""
    assert read_ids(separator.join((V, S, "proj_77"))).ids == (V, S, "proj_77")
    assert read_ids(separator.join(("odd-1", "odd-2"))).ids == ("odd-1", "odd-2")


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("id: odd-1.", ("odd-1",)),
        ("1. odd-1\n2. odd-2", ("odd-1", "odd-2")),
        ("- odd-1\n- odd-2", ("odd-1", "odd-2")),
        ("ids: odd-1, odd-2 and odd-3", ("odd-1", "odd-2", "odd-3")),
        ("(odd-1)", ("odd-1",)),
        ("`odd-1`", ("odd-1",)),
        ("odd\\_1", ("odd_1",)),
        ('```json\n{"id":"odd-1"}\n```', ("odd-1",)),
        ("https://h.example/v1/videos/odd-1/content", ("odd-1",)),
        ("https://h.example/x?id=odd-1", ("odd-1",)),
        ("68e5f0b2-1234-4abc-9def-001122334455", ("68e5f0b2-1234-4abc-9def-001122334455",)),
        ("api-key", ("api-key",)),
        ("cgt-20261126-a1b2c", ("cgt-20261126-a1b2c",)),
        ("123456789", ("123456789",)),
        ("a:b", ("a:b",)),
    ],
)
def test_list_of_words_without_a_known_shape_is_a_list_of_ids(text: str, ids: tuple[str, ...]):
    """Ids are opaque."""
    found = read_ids(text)

    assert (found.ids, found.malformed, found.refused) == (ids, (), False)


@pytest.mark.parametrize(
    "message", [f"veo_{V}.mp4", f"see attachment veo_{V}.mp4", f"https://cdn.example/a/veo_{V}.mp4?ex=1"]
)
def test_name_of_our_own_attachment_gives_its_id(message: str):
    """Users copy the file names of results."""
    assert find_ids(message) == (V,)
