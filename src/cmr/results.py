"""The results of a study: the scores, curves and histories of all its runs side by side, and what made them.

A study's folder holds `results.csv`, `curves.parquet`, `history.parquet` and `study.json`; `Study.write` makes them and
`Study.read` reads them. Tables, figures and the report are functions of a `Study`.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from cmr import files, store
from cmr.datasets.statistics import dataset_facts
from cmr.errors import UserError
from cmr.methods import FLOOR
from cmr.provenance import check_made_of, digests_of, file_sha256
from cmr.spreadsheets import to_csv
from cmr.statistics import mean_interval

SETTING = ["dataset", "image_view", "text_view"]
RUN = ["dataset", "split", "image_view", "text_view", "method"]
SCORES = ["study", *RUN, "seed", "part", "task", "metric", "value"]
CURVES = ["study", *RUN, "seed", "part", "task", "recall", "precision"]
HISTORY = ["study", *RUN, "seed", "step", "quantity", "value"]
NUMBERS = {"seed": "int64", "step": "int64"} | dict.fromkeys(["value", "recall", "precision"], "float64")

# Why a method's scores cannot be compared with the others', by the fact of its runs that tells -> what marks its title;
# of several, the first is told.
MARKS = {"sees_pairs": "‡", "selected_on_test": "§", "transductive": "†"}
TASK_TITLES = {
    "img2txt": "Image → text",
    "txt2img": "Text → image",
    "img2all": "Image → all",
    "txt2all": "Text → all",
    "mean": "Mean",
    "mean_all": "Mean (all)",
}
MEANS = {"mean": ["img2txt", "txt2img"], "mean_all": ["img2all", "txt2all"]}
NORMALISERS = {
    "hits": "relevant items among the first {cutoff}",
    "min": "the smaller of {cutoff} and the number of relevant items",
    "all": "all relevant items",
}


@dataclass(frozen=True, order=True)
class Run:
    """One job: a method on one split of a data set, seen through an image view and a text view."""

    dataset: str
    split: str
    image_view: str
    text_view: str
    method: str

    @classmethod
    def of_folder(cls, folder: Path) -> Self:
        """The run whose outputs lie in `.../<dataset>/<split>/<image view>+<text view>/<method>`."""
        dataset, split, views, method = folder.parts[-4:] if len(folder.parts) >= 4 else ("", "", "", "")
        image_view, plus, text_view = views.partition("+")
        if not plus:
            raise UserError(
                f"{folder} is no run folder; it must end in <dataset>/<split>/<image view>+<text view>/<method>"
            )
        return cls(dataset, split, image_view, text_view, method)

    def folder(self, runs: Path) -> Path:
        """Where the outputs of the run lie below the folder of all runs."""
        return runs / self.dataset / self.split / f"{self.image_view}+{self.text_view}" / self.method


@dataclass(frozen=True)
class Study:
    """All that is known of a study after its runs.

    Attributes
    ----------
    scores : columns `SCORES`, one row a number.
    curves : columns `CURVES`, one row a point of a precision-recall curve.
    history : columns `HISTORY`, one row a value noted in training; empty when no method learns by steps.
    facts : `study` (its name), `config` (the study's own), `methods` (config of each), `datasets` (what the config says
        of each, and `cmr.datasets.statistics.dataset_facts`), `runs` (selection, `scores` of the feasible candidates by
        it, sizes of the parts, their items left out and without features, seeds, digests of inputs and outputs, commit,
        device and seconds of each), `not_applicable` (runs of methods that are not defined for the data, each with its
        `reason`), `versions`, `machines` (on which the runs were), and once written `files` (SHA-256 of the others).
    folder : where it was read from; what a table or figure needs besides lies there too. None: it was not read.
    """

    scores: pd.DataFrame
    curves: pd.DataFrame
    history: pd.DataFrame
    facts: dict[str, Any]
    folder: Path | None = None

    @property
    def config(self) -> dict[str, Any]:
        return self.facts["config"]

    @property
    def runs(self) -> list[Run]:
        """Runs of methods that are applicable to the data."""
        return [Run(*(run[key] for key in RUN)) for run in self.facts["runs"]]

    @property
    def methods(self) -> list[str]:
        """Methods in the order of the study's config."""
        return list(self.facts["methods"])

    def method_title(self, method: str) -> str:
        return self.facts["methods"][method]["title"]

    def method_label(self, method: str) -> str:
        """The title as tables and figures show it: the floor is named so, a method of `caveats` marked."""
        mark = "(floor)" if method == FLOOR else MARKS.get(self.caveats.get(method, ""), "")
        return f"{self.method_title(method)} {mark}".rstrip()

    def item(self, kind: str, name: str) -> dict[str, Any]:
        """The config of the table or figure `name` (`kind`: "tables" or "figures")."""
        try:
            return self.config[kind][name]
        except KeyError as error:
            known = ", ".join(self.config.get(kind, {})) or "none"
            raise UserError(f'study {self.facts["study"]} has no {kind[:-1]} "{name}"; it has {known}') from error

    def setting(self, spec: Mapping[str, Any]) -> dict[str, str]:
        """The data set and views that a table or figure is about.

        As its config says; what that leaves open the study's `setting` says, or the study has only one.
        """
        spec = {**self.config.get("setting", {}), **spec}
        fitting = [row for row in self.settings if all(row[key] == spec.get(key, row[key]) for key in SETTING)]
        if len(fitting) == 1:
            return fitting[0]
        present = "; ".join(" ".join(row.values()) for row in self.settings)
        named = ", ".join(f"{key} {spec[key]}" for key in SETTING if key in spec) or "a table or figure that names none"
        raise UserError(
            f"study {self.facts['study']}: {len(fitting)} data sets with view pairs fit {named}, "
            f"and exactly one must. Name it by {', '.join(SETTING)} in the study's config. There are: {present}"
        )

    def setting_of(self, method: str, spec: Mapping[str, Any]) -> dict[str, str]:
        """The data set and views on which a table or figure shows a method: not all methods take all views.

        `views_of` of its config tells, or else that of the study's `setting`.
        """
        views_of = spec.get("views_of", self.config.get("setting", {}).get("views_of", {}))
        return {**self.setting(spec), **views_of.get(method, {})}

    @property
    def settings(self) -> list[dict[str, str]]:
        """Every data set with a pair of views that the study has runs of."""
        runs = {tuple(run[key] for key in SETTING) for run in [*self.facts["runs"], *self.facts["not_applicable"]]}
        return [dict(zip(SETTING, setting, strict=True)) for setting in sorted(runs)]

    def not_applicable(self, spec: Mapping[str, Any]) -> dict[str, str]:
        """Methods that are not applicable to the data of a table or figure, on all splits or on some -> the reason."""
        if not self.settings:
            return {}
        shown = [(method, self.setting_of(method, spec)) for method in spec.get("methods", self.methods)]
        found = {
            method: run["reason"]
            for method, setting in shown
            for run in self.facts["not_applicable"]
            if run["method"] == method and all(run[key] == setting[key] for key in SETTING)
        }
        return {method: found[method] for method in self.methods if method in found}

    def reason_of(self, method: str, reason: str) -> str:
        """Why a method is not applicable, without its name, or that of the method that it is a variant of, in front."""
        names = {method, self.facts["methods"][method].get("variant_of", method)}
        name, colon, rest = reason.partition(": ")
        return rest if colon and name in names else reason

    @property
    def caveats(self) -> dict[str, str]:
        """Methods whose scores cannot be compared with the others' -> the reason, a key of `MARKS`."""
        return {run["method"]: caveat for caveat in reversed(MARKS) for run in self.facts["runs"] if run.get(caveat)}

    @property
    def has_several_settings(self) -> bool:
        return len(self.settings) > 1

    @property
    def reported(self) -> Self:
        """The study without the settings that its comparison of views alone is about: that has a page of its own."""
        if "view_comparison" not in self.config:
            return self
        compared = self.config["view_comparison"]
        items = [*self.config["tables"].values(), *self.config["figures"].values()]
        items = [item for item in items if item.get("kind") != "dataset_statistics"]
        shown = [self.setting_of(method, item) for item in items for method in item.get("methods", self.methods)]
        shown += [self.config["gallery"]] if "gallery" in self.config else []
        own_page = {*product([compared["dataset"]], compared["image_views"], compared["text_views"])}
        own_page -= {tuple(setting[key] for key in SETTING) for setting in shown}
        runs, inapplicable = (
            [run for run in self.facts[kind] if tuple(run[key] for key in SETTING) not in own_page]
            for kind in ("runs", "not_applicable")
        )
        used = {(run["dataset"], run[f"{modality}_view"]) for run in runs for modality in ("image", "text")}
        datasets = {
            name: facts
            | {
                "ready_views": [view for view in facts["ready_views"] if (name, view) in used],
                "cautions": {view: text for view, text in facts["cautions"].items() if (name, view) in used},
            }
            for name, facts in self.facts["datasets"].items()
        }
        frames = {
            name: frame[~pd.MultiIndex.from_frame(frame[SETTING]).isin(own_page)]
            for name, frame in (("scores", self.scores), ("curves", self.curves), ("history", self.history))
        }
        facts = self.facts | {"runs": runs, "not_applicable": inapplicable, "datasets": datasets}
        return replace(self, **frames, facts=facts)

    def scores_of(self, spec: Mapping[str, Any]) -> pd.DataFrame:
        """Scores of one metric in one setting: index (method, split, seed), a column a task, and means where asked for.

        `spec` holds `metric`, `tasks`, and optionally `part` (default test), `methods` (default all), the keys of a
        setting and `views_of`. `mean` is the mean over img2txt and txt2img within each split and seed, `mean_all` that
        over img2all and txt2all. A study without runs has none anywhere.
        """
        return self._by_task(spec, self._shown(self.scores, spec), ["method", "split", "seed"])

    def scores_of_views(self, spec: Mapping[str, Any]) -> pd.DataFrame:
        """As `scores_of`, of all methods on a data set: index (image_view, text_view, method, split, seed)."""
        rows = _matching(self.scores, dataset=spec["dataset"])  # of the floor too, whatever methods are compared
        return self._by_task(spec, rows, ["image_view", "text_view", "method", "split", "seed"])

    def _shown(self, frame: pd.DataFrame, spec: Mapping[str, Any]) -> pd.DataFrame:
        """The rows of a table's or figure's methods, each on its views."""
        if not self.settings:
            return frame
        settings: dict[tuple[str, ...], list[str]] = {}
        for method in spec.get("methods", self.methods):
            settings.setdefault(tuple(self.setting_of(method, spec).values()), []).append(method)
        parts = [
            rows[rows["method"].isin(methods)]
            for setting, methods in settings.items()
            for rows in [_matching(frame, **dict(zip(SETTING, setting, strict=True)))]
        ]
        return pd.concat(parts).sort_index()

    def _by_task(self, spec: Mapping[str, Any], rows: pd.DataFrame, index: list[str]) -> pd.DataFrame:
        rows = _matching(rows, part=spec.get("part", "test"))
        if rows.empty:  # no method is applicable
            return pd.DataFrame(np.nan, pd.MultiIndex.from_arrays([[] for _ in index], names=index), spec["tasks"])
        if spec["metric"] not in set(rows["metric"]):
            known = ", ".join(sorted(rows["metric"].unique()))
            raise UserError(
                f'study {self.facts["study"]}: no run reports the metric "{spec["metric"]}"; there are {known}'
            )
        rows = rows[rows["metric"] == spec["metric"]]
        wide = rows.pivot(index=index, columns="task", values="value")
        for mean, tasks in MEANS.items():
            wide[mean] = wide[tasks].mean(axis=1, skipna=False)
        if missing := [task for task in spec["tasks"] if task not in wide]:
            raise UserError(f"study {self.facts['study']}: no run reports the task {missing[0]}")
        return wide[spec["tasks"]]

    def values_of(self, spec: Mapping[str, Any]) -> pd.DataFrame:
        """The values that intervals are taken over: `scores_of` with index (method, split) or (method, seed).

        Several splits: one value a split, the mean over its seeds, since the seeds of one split share its data. One
        split: one value a seed.
        """
        wide = self.scores_of(spec)
        if wide.index.get_level_values("split").nunique() == 1:
            return wide.droplevel("split")
        return wide.groupby(level=["method", "split"]).mean()

    def summary(self, spec: Mapping[str, Any], level: float = 0.95) -> pd.DataFrame:
        """Mean and interval of `values_of`: columns method, task, mean, low, high, n; methods in study order.

        `n` is the number of values behind the interval.
        """
        wide = self.values_of(spec)
        rows = [
            (method, task, *mean_interval(values[task].to_numpy(), level), len(values))
            for method in self.methods
            for values in [wide[wide.index.get_level_values("method") == method]]
            for task in spec["tasks"]
            if len(values)
        ]
        return pd.DataFrame(rows, columns=["method", "task", "mean", "low", "high", "n"])

    def curves_of(self, spec: Mapping[str, Any]) -> pd.DataFrame:
        """Precision-recall points of one task in one setting; none where no method is applicable."""
        rows = _matching(self._shown(self.curves, spec), part=spec.get("part", "test"), task=spec["task"])
        if len(self.curves) and spec["task"] not in set(self.curves["task"]):
            raise UserError(
                f"study {self.facts['study']}: no run has a precision-recall curve of the task {spec['task']}"
            )
        return rows

    def history_of(self, spec: Mapping[str, Any]) -> pd.DataFrame:
        """Training histories in one setting; may be empty."""
        return self._shown(self.history, spec)

    def write(self, scores: Path, curves: Path, history: Path, facts: Path) -> None:
        """Scores as CSV with six decimals, so that equal results are equal bytes; curves and history as Parquet.

        In the CSV a last column `caveat` tells rows that cannot be compared with the others, by a key of `MARKS`.
        """
        marked = self.scores.assign(caveat=self.scores["method"].map(self.caveats))
        files.write_text(scores, to_csv(marked))
        store.write_table(curves, self.curves)
        store.write_table(history, self.history)
        made = {"results.csv": scores, "curves.parquet": curves, "history.parquet": history}
        files.write_json(facts, self.facts | {"files": digests_of(made)})

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The study whose collected results lie in `folder`.

        Raises UserError where one of its four files is missing or damaged, or they are not of one making.
        """
        facts = files.read_json(folder / "study.json")
        for name, digest in facts["files"].items():
            path = folder / name
            if path.exists() and file_sha256(path) != digest:
                raise UserError(
                    f"{path} is not what {folder / 'study.json'} was made with: it is damaged, was "
                    "changed, or is of another run. Delete it and run again: it is then made anew"
                )
        try:
            scores = pd.read_csv(folder / "results.csv", dtype=_types(SCORES))[SCORES]
        except (OSError, ValueError, KeyError) as error:
            raise UserError(f"{folder / 'results.csv'} cannot be read: {error}") from error
        tables = (store.read_table(folder / name) for name in ("curves.parquet", "history.parquet"))
        return cls(scores, *tables, facts, folder)


def collect(
    name: str,
    config: Mapping[str, Any],
    runs: Iterable[Path],
    datasets: Iterable[Path],
    splits: Iterable[Path],
    images: Iterable[Path] = (),
) -> Study:
    """Gather a study from the folders of its runs, of which there may be none; their order does not matter.

    Parameters
    ----------
    name : the study's id.
    config : `study` (the study's config), `methods` (id -> config, in study order) and `datasets` (id -> its title,
        source, licence, cautions (ready view -> text), and perhaps citation and notes).
    runs : folders with metrics.parquet, curves.parquet, history.parquet and selection.json.
    datasets : `<dataset>/pairs.parquet` of every data set.
    splits : `<dataset>/splits/<split>.parquet` of every split.
    images : `<dataset>/images.parquet` of the data sets whose pictures are looked at.
    """
    folders = {Run.of_folder(folder): folder for folder in runs}
    selections = {run: files.read_json(folder / "selection.json") for run, folder in folders.items()}
    ordered = sorted((run, folder) for run, folder in folders.items() if "not_applicable" not in selections[run])
    seeds = {run: _seeds(config["study"], run) for run in folders}
    for run, folder in ordered:
        check_made_of(folder / "selection.json", selections[run]["outputs"], {"history": folder / "history.parquet"})
    scores = _gather(name, ordered, "metrics.parquet", SCORES, seeds, selections)
    if (missing := scores[scores["value"].isna()]).size:
        first = missing.iloc[0]
        raise UserError(f"{folders[Run(*first[RUN])]}: {first['metric']} of {first['task']} is not a number")
    facts = {
        "study": name,
        "config": config["study"],
        "methods": config["methods"],
        "datasets": _about_datasets(config["datasets"], datasets, splits, images),
        "not_applicable": [
            vars(run) | {"reason": selection["not_applicable"]}
            for run, selection in sorted(selections.items(), key=lambda item: item[0])
            if "not_applicable" in selection
        ],
        **_run_facts({run: selections[run] for run, _ in ordered}),
    }
    curves = _gather(name, ordered, "curves.parquet", CURVES, seeds, selections)
    return Study(scores, curves, _gather(name, ordered, "history.parquet", HISTORY, seeds, selections), facts)


def folders_of(config: Mapping[str, Any], runs: Path) -> list[Path]:
    """Folders of the runs that a study's config names, each once, below the folder of all runs."""
    keys = [f"{key}s" for key in RUN]
    named = [Run(*values) for block in config["runs"] for values in product(*(block[key] for key in keys))]
    return [run.folder(runs) for run in dict.fromkeys(named)]


