"""Tux Paint's stamps: clip art and photographs, each with a caption in many languages.

A pair is a caption file (`*.txt`, whose first line is English) with a PNG of the same name beside it; its class is the
top folder. Source: the Debian package tuxpaint-stamps-default 2022.06.04, or the upstream archive of that release.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from cmr.datasets.pairs import Pair
from cmr.datasets.text_files import lines
from cmr.errors import UserError


def read(folders: dict[str, Path], min_pairs: int = 12) -> Iterator[Pair]:
    """Pairs of all classes with at least `min_pairs`; the asset `tuxpaint_stamps` lies in `folders`."""
    stamps = folders["tuxpaint_stamps"] / "stamps"
    paths = [path for path in sorted(stamps.rglob("*.txt")) if path.with_suffix(".png").exists()]
    sizes = Counter(path.relative_to(stamps).parts[0] for path in paths)
    for path in paths:
        name = path.relative_to(stamps)
        if sizes[name.parts[0]] >= min_pairs:
            try:
                captions = lines(path.read_text("utf-8-sig"))
            except UnicodeDecodeError as error:
                raise UserError(f"caption {path} is not UTF-8: {error}") from error
            yield Pair(
                id=name.with_suffix("").as_posix(),
                image=path.with_suffix(".png"),
                text=captions[0].strip() if captions else "",
                labels=(name.parts[0],),
            )
