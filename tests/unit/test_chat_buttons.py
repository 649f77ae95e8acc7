"""The components under cards and results, as they are sent, and the attachment's name."""

import re
from pathlib import Path
from typing import Any

import discord
import pytest

from bot.chat.buttons.base import TargetButton
from bot.chat.buttons.cards import NotifyButton, StopButton, StopYesButton, card_buttons
from bot.chat.buttons.forget import ForgetButton, forget_buttons
from bot.chat.buttons.marks import Target, custom_id, is_direct, is_result
from bot.chat.buttons.results import (
    DeleteButton,
    DeleteDirectButton,
    DeleteDirectYesButton,
    DeleteYesButton,
    PostAgainButton,
    direct_buttons,
    result_buttons,
)
from bot.chat.layouts import card_layout
from bot.chat.messenger import attachment_name
from bot.chat.texts.language import ENGLISH as T
from bot.core.clock import DAY
from bot.core.results import ResultMessage, Video
from bot.core.tasks import (
    LIVE,
    Card,
    CardView,
    Delivery,
    DeliveryState,
    DueDelivery,
    ExistingDelivery,
    TaskState,
    TrackedTask,
)
from bot.core.tracking import PressedButton
from tests.factories import NOW, TASK, make_delivery, make_task

LARGEST = 2**63 - 1
LINK = "https://cdn.example/v/1.mp4?sig=a%2Fb"
PART = "abcdefgh"
NONCE = f"v{PART}ijkl"
MESSAGE = 1234567890123456789
BUTTONS: list[Any] = [
    *(NotifyButton, StopButton, StopYesButton, PostAgainButton),
    *(DeleteButton, DeleteYesButton, DeleteDirectButton, DeleteDirectYesButton),
]
SECONDARY, URL = discord.ButtonStyle.secondary.value, discord.ButtonStyle.link.value


def task(**changes: Any) -> TrackedTask:
    done = {
        "state": TaskState.COMPLETED,
        "video_url": LINK,
        "polled_at": NOW,
        "finished_at": NOW,
        "link_ends_at": NOW + DAY,
        "due_at": None,
    }
    return make_task(**done | changes)


def delivery(**changes: Any) -> Delivery:
    return make_delivery(**{"state": DeliveryState.DUE, "due_at": NOW, "nonce": NONCE} | changes)


def result(of: TrackedTask, delivery_id: int = 7) -> ResultMessage:
    video = Video(Path("video.mp4"), 1000, 640, 360)
    return ResultMessage(DueDelivery(delivery(id=delivery_id), of, ()), video)


def items(view: discord.ui.View) -> list[dict[str, Any]]:
    """The buttons as Discord gets them."""
    return [item for row in view.to_components() for item in row["components"]]


async def test_on_result_while_the_link_lives_has_the_original_as_well():
    """A link button and two with a custom id."""
    original, again, delete = items(result_buttons(T, result(task()), NOW))

    assert (original["style"], original["label"], original["url"]) == (URL, "Original", LINK)
    assert (delete["style"], delete["label"], delete["custom_id"]) == (
        SECONDARY,
        "Delete",
        "veo:delete:7:abcdefgh",
    )
    assert "url" not in delete
    assert (again["label"], again["custom_id"]) == ("Post again", "veo:again:7:abcdefgh")


@pytest.mark.parametrize(
    ("of", "now"),
    [
        (task(), NOW + DAY),
        (task(video_url="https://h/" + "x" * 503), NOW),
        (task(video_url="https://h/" + "é" * 100), NOW),
        (task(state=TaskState.FAILED, video_url=None), NOW),
        (task(state=TaskState.LOST), NOW),
    ],
    ids=["dead", "513 characters", "too long once encoded", "failed", "lost"],
)
async def test_on_result_without_a_usable_link_has_no_button_for_it(of: TrackedTask, now: int):
    """Discord refuses the whole message for one bad link button. Only a video can be posted again."""
    again = ["Post again"] if of.state is TaskState.COMPLETED else []

    assert [item["label"] for item in items(result_buttons(T, result(of), now))] == [*again, "Delete"]


