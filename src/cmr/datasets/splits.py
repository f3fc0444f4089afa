"""Named partitions of a data set into train, valid and test."""

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cmr.datasets.links import linked
from cmr.datasets.pairs import PARTS
from cmr.errors import UserError

log = logging.getLogger(__name__)

REST = ""  # the part of items that a split leaves out


def make_split(
    pairs: pd.DataFrame, protocol: Mapping[str, Any], seed: int, digests: pd.Series | None = None
) -> pd.DataFrame:
    """Partition a data set by a protocol of its config.

    Parameters
    ----------
    pairs : columns id, text, labels, part, group.
    protocol : one of
        `from: source`, the parts that the data set comes with;
        `sizes: {train, valid, test}`, numbers of items, or shares of the data set; what is over is left out;
        `per_class: {train, valid, test}`, numbers of items of every class, each item having one;
        and with any of them
        `valid_from_train` or `valid_from_test`, how much of that part (a number, or a share) becomes the valid part;
        `stratified` (default true), each class (of several the item's rarest) spread over the parts in proportion;
        `grouped_by` (default group and text), what may not occur in two parts: group, text (upper case and blanks
        aside), image (the bytes of the file, by `digests`).
    seed : another seed, another split; the same seed gives the same split on every machine.
    digests : of the images, row by row; needed to group by image.

    Returns
    -------
    Columns id, part; items that are left out are absent.

    Raises UserError when the data set is too small or lacks what is asked for, or a group is larger than any part.
    """
    generator = np.random.default_rng(seed)
    from_source = protocol.get("from") == "source"
    part = _parts_of_source(pairs) if from_source else _draw(pairs, protocol, digests, generator)
    for donor in ("train", "test"):
        if share := protocol.get(f"valid_from_{donor}"):
            if "valid" in part:
                raise UserError(f"valid_from_{donor} is for splits without a valid part, but this one has it")
            rows = np.flatnonzero(part == donor)
            valid = share if isinstance(share, int) else round(share * len(rows))
            if not 0 < valid < len(rows):
                raise UserError(f"valid_from_{donor}: {share} of {len(rows)} items leaves one of the two parts empty")
            rules = {key: protocol[key] for key in ("stratified", "grouped_by") if key in protocol}
            rules["sizes"] = {donor: len(rows) - valid, "valid": valid}
            items = pairs.iloc[rows].reset_index(drop=True)
            part[rows] = _draw(items, rules, None if digests is None else digests.iloc[rows], generator)
    if absent := [name for name in PARTS if name not in part]:
        raise UserError(f"the split has no {' and no '.join(absent)} part: give it a size, or valid_from_train")
    return pd.DataFrame({"id": pairs["id"], "part": part})[part != REST].reset_index(drop=True)


def overlaps(pairs: pd.DataFrame, split: pd.DataFrame, digests: Mapping[str, str] | None = None) -> dict[str, int]:
    """How many groups, texts and, where `digests` (id -> digest) are known, images occur in more than one part."""
    items = pairs.merge(split, on="id", suffixes=("_of_source", ""))
    values = {"group": items["group"], "text": text_keys(items)}
    if digests is not None:
        values["image"] = items["id"].map(digests)
    parts = {name: items["part"].groupby(value).nunique() for name, value in values.items()}
    return {name: int((count > 1).sum()) for name, count in parts.items()}


def _parts_of_source(pairs: pd.DataFrame) -> NDArray:
    if pairs["part"].isna().all():
        raise UserError("the data set comes without parts of its own: give the split sizes")
    return pairs["part"].fillna(REST).to_numpy(dtype=object, copy=True)


def _quotas(strata: pd.Series, protocol: Mapping[str, Any]) -> pd.DataFrame:
    """Items of each stratum (columns) that go into each part (rows), as fractions; what is left out is a part, too."""
    count = strata.value_counts().sort_index()
    if per_class := protocol.get("per_class"):
        needed = sum(per_class.values())
        if (small := count[count < needed]).size:
            names = ", ".join(f"{name} ({size})" for name, size in small.items())
            raise UserError(f"{dict(per_class)} needs {needed} items of every class, but these have fewer: {names}")
        quotas = pd.DataFrame({part: count * 0 + per_class[part] for part in PARTS if part in per_class})
    else:
        sizes = _whole_numbers(protocol["sizes"], len(strata))
        quotas = pd.DataFrame({name: count * size / len(strata) for name, size in sizes.items()})
    quotas[REST] = count - quotas.sum(axis=1)
    return quotas.T


def _in_whole_items(quotas: pd.DataFrame) -> NDArray[np.intp]:
    """(parts, strata) quotas in whole items, a stratum's in sum its size.

    What a part is owed by rounding is carried from stratum to stratum, so that many small classes add up, too.
    """
    whole, owed = np.zeros(quotas.shape, dtype=np.intp), [0.0] * len(quotas)
    for number, (_, quota) in enumerate(quotas.items()):
        owed = [debt + share for debt, share in zip(owed, quota, strict=True)]
        for _ in range(round(quota.sum())):
            part = max(range(len(owed)), key=owed.__getitem__)
            owed[part] -= 1
            whole[part, number] += 1
    return whole


def _whole_numbers(sizes: Mapping[str, float], n: int) -> dict[str, int]:
    """Numbers of items; shares are rounded so that together they miss no item that they ask for."""
    sizes = {part: sizes[part] for part in PARTS if part in sizes}  # whatever the order in the config
    if any(isinstance(size, float) for size in sizes.values()):
        if (total := sum(sizes.values())) > 1 + 1e-9:
            raise UserError(f"the shares {dict(sizes)} sum to {total:g}, more than the whole data set")
        ends = [round(end * n) for end in np.cumsum(list(sizes.values()))]
        sizes = dict(zip(sizes, map(int, np.diff([0, *ends])), strict=True))
    if sum(sizes.values()) > n:
        raise UserError(f"the split {dict(sizes)} needs {sum(sizes.values())} items, but the data set has {n}")
    return sizes


