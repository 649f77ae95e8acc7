"""Which files are whole MP4s with a picture, what is read from their boxes, and how little is read."""

import struct
import tracemalloc
from pathlib import Path

import pytest

from bot.media.mp4 import Mp4, Mp4CutShort, NotAnMp4, inspect_mp4
from sandbox.video_api import CLIP
from tests.boxes import (
    AT_ONCE,
    FILM,
    FTYP,
    FTYP_CONTENT,
    MDAT,
    MOOV,
    MVHD,
    TABLES,
    TURNED,
    box,
    entry,
    full_box,
    large_box,
    mvhd,
    numbers,
    stco,
    stsc,
    stsz,
    tkhd,
    trak,
)
from tests.films import encode, ffmpeg
from tests.processes import needs_ffmpeg

FRAGMENTED = FTYP + box(b"moov", MVHD, trak(stco(), stsc(), stsz()), box(b"mvex"))


@pytest.fixture
def inspect(tmp_path: Path):
    def of(content: bytes, *, length_known: bool = True) -> Mp4:
        path = tmp_path / "video.mp4"
        path.write_bytes(content)
        return inspect_mp4(path, length_known=length_known)

    return of


def film(*in_moov: bytes) -> bytes:
    """A file with a sample at AT_ONCE."""
    return FTYP + MDAT + box(b"moov", *in_moov)


def test_real_clip_is_described(inspect):
    """The clip was made by ffmpeg: H.264, AAC, moov first."""
    assert inspect(CLIP.content, length_known=False) == Mp4(
        size=len(CLIP.content), seconds=8.0, width=1280, height=720, codec="avc1", plays_in_discord=True
    )


@pytest.mark.parametrize("length_known", [True, False])
@pytest.mark.parametrize(
    "content",
    [
        FILM,
        FTYP + MDAT + box(b"free") + MOOV,
        FTYP + MDAT + large_box(b"free", b"xx") + MOOV,
        FTYP + MDAT + box(b"moov", MVHD, trak(TABLES), size=0),
        FTYP + MDAT + large_box(b"moov", MVHD + trak(TABLES)),
        FTYP + MDAT + box(b"moov", box(b"udta", b"x"), MVHD, trak(TABLES)),
        FTYP + MDAT + MOOV + (box(b"moof") + box(b"mdat")) * 2000,
        FTYP + MDAT + MOOV + box(b"mdat", b"to the end", size=0),
        FTYP + MDAT + MOOV + MOOV[:8] + MOOV[8:],
        large_box(b"ftyp", FTYP_CONTENT[:-8]) + MDAT + MOOV,
    ],
)
def test_every_form_of_box_is_read(inspect, content: bytes, length_known: bool):
    """32-bit, 64-bit and to-the-end sizes, in any order after ftyp."""
    said = inspect(content, length_known=length_known)
    assert said == Mp4(len(content), 8.0, 640, 360, "avc1", plays_in_discord=True)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00",
        b"<html><body>This link has expired</body></html>",
        b'{"error":"expired"}',
        b"\x1f\x8b" + bytes(100),
        b"\x1aE\xdf\xa3" + bytes(100),
        MOOV + FTYP + MDAT,
        box(b"ftyp") + MDAT + MOOV,
        box(b"ftyp", bytes(5000)) + MDAT + MOOV,
        box(b"ftyp", FTYP_CONTENT, size=1 << 31) + MDAT + MOOV,
        FTYP + MDAT + box(b"moov"),
        FTYP + box(b"moov"),
        FTYP + MDAT + box(b"moov", MVHD),
        film(MVHD, trak(TABLES, handler=b"soun")),
        film(MVHD, trak(stco(), stsc(), stsz())),
        film(MVHD, trak()),
        FTYP + MDAT + box(b"free") * 140_000 + MOOV,
    ],
)
@pytest.mark.parametrize("length_known", [True, False])
def test_file_that_is_no_mp4_with_a_picture_is_refused(inspect, content: bytes, length_known: bool):
    """Web pages, other containers, missing or impossible boxes, no video track, endless lists of boxes."""
    with pytest.raises(NotAnMp4) as caught:
        inspect(content, length_known=length_known)
    assert type(caught.value) is NotAnMp4