@pytest.mark.parametrize(
    ("link", "url"),
    [
        ("https://h/" + "x" * 502, "https://h/" + "x" * 502),
        ("https://h/a b|c", "https://h/a%20b%7Cc"),
        ("https://h/é", "https://h/%C3%A9"),
    ],
)
async def test_on_result_with_a_link_of_any_kind_sends_a_well_formed_url(link: str, url: str):
    """At most 512 characters, and percent-encoded."""
    original, *_ = items(result_buttons(T, result(task(video_url=link)), NOW))

    assert original["url"] == url
    assert len(url) <= 512


@pytest.mark.parametrize("state", DeliveryState)
@pytest.mark.parametrize(("watchers", "label"), [(0, "Notify me"), (2, "Notify me (2)")])
async def test_on_card_has_notify_and_stop_while_something_is_to_come(
    state: DeliveryState, watchers: int, label: str
):
    """None once everything on it has ended."""
    row = ExistingDelivery(delivery(state=state), task())
    view = CardView(Card(LARGEST, 11, 22, None), (row,), watchers=watchers)

    buttons: Any = card_buttons(T, view)
    shown = [(button.item.label, button.custom_id) for button in buttons]

    notify = (label, f"veo:notify:{LARGEST}:abcdefgh")
    assert shown == ([notify, ("Stop", f"veo:stop:{LARGEST}:abcdefgh")] if state in LIVE else [])


async def test_card_is_one_container_with_its_buttons_inside():
    """Text, lines between, then the row of buttons."""
    view = CardView(Card(1, 11, 22, None), (ExistingDelivery(delivery(), task()),))

    drawn: Any = card_layout(T, view, NOW)
    (container,) = drawn.to_components()

    kinds = [component["type"] for component in container["components"]]
    assert (container["type"], container["accent_color"]) == (17, 0xF0B232)
    assert kinds == [10, 14, 10, 14, 10, 1]
    assert container["components"][-1]["components"][0]["emoji"]["name"] == "🔔"


async def test_views_have_no_timeout():
    """They work after a restart, and nothing of them is kept in memory."""
    view = CardView(Card(1, 11, 22, None), (ExistingDelivery(delivery(), task()),))

    assert card_layout(T, view, NOW).timeout is None
    assert result_buttons(T, result(task()), NOW).timeout is None


@pytest.mark.parametrize("number", [1, LARGEST])
@pytest.mark.parametrize("message_id", [None, MESSAGE, LARGEST])
@pytest.mark.parametrize("button", BUTTONS)
async def test_custom_id_of_each_button_matches_its_template_alone(
    button: Any, number: int, message_id: int | None
):
    """After a restart the pattern is all that leads a press back to its button."""
    target = Target(number, PART, message_id)
    written = button(target).custom_id

    matches = {each: each.__discord_ui_compiled_template__.fullmatch(written) for each in BUTTONS}

    assert [each for each, match in matches.items() if match] == [button]
    assert Target.read(matches[button]) == target
    assert len(written) <= 100


async def test_part_of_a_nonce_is_not_taken_for_a_message():
    """It may consist of digits alone."""
    written = DeleteButton(Target(7, "12345678")).custom_id
    match = DeleteButton.__discord_ui_compiled_template__.fullmatch(written)

    assert match is not None
    assert Target.read(match) == Target(7, "12345678")


@pytest.mark.parametrize(("button", "kind"), [(NotifyButton, "notify"), (DeleteButton, "delete")])
async def test_custom_id_of_version_0_1_0_leads_to_its_button(button: Any, kind: str):
    """Without a part of the nonce: those messages are still there."""
    match = button.__discord_ui_compiled_template__.fullmatch(f"veo:{kind}:42")
    nobody: Any = None
    assert match is not None

    again = await button.from_custom_id(nobody, nobody, match)

    assert again.target == Target(42)
    assert again.custom_id == f"veo:{kind}:42"


async def test_forget_button_names_nobody():
    """It acts on the person who presses it, also after a restart."""
    [button] = items(forget_buttons(T))

    assert ForgetButton.__discord_ui_compiled_template__.fullmatch(button["custom_id"])
    assert (button["custom_id"], button["style"]) == ("veo:forget", discord.ButtonStyle.danger.value)
    assert forget_buttons(T).timeout is None


@pytest.mark.parametrize(
    "custom_id",
    [
        "veo:delete:",
        "veo:delete:x",
        "veo:delete:" + "1" * 20,
        "veo:notify:1",
        "veo:delete:1:short",
        "veo:delete:1:",
    ],
)
def test_delete_template_with_a_foreign_id_does_not_match(custom_id: str):
    """Only what a button made."""
    assert DeleteButton.__discord_ui_compiled_template__.fullmatch(custom_id) is None


