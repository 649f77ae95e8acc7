"""The videos that the stand-in serves: a real clip, and that clip padded to any size."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

_CHUNK = 256 * 1024
_ZEROS = bytes(_CHUNK)


@dataclass(frozen=True)
class Clip:
    """An MP4: `content`, then a `free` box of `padding` bytes, which players skip."""

    content: bytes
    padding: int = 0
    seconds: float | None = 8

    @classmethod
    def padded(cls, size: int) -> Self:
        """The real clip in exactly `size` bytes, without using disk or memory for the padding."""
        padding = size - len(CLIP.content)
        if padding < 16:
            raise ValueError(f"a padded clip has at least {len(CLIP.content) + 16} bytes")
        return cls(CLIP.content, padding)

    @property
    def size(self) -> int:
        return len(self.content) + self.padding

    @cached_property
    def etag(self) -> str:
        """A strong ETag: the same bytes have the same one, and other bytes another."""
        return f'"{hashlib.sha256(self.content).hexdigest()[:16]}-{self.padding:x}"'

    @cached_property
    def sha256(self) -> str:
        digest = hashlib.sha256()
        for chunk in self.chunks():
            digest.update(chunk)
        return digest.hexdigest()

    def chunks(self, start: int = 0) -> Iterator[bytes]:
        """The bytes from `start` on."""
        for chunk in self._chunks():
            if start < len(chunk):
                yield chunk[start:]
            start = max(start - len(chunk), 0)

    def _chunks(self) -> Iterator[bytes]:
        for start in range(0, len(self.content), _CHUNK):
            yield self.content[start : start + _CHUNK]
        if self.padding:
            # The 64-bit form of a size, because a padding may exceed 4 GiB.
            yield (1).to_bytes(4) + b"free" + self.padding.to_bytes(8)
            yield from _zeros(self.padding - 16)


def _zeros(count: int) -> Iterator[bytes]:
    for _ in range(count // _CHUNK):
        yield _ZEROS
    if count % _CHUNK:
        yield _ZEROS[: count % _CHUNK]


CLIP = Clip((Path(__file__).parent / "clips" / "veo.mp4").read_bytes())