@pytest.mark.parametrize(
    "content",
    [
        FTYP[:20],
        FTYP,
        FTYP + MDAT,
        FTYP + MDAT + MOOV[:12],
        FTYP + MDAT + MOOV[:-1],
        FTYP + MDAT + large_box(b"moov", b"")[:12],
        FTYP + MDAT + large_box(b"moov", b"", size=(1 << 64) - 1),
        FTYP + MOOV,
        FTYP + box(b"moov", MVHD, trak(stco(9999), stsc((1, 1)), stsz(6))) + MDAT,
        FTYP + box(b"moov", MVHD, trak(stco(AT_ONCE), stsc((1, 1)), stsz(9999))) + MDAT,
        FRAGMENTED,
        FRAGMENTED + box(b"moof", size=999),
        CLIP.content[:-1],
        CLIP.content[:100_000],
        CLIP.content[:6916],
    ],
)
def test_part_of_an_mp4_is_cut_short_or_refused(inspect, content: bytes):
    """Cut short if the length is not known, because the download may have been interrupted."""
    with pytest.raises(Mp4CutShort):
        inspect(content, length_known=False)
    with pytest.raises(NotAnMp4) as caught:
        inspect(content)
    assert type(caught.value) is NotAnMp4


@pytest.mark.parametrize(
    "tail",
    [b"\n", b"\r\n", b"\0", bytes(7), bytes(8), bytes(100_000), b"1234567", b"\n" * 20, b"\0\0\0\x05free"],
)
@pytest.mark.parametrize("length_known", [True, False])
def test_bytes_behind_the_last_box_are_ignored(inspect, tail: bytes, length_known: bool):
    """Players ignore them too: line ends, zeros, half a header, an invalid size."""
    assert inspect(CLIP.content + tail, length_known=length_known).seconds == 8.0
    assert inspect(FILM + tail, length_known=length_known).seconds == 8.0


@pytest.mark.parametrize(
    "tail", [box(b"free", b"x", size=99), box(b"mdat", size=99), large_box(b"skip", b"")[:15]]
)
def test_last_box_without_samples_may_be_cut_if_the_length_is_known(inspect, tail: bytes):
    """Without a length, a cut box means that the file is incomplete."""
    assert inspect(FILM + tail).seconds == 8.0
    with pytest.raises(Mp4CutShort):
        inspect(FILM + tail, length_known=False)


@pytest.mark.parametrize(
    ("inside", "seconds"),
    [
        (mvhd(600, 4800), 8.0),
        (mvhd(600, 4800, version=1), 8.0),
        (mvhd(600, 4800, matrix=None), 8.0),
        (mvhd(0, 4800), None),
        (mvhd(600, 0), None),
        (mvhd(600, 0xFFFFFFFF), None),
        (mvhd(600, 0xFFFFFFFFFFFFFFFF, version=1), None),
        (mvhd(1, 200_000), None),
        (box(b"mvhd"), None),
        (box(b"mvhd", b"\x01"), None),
        (mvhd(600, 4800) + box(b"mvex"), None),
        (mvhd(600, 600) + box(b"mvex", full_box(b"mehd", numbers(4800))), 8.0),
        (mvhd(600, 600) + box(b"mvex", full_box(b"mehd", numbers(0, 4800), version=1)), 8.0),
        (mvhd(600, 600) + box(b"mvex", box(b"mehd")), None),
        (b"", None),
    ],
)
def test_implausible_duration_is_unknown(inspect, inside: bytes, seconds: float | None):
    """Zero timescale, "not known", absurd, or of the first fragment only: None, and still an MP4."""
    assert inspect(film(inside, trak(TABLES))).seconds == seconds


def test_damage_behind_the_needed_boxes_is_ignored(inspect):
    assert inspect(film(MVHD, trak(TABLES), box(b"trak", size=9999))).width == 640


PASP_2_TO_1 = box(b"pasp", numbers(2, 1))