def _strata(pairs: pd.DataFrame, protocol: Mapping[str, Any]) -> pd.Series:
    """The class of each item, of several the rarest; everything is one stratum where nothing is to be stratified."""
    if "per_class" in protocol and (pairs["labels"].str.len() != 1).any():
        raise UserError("per_class needs exactly one label an item, but the data set has others")
    if not protocol.get("stratified", True) and "per_class" not in protocol:
        return pd.Series("", index=pairs.index)
    frequency = pairs["labels"].explode().value_counts()
    # Ties between equally rare labels go to the first by name, so that the order of a file does not matter.
    return pairs["labels"].map(lambda labels: min(labels, key=lambda name: (frequency[name], name), default=""))


def _groups(pairs: pd.DataFrame, protocol: Mapping[str, Any], digests: pd.Series | None) -> NDArray[np.int32]:
    """(n,) number of each item's group."""
    keys = {"group": pairs["group"], "text": text_keys(pairs), "image": digests}
    return linked(len(pairs), [keys[name] for name in protocol.get("grouped_by", ("group", "text"))])


def text_keys(pairs: pd.DataFrame) -> pd.Series:
    """What equal texts have in common; None for items without."""
    keys = pairs["text"].fillna("").map(lambda text: " ".join(text.casefold().split()))
    return keys.where(keys != "", None)


def _draw(
    pairs: pd.DataFrame, protocol: Mapping[str, Any], digests: pd.Series | None, generator: np.random.Generator
) -> NDArray:
    """(n,) part of each item: sizes exactly as asked, strata as near to their quotas as groups allow.

    Groups of several items are dealt out first, large ones before small ones, each to the part that is owed most by its
    share of the groups so far, in their strata and in all. (By what it lacks of the whole data set, the largest part
    would get them all.) The single items of a stratum then fill what is left of its quotas in an order that does not
    depend on the groups: a copy of the data set that lacks some texts is split much as a whole one. Where no part has
    room for another group, the one with most room takes it, so that sizes miss by less than a group.
    """
    strata = _strata(pairs, protocol)
    order = generator.permutation(len(pairs))
    quotas = _quotas(strata, protocol)
    quotas = quotas[generator.permutation(quotas.columns)]  # else classes early in the alphabet would be rounded alike
    lacking = _in_whole_items(quotas)
    sizes = lacking.sum(axis=1)
    room = sizes.copy()
    shares, owed = (quotas / quotas.sum(axis=0)).to_numpy(dtype=float), np.zeros(quotas.shape)
    stratum = strata.map({name: number for number, name in enumerate(quotas.columns)}).to_numpy()
    group = _groups(pairs, protocol, digests)
    alone = np.bincount(group)[group] == 1
    chosen = np.full(len(pairs), -1)

    for items in _groups_of_several(group, order, alone):
        if len(items) > sizes.max():
            raise UserError(
                f"{len(items)} items belong together by group, text or image, but the largest part has {sizes.max()}; "
                f"one of them is {pairs['id'].iloc[items[0]]}. Choose other sizes, or set grouped_by"
            )
        fitting = np.flatnonzero(room >= len(items))
        if not len(fitting):
            fitting = np.array([room.argmax()])
        here = np.bincount(stratum[items], minlength=lacking.shape[1])
        owed += shares * here
        part = fitting[(owed[fitting] @ here / len(items) + owed[fitting].sum(axis=1)).argmax()]
        owed[part] -= here
        lacking[part] -= here
        room[part] -= len(items)
        chosen[items] = part

    singles = order[alone[order]]
    for number in range(lacking.shape[1]):
        items = singles[stratum[singles] == number]
        parts = np.repeat(np.arange(len(room)), np.minimum(lacking[:, number], room).clip(min=0))[: len(items)]
        chosen[items[: len(parts)]] = parts
        room -= np.bincount(parts, minlength=len(room))
    left_over = singles[chosen[singles] < 0]
    chosen[left_over] = np.repeat(np.arange(len(room)), room.clip(min=0))[: len(left_over)]
    if "per_class" in protocol and (missed := _missed(quotas, stratum, chosen)):
        log.warning("groups do not allow the numbers of every class: %s", missed)
    return quotas.index.to_numpy(dtype=object)[chosen]


def _missed(quotas: pd.DataFrame, stratum: NDArray[np.intp], chosen: NDArray[np.intp]) -> dict[str, dict[str, int]]:
    """Part -> class -> its number of items, where that is not the one asked for."""
    found = pd.crosstab(chosen, stratum).reindex(range(len(quotas)), fill_value=0)
    found = pd.DataFrame(found.to_numpy(), quotas.index, quotas.columns).drop(index=REST)
    missed = found.where(found != quotas.drop(index=REST))
    return {part: row.dropna().astype(int).to_dict() for part, row in missed.iterrows() if row.notna().any()}


def _groups_of_several(
    group: NDArray[np.intp], order: NDArray[np.intp], alone: NDArray[np.bool_]
) -> list[NDArray[np.intp]]:
    """Items of each group of several, large groups first, equally large ones in the order of their first item."""
    members: dict[int, list[int]] = {}
    for item in order[~alone[order]].tolist():
        members.setdefault(group[item], []).append(item)
    return [np.array(items) for items in sorted(members.values(), key=len, reverse=True)]
