"""How much of a data set's texts a view knows."""

from typing import Any

import pandas as pd

from cmr.views.base import TextView


def out_of_vocabulary(view: TextView, texts: pd.DataFrame) -> dict[str, Any]:
    """Rates of what is out of vocabulary, by part, in the order train, valid, test.

    Parameters
    ----------
    texts : columns text and part.

    Returns
    -------
    part -> `words`, the share of all words of its texts that the view does not know; `types`, the same of different
    words; `texts`, the share of texts without a known word. A part without words has rates of 1, not NaN.
    """
    rates = {}
    for part, rows in texts.groupby("part", sort=False)["text"]:
        tokens = list(map(view.tokens, rows))
        words = [word for text in tokens for word in text]
        types = set(words)
        known = view.known(types)
        rates[part] = {
            "words": _share(sum(word not in known for word in words), len(words)),
            "types": _share(len(types - known), len(types)),
            "texts": _share(sum(known.isdisjoint(text) for text in tokens), len(tokens)),
        }
    return {part: rates[part] for part in ("train", "valid", "test", "all") if part in rates}


def _share(count: int, total: int) -> float:
    return count / total if total else 1.0
