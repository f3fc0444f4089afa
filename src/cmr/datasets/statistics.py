"""Facts of a data set, its splits and its pictures, as JSON values: what reports and figures tell of them."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from cmr.datasets.pairs import PARTS
from cmr.datasets.splits import overlaps, text_keys

BARS = 30  # of a histogram, at most


def dataset_facts(
    pairs: pd.DataFrame, splits: Mapping[str, pd.DataFrame], images: pd.DataFrame | None = None
) -> dict[str, Any]:
    """What can be counted in a data set.

    Parameters
    ----------
    pairs : columns id, image, text, labels, part, group; attributes classes, dropped.
    splits : name -> columns id, part.
    images : columns id, sha256, width, height, problem. None: nobody has looked at the pictures.

    Returns
    -------
    pairs, dropped : numbers of items; the dropped ones are no part of any other number.
    classes : name -> number of pairs; empty for a data set without classes.
    labels : mean, max; of a pair.
    groups : how many.
    texts : number, words (least, median, mean, most, histogram), where there are texts; a word ends at a blank.
    images : number, of paths that are published; where the files were looked at also unreadable, and size (median,
        smallest, largest: width and height in pixels; histogram of each).
    duplicates : pairs whose group, text or, where known, image (its bytes) another pair has as well.
    splits : see `_split_facts`.
    """
    keys = _keys(pairs)
    digests = None if images is None else images.set_index("id")["sha256"].to_dict()
    values = {name: keys[name] for name in ("group", "text")}
    if digests is not None:
        values["image"] = keys["id"].map(digests)
    labels = pairs["labels"].str.len()
    count = pairs["labels"].explode().value_counts()
    return {
        "pairs": len(pairs),
        "dropped": pairs.attrs["dropped"],
        "classes": {name: int(count.get(name, 0)) for name in pairs.attrs["classes"]},
        "labels": {"mean": float(labels.mean()), "max": int(labels.max())},
        "groups": int(pairs["group"].nunique()),
        "texts": _text_facts(pairs["text"].dropna()),
        "images": {"number": int(pairs["image"].notna().sum()), **({} if images is None else _image_facts(images))},
        "duplicates": {
            name: int((value.notna() & value.duplicated(keep=False)).sum()) for name, value in values.items()
        },
        "splits": {name: _split_facts(pairs, keys, split, digests) for name, split in splits.items()},
    }


def random_map(classes: Iterable[Iterable[str]]) -> float:
    """The mAP of a random ranking, exactly: its expectation where each of n items queries the other side of all n.

    Items are relevant to each other that share one of their `classes`. With R relevant items the expected average
    precision is (H + (R - 1) (n - H) / (n - 1)) / n, where H = 1 + 1/2 + ... + 1/n; a query without any scores 0.
    """
    sets = Counter(frozenset(names) for names in classes)
    n = sets.total()
    harmonic = (1 / np.arange(1, n + 1)).sum()
    relevant = _relevant(sets)
    precision = np.where(relevant > 0, harmonic + (relevant - 1) * (n - harmonic) / max(n - 1, 1), 0) / n
    return float(precision @ np.fromiter(sets.values(), dtype=float) / n)


def _relevant(sets: Counter[frozenset[str]]) -> NDArray[np.intp]:
    """How many items share a class with each distinct set; the sets come with their numbers of items.

    A single class is shared by its items. For several, the items are bits, and a set's are united: so that memory
    depends on items times classes, and not on the square of the number of sets.
    """
    frequency: Counter[str] = Counter()
    for names, items in sets.items():
        frequency.update(dict.fromkeys(names, items))
    column = {name: i for i, name in enumerate(sorted(set().union(*(names for names in sets if len(names) > 1))))}
    has = np.zeros((len(column), -(-sets.total() // 64) * 64), dtype=bool)
    end = 0
    for names, items in sets.items():
        start, end = end, end + items
        has[[column[name] for name in names if name in column], start:end] = True
    bits = np.packbits(has, axis=1).view(np.uint64)

    def shared_with(names: frozenset[str]) -> int:
        if len(names) < 2:
            return sum(frequency[name] for name in names)
        united = np.bitwise_or.reduce(bits[[column[name] for name in names]], axis=0)
        return int(np.bitwise_count(united).sum())

    return np.fromiter(map(shared_with, sets), dtype=np.intp)


def _keys(pairs: pd.DataFrame) -> pd.DataFrame:
    """Columns id, group, text: numbers in the place of texts, so that each text is normalised once for all splits."""
    numbers = pd.Series(pd.factorize(text_keys(pairs))[0], index=pairs.index)
    return pairs[["id", "group"]].assign(text=numbers.astype(str).astype(object).where(numbers >= 0, None))


def _split_facts(
    pairs: pd.DataFrame, keys: pd.DataFrame, split: pd.DataFrame, digests: Mapping[str, str] | None
) -> dict[str, Any]:
    """Facts of one split.

    Returns
    -------
    train, valid, test, left_out : numbers of items.
    test_of_source : whether its test part is that of the data set's makers.
    overlaps, overlaps_train_test : groups, texts and, where known, images in more than one part; in train and test.
    random_map : of its test part, see `random_map`.
    """
    sizes = split["part"].value_counts()
    test = pairs[pairs["id"].isin(split.loc[split["part"] == "test", "id"])]
    relevance = test["labels"] if pairs.attrs["classes"] else test["group"].map(lambda group: [group])
    return {
        **{part: int(sizes.get(part, 0)) for part in PARTS},
        "left_out": len(pairs) - len(split),
        "test_of_source": set(test["id"]) == set(pairs.loc[pairs["part"] == "test", "id"]),
        "overlaps": overlaps(keys, split, digests),
        "overlaps_train_test": overlaps(keys, split[split["part"] != "valid"], digests),
        "random_map": random_map(relevance),
    }


def _text_facts(texts: pd.Series) -> dict[str, Any]:
    if texts.empty:
        return {"number": 0}
    words = texts.map(lambda text: len(text.split())).to_numpy()
    return {
        "number": len(texts),
        "words": {
            "least": int(words.min()),
            "median": float(np.median(words)),
            "mean": float(words.mean()),
            "most": int(words.max()),
            "histogram": _histogram(words),
        },
    }


def _image_facts(images: pd.DataFrame) -> dict[str, Any]:
    sides = images.loc[images["problem"].isna(), ["width", "height"]].to_numpy(dtype=np.int64)
    by_area = sides[np.argsort(sides.prod(axis=1), kind="stable")]
    return {
        "unreadable": int(images["problem"].notna().sum()),
        "size": {
            "median": np.median(sides, axis=0).tolist(),
            "smallest": by_area[0].tolist(),
            "largest": by_area[-1].tolist(),
            "width": _histogram(sides[:, 0]),
            "height": _histogram(sides[:, 1]),
        },
    }


def _histogram(values: ArrayLike) -> dict[str, Any]:
    """`counts` of whole numbers in bars that are `width` wide, the first from `first`; `beyond` is what is over.

    The bars reach at least to the 99th percentile: a single huge value leaves the others room.
    """
    values = np.asarray(values)
    first, reach = int(values.min()), int(np.percentile(values, 99, method="higher"))
    width = -(-(reach - first + 1) // BARS)
    counts = np.bincount((values - first) // width)
    bars = (reach - first) // width + 1
    return {"first": first, "width": width, "counts": counts[:bars].tolist(), "beyond": int(counts[bars:].sum())}
