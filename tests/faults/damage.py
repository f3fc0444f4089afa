"""Ways in which a disk, a copy or a person spoils a file, each the same at every call."""

import io
from collections.abc import Iterator

import numpy as np
from PIL import Image


def damaged(content: bytes, seed: int = 0, places: int = 6) -> Iterator[tuple[str, bytes]]:
    """Names of faults, and what is left of a file's content by each.

    Bits are flipped and blocks zeroed at its ends, where headers and footers are, and at places in between.
    """
    rng, size = np.random.default_rng(seed), len(content)
    inner = rng.integers(0, size, places).tolist()
    early = rng.integers(0, min(size, 2048), places).tolist()
    for place in dict.fromkeys([0, 9, size // 2, size - 9, size - 1, *early, *inner]):
        if 0 <= place < size:
            flipped = bytearray(content)
            flipped[place] ^= 1 << int(rng.integers(8))
            yield f"bit flipped in byte {place}", bytes(flipped)
    for place, length in [(0, 64), (size - 64, 64), *((place, 64) for place in [*early, *inner]), (inner[0], 4096)]:
        start = max(place, 0)
        zeroed = content[:start] + bytes(len(content[start : start + length])) + content[start + length :]
        if zeroed != content:
            yield f"{length} bytes zeroed from {start}", zeroed
    for length in dict.fromkeys([0, 1, size // 3, size - 100, size - 1]):
        if 0 <= length < size:
            yield f"cut to {length} bytes", content[:length]
    yield "zeros of the same length", bytes(size)
    yield "a web page in its place", b"<!doctype html><title>404</title>" * 20
    yield "a picture in its place", _picture()


def _picture() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(buffer, "PNG")
    return buffer.getvalue()