@pytest.mark.parametrize(
    ("content", "size"),
    [
        (film(MVHD, trak(TABLES, entries=entry(PASP_2_TO_1))), (1280, 360)),
        (film(MVHD, trak(TABLES, entries=entry(box(b"pasp", numbers(1, 2))))), (640, 720)),
        (film(MVHD, trak(TABLES, entries=entry(box(b"pasp", numbers(0, 0))))), (640, 360)),
        (film(MVHD, trak(TABLES, entries=entry(box(b"colr", b"nclx") + PASP_2_TO_1))), (1280, 360)),
        (film(MVHD, trak(TABLES, header=tkhd(1, matrix=TURNED))), (360, 640)),
        (film(MVHD, trak(TABLES, header=tkhd(1, version=1, matrix=TURNED))), (360, 640)),
        (film(mvhd(1, 8, matrix=TURNED), trak(TABLES)), (360, 640)),
        (film(mvhd(1, 8, version=1, matrix=TURNED), trak(TABLES)), (360, 640)),
        (film(mvhd(1, 8, matrix=TURNED), trak(TABLES, header=tkhd(1, matrix=TURNED))), (640, 360)),
        (film(MVHD, trak(TABLES, header=tkhd(1, matrix=TURNED), entries=entry(PASP_2_TO_1))), (360, 1280)),
    ],
)
def test_size_is_the_displayed_one(inspect, content: bytes, size: tuple[int, int]):
    said = inspect(content)
    assert (said.width, said.height) == size


@pytest.mark.parametrize(
    ("described", "codec", "plays"),
    [
        (entry(profile=66), "avc1", True),
        (entry(profile=77), "avc1", True),
        (entry(kind=b"avc3"), "avc3", True),
        (entry(profile=110), "avc1", False),
        (entry(profile=122), "avc1", False),
        (entry(profile=244), "avc1", False),
        (entry(profile=None), "avc1", False),
        (entry(kind=b"hvc1", profile=None), "hvc1", False),
        (entry(kind=b"av01", profile=None), "av01", False),
        (entry(kind=b"encv"), "encv", False),
        (entry(kind=b"\xff\n x", profile=None), "???x", False),
    ],
)
def test_codec_tells_whether_discord_plays_it(inspect, described: bytes, codec: str, plays: bool):
    said = inspect(film(MVHD, trak(TABLES, entries=described)))
    assert (said.codec, said.plays_in_discord) == (codec, plays)


@needs_ffmpeg
@pytest.mark.parametrize(
    ("encoder", "codec", "plays"),
    [
        (("libx264",), "avc1", True),
        (("libx264", "-pix_fmt", "yuv420p10le"), "avc1", False),
        (("libx265", "-tag:v", "hvc1", "-x265-params", "log-level=none"), "hvc1", False),
        (("libx265", "-x265-params", "log-level=none"), "hev1", False),
        (("libaom-av1", "-cpu-used", "8"), "av01", False),
        (("libvpx-vp9",), "vp09", False),
        (("mpeg4",), "mp4v", False),
    ],
    ids=["H.264", "10 bits", "HEVC", "HEVC of ffmpeg", "AV1", "VP9", "MPEG-4"],
)
def test_codec_of_a_real_video(encoder: tuple[str, ...], codec: str, plays: bool, tmp_path: Path):
    path = tmp_path / "film.mp4"
    ffmpeg("-f", "lavfi", "-i", "testsrc=s=64x36:d=0.2", "-pix_fmt", "yuv420p", "-c:v", *encoder, path)
    said = inspect_mp4(path)
    assert (said.width, said.height, said.codec, said.plays_in_discord) == (64, 36, codec, plays)


@needs_ffmpeg
def test_sound_without_a_picture_is_no_video(tmp_path: Path):
    ffmpeg("-f", "lavfi", "-i", "sine=440:d=0.2", "-c:a", "aac", tmp_path / "sound.mp4")
    with pytest.raises(NotAnMp4, match="no video track"):
        inspect_mp4(tmp_path / "sound.mp4")


