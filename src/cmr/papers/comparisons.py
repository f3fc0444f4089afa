"""Comparisons: which of two methods of a paper is better here, and whether chance over test items can explain it."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from cmr.papers.measured import Queries, on, paper_of, precision_of_items, queries_of, with_scores
from cmr.papers.plan import alternatives_run, methods_run
from cmr.papers.published import BIMODAL
from cmr.results import Study
from cmr.statistics import holm, randomisation_test

ALSO = "sm"  # the baseline that stands beside every paper's own
COLUMNS = [
    "setting", "alternative", "exact", "task", "metric", "first", "second", "n_items", "difference", "p", "p_holm",
]  # fmt: skip


def compare(study: Study, queries: Queries, metrics: Sequence[str]) -> pd.DataFrame:
    """Every pair of a paper's methods, and semantic matching, on every alternative that is run: columns `COLUMNS`.

    queries : of every run, the average precision of each query.
    metrics : of ours, which the paper's are measured by.

    `difference` is the mean of first - second over the test items that all of the methods have, an item's average
    precision being averaged over the splits and seeds in which it is tested. `p` is that of the paired randomisation
    test over these items, `p_holm` is adjusted for all pairs of one alternative, task and metric. It asks whether
    another draw of test items might turn the difference round, and takes the trained models as they are.
    """
    rows = [
        (name, number, alternative["exact"], *row)
        for name, number, setting, alternative in alternatives_run(paper_of(study)["settings"])
        for row in _pairs(study, setting, alternative, queries, metrics)
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def _pairs(
    study: Study,
    setting: Mapping[str, Any],
    alternative: Mapping[str, Any],
    queries: Queries,
    metrics: Sequence[str],
) -> Iterator[tuple[Any, ...]]:
    named = methods_run(setting, alternative)
    own, items = on(study, alternative), {}
    for name in dict.fromkeys([*setting["methods"], ALSO]):
        if name in named and (runs := with_scores(own, alternative, named[name])):
            items[name] = precision_of_items([queries_of(queries, run) for run in runs])
    pairs = list(combinations(items, 2))
    if not pairs:
        return
    together = pd.concat(items, axis=1).dropna()
    for task in BIMODAL:
        for metric in metrics:
            values = {name: together[name, metric, task].to_numpy() for name in items}
            differences = np.stack([values[first] - values[second] for first, second in pairs], axis=1)
            p = randomisation_test(differences)
            for pair, difference, *of_pair in zip(pairs, differences.mean(axis=0), p, holm(p), strict=True):
                yield (task, metric, *pair, len(differences), difference, *of_pair)