def budget_of(config: Mapping[str, Any]) -> str:
    """What of its paper's training a method keeps by default, and which defaults the study does not take."""
    if not config.get("budget"):
        return ""
    others = [name for name, value in config["fixed"].items() if value != config["hyperparameters"][name]["default"]]
    return f"{config['budget']}." + (
        f" These are defaults; here other values are set of {', '.join(others)}." if others else ""
    )


def rehearsal(study: Study) -> list[str]:
    """That a study is one, as a line that stands above what it shows; no line of any other."""
    if dataset := study.config.get("paper", {}).get("rehearsal"):
        return [f"rehearsal on {study.facts['datasets'][dataset]['title']}: no result of the paper's data"]
    return []


def metric_title(metric: str) -> str:
    """What a reader calls a metric, its normaliser included; the name itself where it is none of ours."""
    if metric == "map_all":
        return f"mAP over the whole ranking (normaliser: {NORMALISERS['all']})"
    if match := re.fullmatch(r"map_at_(\d+)_(hits|min|all)", metric):
        return f"mAP@{match[1]} (normaliser: {NORMALISERS[match[2]].format(cutoff=match[1])})"
    if match := re.fullmatch(r"(precision|recall)_at_(\d+)", metric):
        normaliser = match[2] if match[1] == "precision" else NORMALISERS["all"]
        return f"{match[1].capitalize()}@{match[2]} (normaliser: {normaliser})"
    return metric


