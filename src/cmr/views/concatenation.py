"""Views side by side: one row of all their features an item."""

from collections.abc import Sequence
from contextlib import ExitStack
from itertools import accumulate, pairwise
from pathlib import Path

import numpy as np

from cmr.errors import UserError
from cmr.provenance import code, digests_of, versions
from cmr.store import ViewFile, write_view

ROWS = 1024


def concatenate(parts: Sequence[Path], view: Path) -> None:
    """Write a view (n, d_1 + d_2 + ...) of the same items as the parts, which are vectors (n, d_i), in the order given.

    Features are taken as they are, each on its own scale. Raises UserError when parts differ in their items or are no
    vectors.
    """
    with ExitStack() as stack:
        opened = [stack.enter_context(ViewFile.open(part)) for part in parts]
        first = opened[0]
        for part in opened:
            if part.attributes["kind"] != "vectors":
                raise UserError(f"{part.path} holds {part.attributes['kind']}: only vectors can stand side by side")
            if not np.array_equal(part.ids, first.ids):
                raise UserError(f"{part.path} and {first.path} have other items: delete both and run again")
        bounds = pairwise(accumulate((part.values.shape[1] for part in opened), initial=0))
        learnt = [part for part in opened if part.attributes["learnt"]]
        attributes = {
            "columns": {part.path.stem: bound for part, bound in zip(opened, bounds, strict=True)},
            "learnt": bool(learnt),
            "kind": "vectors",
            "counts": all(part.attributes["counts"] for part in opened),
            "inputs": digests_of({part.path.stem: part.path for part in opened}) | _data_of(opened),
            "versions": versions(),
            "code": code(),
        }
        rows = zip(*(part.blocks(ROWS) for part in opened), strict=True)
        train_ids = {"train_ids": learnt[0].arrays()["train_ids"]} if learnt else {}
        blocks = (np.concatenate(block, axis=1) for block in rows)
        write_view(view, first.ids, blocks, attributes, first.attributes["left_out"], train_ids)


def _data_of(parts: Sequence[ViewFile]) -> dict[str, str]:
    """Digests of the pairs and the split that parts were made of, which must be the same of all that tell."""
    known: dict[str, tuple[str, ViewFile]] = {}
    for part in parts:
        for name in ("pairs", "split"):
            digest = part.attributes.get("inputs", {}).get(name)
            if digest is not None and known.setdefault(name, (digest, part))[0] != digest:
                raise UserError(
                    f"{part.path} and {known[name][1].path} were made of different versions of the {name}: one of the "
                    "two is outdated, or was copied here from elsewhere. Delete both and run again"
                )
    return {name: digest for name, (digest, _) in known.items()}
