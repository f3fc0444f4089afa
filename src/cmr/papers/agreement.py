"""Agreement: whether the methods of a published table come in the same order here, whatever their values are.

Values on other features cannot be compared; that one method is better than another may still hold.
"""

from collections.abc import Mapping
from itertools import groupby
from typing import Any

import numpy as np
import pandas as pd

from cmr.papers.measured import CELL, on, paper_of, spec_of
from cmr.papers.plan import alternatives_run, methods_run
from cmr.papers.published import MEASURED_BY, TABLE, Published, measured_task
from cmr.results import Study
from cmr.statistics import kendall, kendall_interval

COLUMNS = [
    *TABLE, "metric", "task", "setting", "alternative", "exact", "n", "tau", "p", "low", "high", "published_order",
    "measured_order", "stand_ins",
]  # fmt: skip


def agree(published: Published, study: Study, measured: pd.DataFrame) -> pd.DataFrame:
    """How well the published order of methods and ours agree: columns `COLUMNS`.

    measured : of `cmr.papers.measured.measure`.

    One row for each block of a published table (one data set, features, metric and task) and each alternative on which
    its methods were run, substitutes too. `n` methods have a number on both sides; `tau` is Kendall's tau-b and `p` its
    two-sided p, both missing below three methods. `low` and `high` bound tau when the splits, or the seeds of a single
    one, are drawn anew; the published numbers are taken as they are. They are missing for a single repetition. Orders
    begin with the best method and join equal ones by `=`; `stand_ins` tells under which names of the paper others were
    run, as in `ccl_coarse for ccl`.
    """
    printed = published.results[published.results["paper"] == paper_of(study)["id"]]
    tasks = printed.groupby("table")["task"].unique()
    cells = {tuple(cell[name] for name in CELL): cell["measured"] for cell in measured.to_dict("records")}
    repeated: dict[tuple[str, int, str], pd.DataFrame] = {}
    rows = []
    for block, own in printed.groupby([*TABLE, "metric", "task"], sort=False):
        where = dict(zip([*TABLE, "metric", "task"], block, strict=True))
        theirs = dict(zip(own["method"], own["value"], strict=True))
        metric, task = MEASURED_BY[where["metric"]], measured_task(where["task"], list(tasks[where["table"]]))
        about = {key: where[key] for key in ("dataset", "features")}
        for name, number, setting, alternative in alternatives_run(
            {name: one for name, one in paper_of(study)["settings"].items() if one["of"] == about}
        ):
            ours = {method: cells.get((name, number, method, task, metric), np.nan) for method in theirs}
            both = [method for method, value in ours.items() if not np.isnan(value)]
            if not both:
                continue
            if (name, number, metric) not in repeated:
                repeated[name, number, metric] = _repetitions(study, setting, alternative, metric)
            first, second = [theirs[method] for method in both], [ours[method] for method in both]
            tau, p = kendall(first, second)
            values = repeated[name, number, metric][task].unstack("method")[both].dropna()
            _, low, high = kendall_interval(first, values) if len(values) else (np.nan, np.nan, np.nan)
            orders = (_order(theirs, both), _order(ours, both))
            whole = (len(both), tau, p, low, high, *orders, _stand_ins(setting, alternative, both))
            rows.append((*block, name, number, alternative["exact"], *whole))
    return pd.DataFrame(rows, columns=COLUMNS)


def _repetitions(study: Study, setting: Mapping[str, Any], alternative: Mapping[str, Any], metric: str) -> pd.DataFrame:
    """Values of every split, or of every seed of a single one: index (repetition, method), a column a task."""
    own, parts = on(study, alternative), []
    for name in setting["methods"]:
        method = methods_run(setting, alternative)[name]
        values = own.values_of(spec_of(alternative, method, metric))
        if len(values):
            values.index = pd.MultiIndex.from_product([[name], values.index.droplevel("method")])
            parts.append(values)
    return pd.concat(parts).swaplevel().rename_axis(["repetition", "method"])


def _stand_ins(setting: Mapping[str, Any], alternative: Mapping[str, Any], methods: list[str]) -> str:
    """What was run in the place of other methods of the order: `ccl_coarse for ccl; ...`."""
    run = methods_run(setting, alternative)
    return "; ".join(f"{run[name]} for {name}" for name in methods if run[name] != setting["methods"][name])


def _order(values: Mapping[str, float], methods: list[str]) -> str:
    """Methods by their values, the highest first: `a > b = c`."""
    ranked = sorted(methods, key=lambda method: -values[method])
    return " > ".join(" = ".join(equal) for _, equal in groupby(ranked, key=lambda method: values[method]))