def metric_name(metric: str) -> str:
    """The title of a metric without its normaliser, for axes and headings."""
    return metric_title(metric).partition(" (")[0]


def span(values: Iterable[Any], words: Callable[[Any], str] = str) -> str:
    """The least and the greatest in words: `3 to 5`, or `3` where they are the same."""
    values = list(values)
    low, high = words(min(values)), words(max(values))
    return low if low == high else f"{low} to {high}"


def _seeds(config: Mapping[str, Any], run: Run) -> set[int]:
    """Seeds that the study asks of a run; the run may have more, for other studies."""
    blocks = [block for block in config["runs"] if all(value in block[f"{key}s"] for key, value in vars(run).items())]
    return {seed for block in blocks for seed in block["seeds"]}


def _gather(
    study: str,
    runs: Iterable[tuple[Run, Path]],
    file: str,
    columns: list[str],
    seeds: Mapping[Run, set[int]],
    selections: Mapping[Run, Mapping[str, Any]],
) -> pd.DataFrame:
    own = [column for column in columns if column not in ["study", *RUN]]
    parts = []
    for run, folder in runs:
        table = store.read_table(folder / file)
        check_same_making(folder / file, table, selections[run])
        if list(table) != own:
            raise UserError(f"{folder / file} has the columns {', '.join(table)}; expected {', '.join(own)}")
        table = table[table["seed"].isin(seeds[run])]
        if file == "metrics.parquet" and (missing := seeds[run] - set(table["seed"])):
            raise UserError(f"{folder / file} has no scores of seed {min(missing)}. Delete it and run again")
        parts.append(table.assign(study=study, **vars(run))[columns])
    # Empty tables (histories of closed forms) know no types, so they take no part where there is a full one.
    full = [part for part in parts if len(part)] or [pd.DataFrame(columns=columns)]
    return pd.concat(full).astype(_types(columns)).sort_values(columns, kind="stable", ignore_index=True)


