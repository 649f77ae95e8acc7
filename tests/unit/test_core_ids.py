"""Reading task ids out of what people paste."""

import json

import pytest

from bot.core.ids import find_ids, is_task_id, read_ids

V = "vgen_abc123def456"
S = "sora_2_x.y:z-1"
P = "proj_77"
U = "video_68e5f0b2-1234-4abc-9def-001122334455"
API = "https://zcbservice.aizfw.cn/kyyReactApiServer/v1/result/"


@pytest.mark.parametrize("text", ["a", V, S, P, U, "..a", "A" * 128, "0", "-", "a:b"])
def test_id_of_allowed_characters_is_one(text: str):
    """Ids are opaque: no prefix is required."""
    assert is_task_id(text)


@pytest.mark.parametrize("text", ["", ".", "..", "....", "A" * 129, "a b", "a/b", "a\n", "é", "a?b", "a%20"])
def test_text_that_a_url_would_bend_is_no_id(text: str):
    """At most 128 characters, nothing to escape, nothing that a path swallows."""
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
def test_option_text_gives_its_ids_in_order_and_once(text: str, ids: tuple[str, ...]):
    """Spaces, commas, semicolons, line ends, quotes, URLs."""
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
    """The first known key that holds a text; lists and the `data` wrapper are opened."""
    found = read_ids(json.dumps(value, indent=2))

    assert (found.ids, found.malformed) == (ids, ())


@pytest.mark.parametrize(("depth", "ids"), [(7, (V,)), (9, ())])
def test_deep_json_is_read_only_to_a_depth(depth: int, ids: tuple[str, ...]):
    """No real reply is nested like that; a bomb is."""
    assert read_ids("[" * depth + f'"{V}"' + "]" * depth).ids == ids


def test_json_bomb_is_no_json():
    """Nesting beyond the parser's stack is named as malformed, never raised."""
    found = read_ids("[" * 100_000)

    assert found.ids == ()
    assert len(found.malformed) == 1


def test_broken_json_is_read_as_text():
    """What is valid in it is still found, the rest is named."""
    found = read_ids(f"[{V}, {{oops!")

    assert found.ids == (V,)
    assert found.malformed == ("{oops!",)


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
def test_what_cannot_be_an_id_is_named_once(text: str, malformed: tuple[str, ...]):
    """A mistake in the option is worth telling."""
    found = read_ids(text)

    assert (found.ids, found.malformed) == ((), malformed)


def test_mixed_option_gives_both():
    """The good ones are not lost for a bad one."""
    found = read_ids(f"{V} a/b {S}")

    assert (found.ids, found.malformed) == ((V, S), ("a/b",))


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
        (f"任务ID：{V}，请稍候", (V,)),  # noqa: RUF001 - that is how it is typed
        (f"xx{V} {V[:6]} my_vgen_abc123", ()),
        (f"{API}.. {API}%2E", ()),
        (f"{API}a%2Fb", ()),
    ],
)
def test_message_gives_known_shapes_and_what_stands_in_a_result_url(message: str, ids: tuple[str, ...]):
    """In prose every word could be an id, so only known families count."""
    assert find_ids(message) == ids


@pytest.mark.parametrize("family", ["vgen_", "sora_", "proj_", "video_"])
def test_message_with_an_id_of_each_family_is_found(family: str):
    """All live on the same endpoint."""
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
    """A label may stand before an id; the beginning of something longer is another id."""
    assert find_ids(message) == found
