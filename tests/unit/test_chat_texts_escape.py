"""What is taken out of text from outside, what is kept, and how long the result may be."""

import pytest

from bot.chat.texts.escape import code, code_block, length, one_line, printable, shorten, shorten_middle

FAMILY = "👩‍👩‍👧‍👦"
FLAG = "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f"
BREAK = "\u200b"
TICK = "\u02cb"


# -- printable and one_line ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("a\x00b\x07c\x1bd\x7fe\x85f", "abcdef"),
        ("\u202egnp.exe\u202c", "gnp.exe"),
        ("\u2066a\u2069\u200eb\u200fc\u061cd", "abcd"),
        ("a\ud800b\udfffc", "abc"),
        ("a\ue000b\U000f0000c\U00100000d", "abcd"),
        ("a\uffffb", "ab"),
        ("a\r\nb\rc\nd", "a\nb\nc\nd"),
        ("a\tb", "a b"),
    ],
    ids=["control", "override", "isolates", "surrogates", "private", "unassigned", "newlines", "tab"],
)
def test_printable_with_invisible_characters_drops_them(text: str, left: str):
    """Control, bidirectional, surrogate, private and unassigned characters go; line ends are one kind."""
    assert printable(text) == left


@pytest.mark.parametrize("text", [FAMILY, FLAG, "❤️", "e\u0301", "视频生成失败", "नमस्ते", "می‌خواهم"])
def test_printable_with_joined_characters_keeps_them(text: str):
    """Joiners, tags, variation selectors and marks are part of what people write."""
    assert printable(text) == text


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("  a \n\n b\r\nc  ", "a b c"),
        ("a\u2028b\u2029c", "a b c"),
        ("a\u00a0\u3000b", "a b"),
        ("\n \t", ""),
        ("abcdef", "abcd…"),
    ],
)
def test_one_line_with_spaces_of_any_kind_folds_them(text: str, line: str):
    """Every kind of line end and space becomes one plain space, and the line is cut."""
    assert one_line(text, 5) == line


# -- lengths ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "units"), [("", 0), ("abc", 3), ("é…", 2), ("😀", 2), (FAMILY, 11)])
def test_length_of_text_counts_utf_16_units(text: str, units: int):
    """An emoji is at least two units."""
    assert length(text) == units


@pytest.mark.parametrize(
    ("text", "most", "short"),
    [
        ("abc", 3, "abc"),
        ("abcd", 3, "ab…"),
        ("😀😀", 4, "😀😀"),
        ("😀😀", 3, "😀…"),
        ("😀😀", 2, "…"),
        ("abc", 1, "…"),
        ("abc", 0, "…"),
        ("abc", -5, "…"),
    ],
)
def test_shorten_by_units_never_splits_a_character(text: str, most: int, short: str):
    """The cut counts in UTF-16 units, leaves no half emoji and ends with an ellipsis."""
    assert shorten(text, most) == short


@pytest.mark.parametrize(
    ("most", "short"),
    [
        (17, "vgen_abc123def456"),
        (16, "vgen_abc12…ef456"),
        (8, "vgen_…56"),
        (3, "v…6"),
        (2, "…6"),
    ],
)
def test_shorten_middle_of_an_id_keeps_both_ends(most: int, short: str):
    """An id is recognised by its beginning or its end."""
    assert shorten_middle("vgen_abc123def456", most) == short
    assert len(short) <= most


# -- spans and blocks ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("vgen_1", "`vgen_1`"),
        ("a`b``c", f"`a{TICK}b{TICK}{TICK}c`"),
        ("`", f"`{TICK}`"),
        ("", "` `"),
        (" \n", "` `"),
        ("a\n@everyone", "`a @everyone`"),
        ("a\\", "`a\\`"),
    ],
)
def test_code_with_text_from_outside_is_one_closed_span(text: str, span: str):
    """Two backticks in all, however many the text holds, and never an empty span."""
    assert code(text) == span


def test_code_with_long_text_is_cut_inside_the_span():
    """`max_length` counts what is between the backticks."""
    assert code("x" * 200, 40) == f"`{'x' * 39}…`"


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        ("plain", "plain"),
        ("  two\r\nlines ", "two\nlines"),
        ("use `veo-3`", "use `veo-3`"),
        ("``", "``"),
        ("```", f"``{BREAK}`"),
        ("`````", f"``{BREAK}``{BREAK}`"),
        ("a```\n@everyone", f"a``{BREAK}`\n@everyone"),
        ("`\x00`\u202e`", f"``{BREAK}`"),
        ("", " "),
        ("\n\n", " "),
    ],
)
def test_code_block_with_text_from_outside_is_one_closed_block(text: str, inside: str):
    """Three backticks in a row are taken apart by an invisible space; all else stays as it was."""
    assert code_block(text, 100) == f"```\n{inside}\n```"


@pytest.mark.parametrize("most", [10, 50, 1200])
@pytest.mark.parametrize("text", ["x" * 5000, "😀" * 5000, "`" * 5000, "a\n" * 5000])
def test_code_block_with_long_text_counts_its_fences(text: str, most: int):
    """The whole block fits, fences included, and shows that something was cut."""
    block = code_block(text, most)

    assert length(block) <= most
    assert block.startswith("```\n")
    assert block.endswith("…\n```")
    assert block.count("```") == 2