def check_same_making(path: Path, table: pd.DataFrame, run: Mapping[str, Any]) -> None:
    """Refuse scores that are of other embeddings than those that a run has made.

    run : its selection, or what a study's facts tell of it: `outputs` has the digest of the embeddings.
    """
    scored, made = table.attrs.get("inputs", {}).get("embeddings"), run["outputs"]["embeddings"]
    if scored is not None and scored != made:
        raise UserError(
            f"{path} is of other embeddings (SHA-256 {scored[:12]}...) than those that the run made "
            f"({made[:12]}...): it is outdated, or was copied here from elsewhere. Delete it and run again"
        )


def _types(columns: Iterable[str]) -> dict[str, str]:
    return {column: NUMBERS.get(column, "str") for column in columns}


def _run_facts(selections: Mapping[Run, Mapping[str, Any]]) -> dict[str, Any]:
    facts, versions, machines = [], {}, []
    for run, selection in selections.items():
        feasible = [candidate for candidate in selection["candidates"] if "valid_map" in candidate]
        # NaN: the split has no part to choose by.
        scores = [None if math.isnan(one["valid_map"]) else one["valid_map"] for one in feasible]
        facts.append(
            vars(run)
            | {
                "candidates": len(selection["candidates"]),
                "infeasible": len(selection["candidates"]) - len(scores),
                "chosen": selection["chosen"],
                "valid_map": None if None in scores else max(scores),
                "scores": [[one["hyperparameters"], score] for one, score in zip(feasible, scores, strict=True)],
                "sizes": selection["sizes"],
                "left_out": selection["left_out"],
                "featureless": selection["featureless"],
                **{key: selection[key] for key in (*MARKS, "seeds", "inputs", "outputs", "commit")},
                "seconds": selection["seconds"],
                "device": selection["device"],
            }
        )
        machines += [selection["machine"]] if selection["machine"] not in machines else []
        versions |= {
            name: sorted({version, *versions.get(name, [])}) for name, version in selection["versions"].items()
        }
    return {"runs": facts, "versions": versions, "machines": machines}


def _about_datasets(
    about: Mapping[str, Any], datasets: Iterable[Path], splits: Iterable[Path], images: Iterable[Path]
) -> dict[str, Any]:
    splits, images_of = sorted(splits), {path.parent.name: store.read_table(path) for path in images}
    facts = {}
    for path in sorted(datasets):
        name = path.parent.name
        own = {split.stem: store.read_table(split) for split in splits if split.parent.parent == path.parent}
        facts[name] = {**about[name], **dataset_facts(store.read_table(path), own, images_of.get(name))}
    return facts


def _matching(frame: pd.DataFrame, **wanted: str) -> pd.DataFrame:
    """The rows that have these values."""
    for column, value in wanted.items():
        frame = frame[frame[column] == value]
    return frame
