"""The videos that the stand-in serves: a film in landscape, padded to any size, and one in portrait."""

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
        """The film in landscape, padded to exactly `size` bytes. The padding needs no disk and no memory."""
        padding = size - len(CLIP.content)
        if padding < 16:
            raise ValueError(f"a padded clip has at least {len(CLIP.content) + 16} bytes")
        return cls(CLIP.content, padding)

    @property
    def size(self) -> int:
        return len(self.content) + self.padding

    @cached_property
    def etag(self) -> str:
        """A strong ETag: equal for equal bytes, different for different bytes."""
        return f'"{hashlib.sha256(self.content).hexdigest()[:16]}-{self.padding:x}"'

    @cached_property
    def sha256(self) -> str:
        digest = hashlib.sha256()
        for chunk in self.chunks():
            digest.update(chunk)
        return digest.hexdigest()

    def chunks(self, start: int = 0) -> Iterator[bytes]:
        """The bytes from offset `start` to the end."""
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


FOLDER = Path(__file__).parent / "clips"
CLIP = Clip((FOLDER / "veo.mp4").read_bytes())
PORTRAIT = Clip((FOLDER / "veo-portrait.mp4").read_bytes())
