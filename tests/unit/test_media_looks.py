"""A fitted video looks like the original in a player: decoded frames of a clock face are compared."""

from fractions import Fraction
from pathlib import Path

import pytest

from bot.media.fit import Fitter
from bot.media.mp4 import inspect_mp4
from tests.films import clock_face, described, encode, ffmpeg, frame, mean_difference
from tests.processes import needs_ffmpeg

pytestmark = needs_ffmpeg

# Frames are compared at this size. It is square, so that rotated pictures can be compared as well.
SIDE = 120
LIMIT = 500_000
# Filter that rotates the stored picture, so that the display matrix of that angle shows it upright.
STORED_FOR = {0: "null", 90: "transpose=clock", 180: "hflip,vflip", 270: "transpose=cclock"}
CORNERS = {"red": (0, 0), "lime": (0, -1), "blue": (-1, 0), "yellow": (-1, -1)}


def stored(path: Path, shown: tuple[int, int], *, angle: int = 0, aspect: Fraction = Fraction(1)) -> Path:
    """The clock face at the displayed size `shown`, with a display matrix and non-square pixels."""
    width, height = shown if angle in (0, 180) else shown[::-1]
    if aspect > 1:
        width = int(width / aspect)
    else:
        height = int(height * aspect)
    ratio = f"{aspect.numerator}/{aspect.denominator}"
    filters = f"{STORED_FOR[angle]},scale={width}:{height}:flags=area,setsar={ratio}"
    # 4:2:0 H.264 needs even sides.
    colours = "yuv444p" if width % 2 or height % 2 else "yuv420p"
    upright = encode(
        path.with_suffix(".upright.mp4"), clock_face(*shown), "-pix_fmt", colours, filters=filters
    )
    ffmpeg("-display_rotation", str(angle), "-i", upright, "-c", "copy", path)
    return path


def corners(pixels: bytes) -> dict[str, str]:
    """The name of the colour that is seen in each corner."""
    colours = {"red": (255, 0, 0), "lime": (0, 255, 0), "blue": (0, 0, 255), "yellow": (255, 255, 0)}
    seen = {}
    for name, (down, across) in CORNERS.items():
        row, column = (at * 4 if at == 0 else SIDE - 5 for at in (down, across))
        at = 3 * (row * SIDE + column)
        seen[name] = min(colours, key=lambda each: mean_difference(colours[each], pixels[at : at + 3]))
    return seen


ASPECTS = [Fraction(1), Fraction(2), Fraction(1, 2)]


@pytest.mark.parametrize(
    ("shown", "angle", "aspect"),
    [((320, 180), angle, aspect) for angle in STORED_FOR for aspect in ASPECTS]
    + [((180, 320), 0, Fraction(2)), ((180, 320), 90, Fraction(1)), ((180, 320), 270, Fraction(1, 2))]
    + [((321, 181), 0, Fraction(1)), ((181, 321), 90, Fraction(2)), ((200, 200), 270, Fraction(1))],
)
async def test_orientation_and_aspect_stay(
    shown: tuple[int, int], angle: int, aspect: Fraction, tmp_path: Path
):
    """Display matrix, non-square pixels, odd sides, portrait."""
    source = stored(tmp_path / "in.mp4", shown, angle=angle, aspect=aspect)
    made = tmp_path / "out.mp4"

    await Fitter().fit(source, made, limit=LIMIT)

    before, after = frame(source, SIDE, SIDE), frame(made, SIDE, SIDE)
    assert corners(before) == corners(after) == {name: name for name in CORNERS}
    assert mean_difference(before, after) < 4  # a distorted or rotated picture gives 20 or more
    for said in (inspect_mp4(source), inspect_mp4(made)):
        assert said.width / said.height == pytest.approx(shown[0] / shown[1], rel=0.01)
    assert "SAR 1:1" in described(made)


async def test_mirrored_picture_stays_mirrored(tmp_path: Path):
    upright = encode(tmp_path / "upright.mp4", clock_face(320, 180), filters="hflip")
    ffmpeg("-display_hflip", "-i", upright, "-c", "copy", tmp_path / "in.mp4")

    await Fitter().fit(tmp_path / "in.mp4", tmp_path / "out.mp4", limit=LIMIT)

    assert corners(frame(tmp_path / "out.mp4", SIDE, SIDE)) == {name: name for name in CORNERS}


@pytest.mark.parametrize(
    ("pixels", "filters"),
    [
        (
            "yuv420p",
            "scale=out_color_matrix=bt709,setparams=colorspace=bt709:color_primaries=bt709:color_trc=bt709",
        ),
        ("yuv420p", "scale=out_color_matrix=bt601,setparams=colorspace=smpte170m"),
        ("yuvj420p", "scale=out_color_matrix=bt709:out_range=pc,setparams=colorspace=bt709"),
        ("yuv420p10le", "scale=out_color_matrix=bt2020,setparams=colorspace=bt2020nc:color_trc=smpte2084"),
        ("yuv422p10le", "scale=out_color_matrix=bt709,setparams=colorspace=bt709"),
        ("yuv444p", "scale=out_color_matrix=bt709,setparams=colorspace=bt709"),
    ],
    ids=["BT.709", "BT.601", "full range", "BT.2020 PQ, 10 bits", "4:2:2, 10 bits", "4:4:4"],
)
async def test_colours_stay(pixels: str, filters: str, tmp_path: Path):
    """The colour tags are kept; the format is 8-bit 4:2:0, which every client plays."""
    colours = f"{filters},format={pixels}"
    source = encode(tmp_path / "in.mp4", clock_face(320, 180), "-pix_fmt", pixels, filters=colours)
    made = tmp_path / "out.mp4"

    await Fitter().fit(source, made, limit=LIMIT)

    assert mean_difference(frame(source, SIDE, SIDE), frame(made, SIDE, SIDE)) < 4
    assert inspect_mp4(made).plays_in_discord
    assert ("smpte2084" in described(made)) == ("smpte2084" in filters)


async def test_untagged_colours_are_tagged_by_the_original_height(tmp_path: Path):
    """A player assumes BT.709 from 720 lines on, but not for the fitted 480 lines."""
    source = encode(
        tmp_path / "in.mp4", clock_face(1280, 720), filters="scale=out_color_matrix=bt709,format=yuv420p"
    )
    made = tmp_path / "out.mp4"
    ffmpeg(
        "-i", source, "-c", "copy", "-bsf:v", "h264_metadata=matrix_coefficients=2", tmp_path / "unnamed.mp4"
    )

    await Fitter().fit(tmp_path / "unnamed.mp4", made, limit=20_000)

    assert inspect_mp4(made).height == 480
    assert "bt709" in described(made)
    before = frame(tmp_path / "unnamed.mp4", SIDE, SIDE, matrix="bt709")
    assert mean_difference(before, frame(made, SIDE, SIDE)) < 6
