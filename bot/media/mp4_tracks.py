"""The tracks of an MP4: their samples, and the picture of a video track."""

from collections.abc import Iterator
from dataclasses import dataclass

from bot.media.mp4_boxes import Box, BoxReader, NotAnMp4
from bot.media.mp4_samples import Samples, samples_in_tables

# Bytes of fields before the boxes of a VisualSampleEntry (ISO/IEC 14496-12, section 12.1.3).
_VISUAL_FIELDS = 78
_H264 = frozenset({"avc1", "avc3"})
# Profiles of H.264 with 8 bits and halved colours (ISO/IEC 14496-10, annex A): Baseline, Main, High.
_COMMON_PROFILES = frozenset({66, 77, 100})


@dataclass(frozen=True, slots=True)
class Picture:
    """The picture of a video track; `width` and `height` in square pixels, as a player shows them.

    `codec` is the sample entry's name. `plays_in_discord` is False when clients are known to show only a
    still, or when it is unknown.
    """

    width: int
    height: int
    codec: str
    plays_in_discord: bool


@dataclass(frozen=True, slots=True)
class Track:
    """One track; `picture` is None for everything but video."""

    id: int
    samples: Samples
    picture: Picture | None


def read_tracks(reader: BoxReader, moov: Box) -> Iterator[Track]:
    """Yield every track with a header (tkhd). Raises NotAnMp4 when a box is shorter than its fields say."""
    mvhd = reader.find(moov, b"mvhd")
    film_turned = mvhd is not None and _is_turned(reader, mvhd, 36)
    for trak in reader.children(moov):
        if trak.kind == b"trak" and (tkhd := reader.find(trak, b"tkhd")) is not None:
            yield _read_track(reader, trak, tkhd, film_turned)


def _read_track(reader: BoxReader, trak: Box, tkhd: Box, film_turned: bool) -> Track:
    number = reader.number(tkhd, 20 if _has_long_times(reader, tkhd) else 12)
    stbl = reader.find(trak, b"mdia", b"minf", b"stbl")
    if stbl is None:
        return Track(number, Samples(number, 0, 0), None)
    picture, hdlr = None, reader.find(trak, b"mdia", b"hdlr")
    if hdlr is not None and reader.field(hdlr, 8, 4) == b"vide":
        picture = _read_picture(reader, stbl, film_turned ^ _is_turned(reader, tkhd, 40))
    return Track(number, samples_in_tables(reader, number, stbl), picture)


def _read_picture(reader: BoxReader, stbl: Box, turned: bool) -> Picture | None:
    """Read the first sample entry; None when there is none."""
    stsd = reader.find(stbl, b"stsd")
    entry = None if stsd is None else next(reader.children(stsd, skip=8), None)
    if entry is None:
        return None
    width, height = reader.number(entry, 24, 2), reader.number(entry, 26, 2)
    inside = {box.kind: box for box in reader.children(entry, skip=_VISUAL_FIELDS)}
    if (pasp := inside.get(b"pasp")) is not None:
        width, height = displayed_size(width, height, reader.number(pasp, 0), reader.number(pasp, 4))
    if turned:
        width, height = height, width
    codec = "".join(chr(byte) if 32 < byte < 127 else "?" for byte in entry.kind)
    return Picture(width, height, codec, _plays_in_discord(reader, codec, inside.get(b"avcC")))


def displayed_size(width: int, height: int, across: int, down: int) -> tuple[int, int]:
    """Return width and height in square pixels of a picture with pixels `across` wide and `down` high.

    One side becomes longer and none shorter, as in mpv, VLC and Chromium. Zeros mean that nothing is stated
    (12.1.4).
    """
    if across == 0 or down == 0:
        return width, height
    if across > down:
        return round(width * across / down), height
    return width, round(height * down / across)


def _plays_in_discord(reader: BoxReader, codec: str, avcc: Box | None) -> bool:
    """Whether it is H.264 of a common profile, the second byte of avcC (ISO/IEC 14496-15, section 5.3.3)."""
    return codec in _H264 and avcc is not None and reader.number(avcc, 1, 1) in _COMMON_PROFILES


def _is_turned(reader: BoxReader, header: Box, offset: int) -> bool:
    """Whether the matrix of an mvhd or tkhd box turns by 90 or 270 degrees: a b u, c d v, x y w (6.2.2).

    `offset` is its place in version 0; the times of version 1 take twelve bytes more.
    """
    try:
        offset += 12 if _has_long_times(reader, header) else 0
        a, b = (int.from_bytes(reader.field(header, offset + at, 4), signed=True) for at in (0, 4))
    except NotAnMp4:  # without a matrix, players show it upright
        return False
    return abs(b) > abs(a)


def _has_long_times(reader: BoxReader, header: Box) -> bool:
    """Whether a full box is of version 1, which has times of 64 bits."""
    return reader.number(header, 0, 1) == 1