@needs_ffmpeg
def test_displayed_size_of_a_real_rotated_and_stretched_video(tmp_path: Path):
    upright = encode(tmp_path / "upright.mp4", "testsrc=s=64x36:d=0.2", filters="setsar=2/1")
    ffmpeg("-display_rotation", "90", "-i", upright, "-c", "copy", tmp_path / "turned.mp4")
    said = inspect_mp4(tmp_path / "turned.mp4")
    assert (said.width, said.height) == (36, 128)


def filled(head: bytes, length: int) -> bytes:
    """`head`, then an mdat box, `length` bytes in all."""
    return head + box(b"mdat", bytes(length - len(head) - 8))


def is_whole(inspect, head: bytes, length: int) -> bool:
    """Whether no sample is missing from a file of this length."""
    try:
        said: Mp4 = inspect(filled(head, length), length_known=False)
    except Mp4CutShort as error:
        if "samples" not in str(error):
            raise
        return False
    return said.width == 640


@pytest.mark.parametrize(
    "tables",
    [
        stco(9990) + stsc((1, 1)) + stsz(10),
        full_box(b"co64", numbers(1), (9990).to_bytes(8)) + stsc((1, 1)) + stsz(10),
        stco(9960, 9970, 9980) + stsc((1, 1), (2, 2)) + stsz(1, 1, 1, 5, 15),
        stco(9960, 9980, 9970) + stsc((1, 2)) + stsz(1, 1, 8, 12, 1, 1),
        stco(9960, 9970, 9980) + stsc((1, 9), (3, 99)) + stsz(same=2, count=28),
        stco(9960, 9990) + stsc((1, 1), (3, 5)) + stsz(1, 10),
        stco(9960, 9995) + stsc((1, 3)) + full_box(b"stz2", numbers(8, 5), bytes([1, 1, 1, 2, 3])),
        stco(9960, 9995)
        + stsc((1, 3))
        + full_box(b"stz2", numbers(16, 5), struct.pack(">5H", 1, 1, 1, 2, 3)),
        stco(9960, 9995) + stsc((1, 3)) + full_box(b"stz2", numbers(4, 5), b"\x11\x12\x30"),
        stco(9960, 9995) + stsc((1, 2)) + full_box(b"stz2", numbers(4, 4), b"\x11\x23"),
    ],
    ids=[
        *("one", "co64", "runs of chunks", "chunks in no order", "samples of one size", "run after the last"),
        *("bytes", "words", "half bytes, odd", "half bytes, even"),
    ],
)
def test_file_ends_with_the_last_sample_of_its_tables(inspect, tables: bytes):
    """The last sample is that of the chunk with the highest offset."""
    head = FTYP + box(b"moov", MVHD, trak(tables))

    assert is_whole(inspect, head, 10_000)
    assert not is_whole(inspect, head, 9_999)


def test_samples_of_every_track_count(inspect):
    """The picture is there, the sound is not."""
    sound = trak(stco(9990) + stsc((1, 1)) + stsz(10), track=2, handler=b"soun")
    head = FTYP + box(b"moov", MVHD, trak(stco(99) + stsc((1, 1)) + stsz(10)), sound)

    assert is_whole(inspect, head, 10_000)
    assert not is_whole(inspect, head, 9_999)


def moof(*trafs: bytes) -> bytes:
    return box(b"moof", full_box(b"mfhd", numbers(1)), *trafs)


def traf(*runs: bytes, flags: int, fields: bytes = b"", track: int = 1) -> bytes:
    return box(b"traf", full_box(b"tfhd", numbers(track), fields, flags=flags), *runs)


def trun(count: int, fields: bytes = b"", *, flags: int) -> bytes:
    return full_box(b"trun", numbers(count), fields, flags=flags)


TREX = box(b"mvex", full_box(b"trex", numbers(1, 1, 0, 10, 0)))
INIT = FTYP + box(b"moov", MVHD, trak(stco(), stsc(), stsz()), TREX)