@pytest.mark.parametrize("button", BUTTONS)
async def test_button_from_its_custom_id_is_the_same_button(button: Any):
    """discord.py builds it anew for every press."""
    before = button(Target(42, PART, MESSAGE))
    match = button.__discord_ui_compiled_template__.fullmatch(before.custom_id)
    nobody: Any = None
    assert match is not None

    again = await button.from_custom_id(nobody, before.item, match)

    assert again.custom_id == before.custom_id
    assert isinstance(again, TargetButton)
    assert again.target == before.target


@pytest.mark.parametrize(
    ("task_id", "name"),
    [
        ("vgen_abc123def456", "veo_vgen_abc123def456.mp4"),
        ("models/veo:1", "veo_models_veo_1.mp4"),
        ("a:b", "veo_a_b.mp4"),
        ("a.b-c_d", "veo_a.b-c_d.mp4"),
        ('a"\r\nb', "veo_a___b.mp4"),
        ("..", "veo_...mp4"),
        ("x" * 128, f"veo_{'x' * 128}.mp4"),
    ],
)
def test_attachment_name_replaces_what_a_file_name_cannot_bear(task_id: str, name: str):
    """veo_<id>.mp4 of letters, digits, dots, underscores and hyphens."""
    assert attachment_name(task_id) == name
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,136}", name)


# -- which message it is ---------------------------------------------------------------------------


def test_button_is_found_at_any_depth():
    """In a container as well."""
    written = custom_id("delete", Target.of(delivery()))
    row = {"type": 1, "components": [{"custom_id": written}]}

    assert is_result({"components": [{"type": 17, "components": [{"type": 10}, row]}]}, delivery())


def message_with(custom_id: str, content: str = "") -> dict[str, Any]:
    """As Discord gives it in a history: rows of components."""
    return {"content": content, "components": [{"type": 1, "components": [{"custom_id": custom_id}]}]}


@pytest.mark.parametrize(
    ("custom_id", "content", "expected"),
    [
        (f"veo:delete:7:{PART}", "", True),
        ("veo:delete:7:otherone", f"`{TASK}`", False),
        (f"veo:delete:8:{PART}", f"`{TASK}`", False),
        ("veo:delete:7", f"`{TASK}` is ready", True),
        ("veo:delete:7", "`vgen_other` is ready", False),
        (f"veo:direct:7:{PART}", f"`{TASK}`", False),
    ],
)
def test_is_result_by_number_and_nonce(custom_id: str, content: str, expected: bool):
    """Another database has other numbers; version 0.1.0 wrote no nonce, but the task's id."""
    assert is_result(message_with(custom_id, content), delivery()) is expected


def test_is_direct_by_number_and_nonce():
    """The direct message, and not the result."""
    assert is_direct(message_with(f"veo:direct:7:{PART}"), delivery())
    assert not is_direct(message_with("veo:direct:7:otherone"), delivery())
    assert not is_direct(message_with(f"veo:delete:7:{PART}"), delivery())


async def test_look_ups_find_the_messages_that_the_buttons_make():
    """What is written and what is looked for agree."""
    [button] = items(direct_buttons(T, delivery()))
    assert is_direct(message_with(button["custom_id"]), delivery())
    *_, delete = items(result_buttons(T, result(task()), NOW))
    assert is_result(message_with(delete["custom_id"]), delivery())


@pytest.mark.parametrize(
    ("message_id", "pressed", "expected"),
    [
        (900, PressedButton(900, ""), True),
        (900, PressedButton(900, PART), True),
        (900, PressedButton(901, PART), False),
        (None, PressedButton(901, PART), True),
        (None, PressedButton(901, "otherone"), False),
        (None, PressedButton(901, ""), False),
    ],
    ids=["0.1.0", "same", "another message", "not recorded yet", "another database", "not recorded, 0.1.0"],
)
def test_pressed_button_is_on_its_message_alone(
    message_id: int | None, pressed: PressedButton, expected: bool
):
    """A database that was put back gives a number again: its button must not act on another message."""
    assert pressed.is_on(message_id, NONCE) is expected
    assert pressed.is_on_result(delivery(message_id=message_id)) is expected
