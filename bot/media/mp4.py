"""Checks whether a file is a whole MP4 with a picture, and reads what it shows (ISO/IEC 14496-12).

Only box headers and bounded pieces of tables are read, and no sample. The file is not trusted, so every size
is checked.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bot.media.mp4_boxes import Box, BoxReader, Mp4CutShort, NotAnMp4
from bot.media.mp4_samples import Samples, default_sample_sizes, samples_in_fragment
from bot.media.mp4_tracks import Picture, read_tracks

__all__ = ["Mp4", "Mp4CutShort", "NotAnMp4", "inspect_mp4"]

_MAX_FTYP = 4096
_MAX_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True)
class Mp4:
    """A checked MP4. `size` in bytes. `seconds` is None when the file states no length, or an impossible one.

    `width` and `height` are in square pixels, as a player shows them: turned and stretched. `codec` is the
    name of the sample entry, such as avc1, hvc1 or av01. `plays_in_discord` is False for a codec or profile
    of which many clients show only a still.
    """

    size: int
    seconds: float | None
    width: int
    height: int
    codec: str
    plays_in_discord: bool


@dataclass(slots=True)
class _Layout:
    """The top-level boxes. A segment index says that the file has `announced` bytes or more."""

    moov: Box | None = None
    fragments: list[Box] = field(default_factory=list)
    has_mdat: bool = False
    announced: int = 0


def inspect_mp4(path: Path, *, length_known: bool = True) -> Mp4:
    """Check a file. Raises NotAnMp4, Mp4CutShort, or OSError when the disk fails. Blocking.

    `length_known` says that every announced byte has come. Without it a file that begins as an MP4 and is not
    whole was perhaps interrupted: Mp4CutShort.
    """
    with path.open("rb") as file:
        try:
            return _inspect(BoxReader(file), length_known)
        except Mp4CutShort as error:
            if length_known:
                raise NotAnMp4(str(error)) from error
            raise


def _inspect(reader: BoxReader, length_known: bool) -> Mp4:
    layout = _read_layout(reader, length_known)
    if layout.moov is None:
        raise Mp4CutShort("no moov box")
    if not length_known and layout.announced > reader.size:
        raise Mp4CutShort("segments are missing")
    picture = _find_picture(reader, layout, layout.moov)
    return Mp4(
        size=reader.size,
        seconds=_seconds(reader, layout.moov),
        width=picture.width,
        height=picture.height,
        codec=picture.codec,
        plays_in_discord=picture.plays_in_discord,
    )


def _read_layout(reader: BoxReader, length_known: bool) -> _Layout:
    layout = _Layout()
    for box in _top_level(reader, length_known):
        if box.kind == b"moov" and layout.moov is None:
            layout.moov = box
        elif box.kind == b"moof":
            layout.fragments.append(box)
        elif box.kind == b"mdat":
            layout.has_mdat = True
        elif box.kind == b"sidx" and not length_known:
            layout.announced = max(layout.announced, _end_of_segments(reader, box))
    return layout


def _top_level(reader: BoxReader, length_known: bool) -> Iterator[Box]:
    """Yield the boxes of the file. What follows the last one is ignored: a line end, zeros, half a header.

    A box may be longer than the file. If it describes samples, they cannot be read. Any other box only shows
    that more was to come, unless it is known that everything came.
    """
    box = reader.box_at(0, reader.size)
    if box is None or box.kind != b"ftyp" or not 8 <= box.end - box.content <= _MAX_FTYP:
        raise NotAnMp4("no ftyp box at the start")
    while box is not None:
        describes_samples = box.kind in (b"moov", b"moof")
        if box.end > reader.size and (describes_samples or (not length_known and box.kind.isalnum())):
            raise Mp4CutShort("a box is longer than what is left")
        yield box
        box = reader.box_at(box.end, reader.size)


def _find_picture(reader: BoxReader, layout: _Layout, moov: Box) -> Picture:
    """Return the picture of the first video track with a sample.

    Raises NotAnMp4, and Mp4CutShort if a sample is not in the file.
    """
    tracks = list(read_tracks(reader, moov))
    if all(track.picture is None for track in tracks):
        raise NotAnMp4("no video track")
    mvex = reader.find(moov, b"mvex")
    samples = [track.samples for track in tracks]
    samples += _samples_in_fragments(reader, layout.fragments, mvex)
    if not layout.has_mdat:
        raise Mp4CutShort("no mdat box")
    if any(each.end > reader.size for each in samples):
        raise Mp4CutShort("samples are missing")
    with_samples = {each.track for each in samples if each.count > 0}
    for track in tracks:
        if track.picture is not None and track.id in with_samples:
            return track.picture
    if mvex is not None:  # its samples are in fragments, which may follow
        raise Mp4CutShort("no sample in a video track")
    raise NotAnMp4("no sample in a video track")


def _samples_in_fragments(reader: BoxReader, fragments: list[Box], mvex: Box | None) -> list[Samples]:
    default_sizes = {} if mvex is None else default_sample_sizes(reader, mvex)
    return [each for moof in fragments for each in samples_in_fragment(reader, moof, default_sizes)]


def _end_of_segments(reader: BoxReader, sidx: Box) -> int:
    """Return the offset at which the last segment of an index ends (section 8.16.3).

    The top bit of an entry is not part of its size.
    """
    long = reader.number(sidx, 0, 1) == 1
    first = reader.number(sidx, 20, 8) if long else reader.number(sidx, 16)
    after_times = 28 if long else 20
    entries = reader.table(sidx, after_times + 4, ">III", reader.number(sidx, after_times + 2, 2))
    return sidx.end + first + sum(size & 0x7FFFFFFF for size, _, _ in entries)


def _seconds(reader: BoxReader, moov: Box) -> float | None:
    """Return the length; None when it is damaged, because players tolerate that.

    A film in fragments states its length in mehd (section 8.8.2); its mvhd counts only what moov describes.
    """
    mvhd, mehd = reader.find(moov, b"mvhd"), reader.find(moov, b"mvex", b"mehd")
    if mvhd is None or (mehd is None and reader.find(moov, b"mvex") is not None):
        return None
    try:
        width = _width_of_times(reader, mvhd)
        timescale = reader.number(mvhd, 4 + 2 * width)
        if mehd is None:
            duration = reader.number(mvhd, 8 + 2 * width, width)
        else:
            width = _width_of_times(reader, mehd)
            duration = reader.number(mehd, 4, width)
    except NotAnMp4:
        return None
    if timescale == 0 or duration == (1 << 8 * width) - 1:  # all ones mean "not known"
        return None
    seconds = duration / timescale
    return seconds if 0 < seconds <= _MAX_SECONDS else None


def _width_of_times(reader: BoxReader, box: Box) -> int:
    """Return the bytes of a time: version 1 has 64 bits."""
    return 8 if reader.number(box, 0, 1) == 1 else 4