@pytest.mark.parametrize(
    "trafs",
    [
        [traf(trun(2, numbers(200), flags=0x1), flags=0x20000)],
        [traf(trun(2, numbers(200), flags=0x1), flags=0)],
        [traf(trun(1, numbers(200), flags=0x1), flags=0x10, fields=numbers(20))],
        [traf(trun(2, numbers(200, 0, 7, 0, 13), flags=0x301), flags=0x20000)],
        [traf(trun(2, numbers(200, 9, 7, 0, 0, 13, 0, 0), flags=0xE05), flags=0x20000)],
        [traf(trun(1, numbers(200), flags=0x1), trun(1, flags=0), flags=0x20000)],
        [traf(trun(1, numbers(210), flags=0x1), trun(1, numbers(200), flags=0x1), flags=0x20000)],
        [traf(trun(1, numbers(200), flags=0x1), flags=0), traf(trun(1, flags=0), flags=0, track=1)],
        [
            traf(
                *(trun(2, numbers((1 << 32) - 100), flags=0x1),),
                flags=0x1B,
                fields=(len(INIT) + 300).to_bytes(8) + numbers(1, 0, 10),
            )
        ],
    ],
    ids=[
        *("from moof", "from moof by default", "size in tfhd", "size for each", "all fields"),
        *("run behind a run", "runs in no order", "track behind a track", "base and a negative offset"),
    ],
)
def test_file_ends_with_the_last_sample_of_a_fragment(inspect, trafs: list[bytes]):
    """20 bytes of samples, 200 bytes after the start of moof."""
    head, end = INIT + moof(*trafs), len(INIT) + 220

    assert is_whole(inspect, head, end)
    assert not is_whole(inspect, head, end - 1)


def test_sample_size_that_no_box_gives_is_zero(inspect):
    """There is no trex box; ffmpeg assumes zero as well."""
    assert inspect(INIT.replace(b"trex", b"free") + moof(traf(trun(2, flags=0), flags=0)) + MDAT).width == 640


@pytest.mark.parametrize(
    "content",
    [
        film(MVHD, trak(stco(AT_ONCE) + stsc((1, 2)) + stsz(1, count=2))),
        film(MVHD, trak(stco(AT_ONCE) + stsc((1, 9)) + stsz(6, count=(1 << 32) - 1))),
        film(MVHD, trak(full_box(b"stco", numbers((1 << 32) - 1, 9)) + stsc((1, 1)) + stsz(6))),
        film(MVHD, trak(full_box(b"stco", numbers(9, 9)) + stsc((1, 1)) + stsz(6))),
        film(MVHD, trak(stco(AT_ONCE) + stsc((1, 1), (0, 1)) + stsz(6))),
        film(MVHD, trak(stco(AT_ONCE) + full_box(b"stsc", numbers(5)) + stsz(6))),
        film(MVHD, trak(stco(AT_ONCE) + stsc((1, 1)) + full_box(b"stz2", numbers(7, 1), b"x"))),
        film(MVHD, trak(stco(AT_ONCE) + stsc((1, 1)) + box(b"stsz"))),
        film(MVHD, trak(TABLES, entries=box(b"avc1"))),
        film(MVHD, trak(TABLES, header=box(b"tkhd"))),
        INIT + moof(box(b"traf")) + MDAT,
        INIT + moof(traf(trun(1 << 31, flags=0x200), flags=0)) + MDAT,
        INIT + moof(traf(box(b"trun"), flags=0)) + MDAT,
    ],
)
def test_invalid_table_is_refused(inspect, content: bytes):
    """Longer than its box or the file, unordered, or of an unknown form."""
    with pytest.raises(NotAnMp4):
        inspect(content)


def test_long_table_is_read_in_pieces(inspect):
    """A million samples are 4 MB of sizes; less than 1 MiB is in memory at once."""
    count = 1_000_000
    tables = stco(AT_ONCE) + stsc((1, count)) + full_box(b"stsz", numbers(0, count), bytes(4 * count))
    content = film(MVHD, trak(tables))
    inspect(content)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        assert inspect(content).width == 640
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak - before < 1 << 20


def test_missing_file_raises_the_systems_error(tmp_path: Path):
    """NotAnMp4 is raised only because of the content."""
    with pytest.raises(FileNotFoundError):
        inspect_mp4(tmp_path / "nothing.mp4")
