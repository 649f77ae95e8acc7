"""Finds where the samples of an MP4 end in the file: from the tables in moov, and from fragments."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bot.media.mp4_boxes import Box, BoxReader, NotAnMp4

# Optional fields by their flag, in the order in which they are stored, with their length in bytes.
_TFHD_FIELDS = ((0x1, 8), (0x2, 4), (0x8, 4), (0x10, 4), (0x20, 4))
_TRUN_FIELDS = ((0x1, 4), (0x4, 4))
_TRUN_SAMPLE_FIELDS = (0x100, 0x200, 0x400, 0x800)
_BASE_DATA_OFFSET, _DEFAULT_SIZE, _BASE_IS_MOOF = 0x1, 0x10, 0x20000
_DATA_OFFSET, _SAMPLE_SIZE = 0x1, 0x200


@dataclass(frozen=True, slots=True)
class Samples:
    """The samples of one track: `count` of them; the last one in the file ends at the offset `end`."""

    track: int
    count: int
    end: int


def samples_in_tables(reader: BoxReader, track: int, stbl: Box) -> Samples:
    """Read the sample table of a track (ISO/IEC 14496-12, sections 8.7.3 to 8.7.5). Raises NotAnMp4.

    Only the chunk that lies last is measured, because all others end before it begins.
    """
    offsets, layout = reader.find(stbl, b"stco"), ">I"
    if offsets is None:
        offsets, layout = reader.find(stbl, b"co64"), ">Q"
    sizes = reader.find(stbl, b"stsz") or reader.find(stbl, b"stz2")
    stsc = reader.find(stbl, b"stsc")
    if offsets is None or sizes is None or stsc is None:
        return Samples(track, 0, 0)
    count, chunks = reader.number(sizes, 8), reader.number(offsets, 4)
    if count == 0 or chunks == 0:
        return Samples(track, 0, 0)
    table = reader.table(offsets, 8, layout, chunks)
    offset, chunk = max((offset, chunk) for chunk, (offset,) in enumerate(table, start=1))
    first, in_chunk = _samples_of_chunk(reader, stsc, chunk)
    in_chunk = max(0, min(in_chunk, count - first))
    return Samples(track, count, offset + _size_of_samples(reader, sizes, first, in_chunk))


def _samples_of_chunk(reader: BoxReader, stsc: Box, chunk: int) -> tuple[int, int]:
    """Return the index of the chunk's first sample, and how many it has (section 8.7.4).

    Chunks count from 1.
    """
    before, per_chunk, since = 0, 0, 1
    for first_chunk, samples, _ in reader.table(stsc, 8, ">III", reader.number(stsc, 4)):
        if first_chunk < since:
            raise NotAnMp4("the entries of the stsc box are not in order")
        if first_chunk > chunk:
            break
        before += (first_chunk - since) * per_chunk
        since, per_chunk = first_chunk, samples
    return before + (chunk - since) * per_chunk, per_chunk


def _size_of_samples(reader: BoxReader, sizes: Box, first: int, count: int) -> int:
    """Return the bytes of `count` samples from the index `first`, by an stsz or stz2 box (section 8.7.3)."""
    if sizes.kind == b"stsz":
        if same := reader.number(sizes, 4):
            return same * count
        return sum(size for (size,) in reader.table(sizes, 12 + 4 * first, ">I", count))
    bits = reader.number(sizes, 7, 1)
    if bits == 4:  # two in a byte
        entries = reader.table(sizes, 12 + first // 2, ">B", (first % 2 + count + 1) // 2)
        halves = [half for (pair,) in entries for half in (pair >> 4, pair & 15)]
        return sum(halves[first % 2 :][:count])
    if bits not in (8, 16):
        raise NotAnMp4("the stz2 box has an unknown field size")
    layout = ">B" if bits == 8 else ">H"
    return sum(size for (size,) in reader.table(sizes, 12 + bits // 8 * first, layout, count))


def default_sample_sizes(reader: BoxReader, mvex: Box) -> dict[int, int]:
    """Return the bytes of a sample by track, for fragments that do not state them (trex, section 8.8.3)."""
    boxes = (box for box in reader.children(mvex) if box.kind == b"trex")
    return {reader.number(box, 4): reader.number(box, 16) for box in boxes}


def samples_in_fragment(reader: BoxReader, moof: Box, default_sizes: Mapping[int, int]) -> Iterator[Samples]:
    """Read a movie fragment (section 8.8.7): one item for each traf box. Raises NotAnMp4."""
    following = moof.start
    for traf in reader.children(moof):
        if traf.kind == b"traf":
            samples, following = _samples_in_traf(reader, moof, traf, following, default_sizes)
            yield samples


def _samples_in_traf(
    reader: BoxReader, moof: Box, traf: Box, following: int, default_sizes: Mapping[int, int]
) -> tuple[Samples, int]:
    """Return a traf box's samples, and the offset of the next track's data, which follows this one's.

    The next track may state another offset.
    """
    tfhd = reader.find(traf, b"tfhd")
    if tfhd is None:
        raise NotAnMp4("no tfhd box in a fragment")
    flags, track = reader.number(tfhd, 1, 3), reader.number(tfhd, 4)
    fields, _ = _optional_fields(reader, tfhd, 8, flags, _TFHD_FIELDS)
    base = moof.start if flags & _BASE_IS_MOOF else following
    base = fields.get(_BASE_DATA_OFFSET, base)
    default_size = fields.get(_DEFAULT_SIZE, default_sizes.get(track, 0))
    count, end, at = 0, 0, base
    for trun in (box for box in reader.children(traf) if box.kind == b"trun"):
        samples, offset, size = _read_trun(reader, trun, default_size)
        at = (at if offset is None else base + offset) + size
        count, end = count + samples, max(end, at)
    return Samples(track, count, end), at


def _read_trun(reader: BoxReader, trun: Box, default_size: int) -> tuple[int, int | None, int]:
    """Read a trun box (8.8.8): the number of samples, the offset of their data if stated, and their bytes."""
    flags, count = reader.number(trun, 1, 3), reader.number(trun, 4)
    fields, start = _optional_fields(reader, trun, 8, flags, _TRUN_FIELDS)
    offset = fields.get(_DATA_OFFSET)
    if offset is not None and offset >= 1 << 31:  # signed
        offset -= 1 << 32
    present = [flag for flag in _TRUN_SAMPLE_FIELDS if flags & flag]
    if _SAMPLE_SIZE not in present:
        return count, offset, count * default_size
    column = present.index(_SAMPLE_SIZE)
    entries = reader.table(trun, start, f">{len(present)}I", count)
    return count, offset, sum(entry[column] for entry in entries)


def _optional_fields(
    reader: BoxReader, box: Box, offset: int, flags: int, fields: tuple[tuple[int, int], ...]
) -> tuple[dict[int, int], int]:
    """Return the numbers that `flags` announce, by flag, and the offset of what follows them."""
    found = {}
    for flag, length in fields:
        if flags & flag:
            found[flag] = reader.number(box, offset, length)
            offset += length
    return found, offset
