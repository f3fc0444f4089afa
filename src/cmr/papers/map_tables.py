"""Tables of mAP in the paper's layout: a grid as printed, and grids alike of what was measured."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import pandas as pd

from cmr.errors import UserError
from cmr.methods import FLOOR
from cmr.papers.grids import Axis, Entry, Footnotes, Grid, Note, PaperTable
from cmr.papers.plan import needs
from cmr.papers.published import AVERAGE, MEASURED_BY, RESULT, measured_task
from cmr.papers.sources import NOT_RUN, VERDICT, Sources
from cmr.results import MARKS, TASK_TITLES, metric_name, metric_title
from cmr.tables import NOT_APPLICABLE, Cell, explained

BESIDE = ("sm", FLOOR)  # methods of ours that stand at the end of a table that has none of its own, the floor last
RANK = "average_rank"  # a column beside those of tasks
MARK_OF = {"reproduced": "=", "higher": "▲", "lower": "▼"}
LEGEND = {"=": "reproduced", "▲": "ours is higher", "▼": "ours is lower"}
UNRUN = ("not run", "")  # labels of what was not run at all, and not on a further alternative
KEYS = {"method": "Method", "dataset": "Data set", "features": "Features", "metric": "Metric", "task": "Task"}
FEATURES = {
    "handcrafted": "Hand-crafted",
    "cnn": "CNN",
    "unspecified": "Features not named",
    "alexnet_lda": "AlexNet and LDA",
    "alexnet_tagrank798": "AlexNet and tag ranks",
    "cnn_lda": "CNN and LDA",
    "alexnet_word2vec_bilstm": "AlexNet, and word2vec with BiLSTM",
}
_OF_MEASURED = [
    "splits", "image_view", "text_view", "run_method", "measured", "low", "high", "n_splits", "n_seeds", "interval",
    "caveat", "not_applicable",
]  # fmt: skip
COLUMNS = [
    *RESULT, "published", "recomputed", "setting", "alternative", "exact", "measured_on", *_OF_MEASURED, "verdict",
    "missing",
]  # fmt: skip


class Place(NamedTuple):
    """What a number is of. `beside` tells rows of one of our methods apart; of the paper's methods it is empty."""

    method: str
    dataset: str
    features: str
    metric: str
    task: str
    beside: str = ""


Cells = dict[Place, Entry]


def map_table(sources: Sources, name: str, spec: Mapping[str, Any]) -> PaperTable:
    """A grid as printed, one of what was measured first in each setting, and one for each further substitute.

    spec : item, caption, `rows` and `columns` (keys of `KEYS` that span them), and perhaps `ranks`: true, for a column
        of average ranks.
    """
    layout = _Layout.of(sources, name, spec)
    depth = max(len(sources.runs(setting)) for setting in layout.settings)
    grids = (layout.printed(), *(layout.ours(k) for k in range(max(depth, 1))))
    return PaperTable(
        name=name,
        item=spec["item"],
        caption=spec["caption"],
        grids=grids,
        notes=tuple(layout.notes(grids)),
        warning=sources.warning,
        records=pd.DataFrame(layout.records(), columns=COLUMNS).astype(
            dict.fromkeys(["alternative", "n_splits", "n_seeds"], "Int64")
        ),
    )


@dataclass(frozen=True)
class _Layout:
    """The places of a table in its rows and columns, and what stands in them.

    Attributes
    ----------
    rows, columns : the keys that span them.
    results : what the paper prints in the table, see `Sources.printed`.
    ranks : the average ranks that it prints beside; none where the table has no such column.
    """

    sources: Sources
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    results: pd.DataFrame
    ranks: pd.DataFrame

    @classmethod
    def of(cls, sources: Sources, name: str, spec: Mapping[str, Any]) -> "_Layout":
        where = f"study {sources.study.facts['study']}: tables: {name}"
        keys, item = [*spec["rows"], *spec["columns"]], spec["item"]
        results = sources.printed(item)
        if results.empty:
            known = ", ".join(dict.fromkeys(sources.own_results["table"])) or "none"
            raise UserError(f'{where}: item: the paper prints no mAP in "{item}"; it does in {known}')
        if "method" not in keys or results.duplicated(keys).any():
            left = [key for key in KEYS if key not in keys and (key == "method" or results[key].nunique() > 1)]
            raise UserError(
                f"{where}: rows and columns do not tell all numbers of {item} apart; add {' or '.join(left)}"
            )
        ranks = sources.ranks if spec.get("ranks") else sources.ranks[:0]
        if len(ranks) and len(results[["dataset", "features"]].drop_duplicates()) > 1:
            raise UserError(f"{where}: ranks: average ranks stand beside numbers of one data set; leave them out")
        return cls(sources, tuple(spec["rows"]), tuple(spec["columns"]), results, ranks)

    @property
    def settings(self) -> list[str]:
        """Names of the settings that the table is about, in its order."""
        blocks = self.results[["dataset", "features"]].drop_duplicates()
        return [self.sources.setting_of(*block) for block in blocks.itertuples(index=False)]

    @property
    def places(self) -> list[Place]:
        """Of the printed numbers."""
        return [Place(*values) for values in self.results[list(KEYS)].itertuples(index=False)]

    @property
    def rank_places(self) -> list[Place]:
        """Of the printed average ranks."""
        pairs = self.ranks[["method", "metric_ranked"]].itertuples(index=False)
        return [self.places[0]._replace(method=method, metric=metric, task=RANK) for method, metric in pairs]

    def setting(self, place: Place) -> dict[str, Any]:
        return self.sources.settings[self.sources.setting_of(place.dataset, place.features)]

    def printed(self) -> Grid:
        """The paper's own digits, and the mean of the task values beside an average that no rounding explains."""
        numbers = zip(self.results["printed"], self.results["recomputed"], strict=True)
        entries = [Entry(text, f"({mean})" if mean else "") for text, mean in numbers]
        entries += [Entry(f"{rank:g}") for rank in self.ranks["average_rank"]]
        cells = dict(zip([*self.places, *self.rank_places], entries, strict=True))
        return self._grid("printed", "As printed", self._with_best(cells, cells))

    def ours(self, k: int) -> Grid:
        """What was measured: of each setting the alternative of number `k` among those that were run."""
        notes = Footnotes()
        cells = {place: self._measured(place, k, notes) for place in self._as_read(self.places)}
        cells |= {place: self._measured_rank(place, k, notes) for place in self.rank_places}
        rows = {place: self._row(place, k) for place in self.places}
        rivals = [place for place, row in rows.items() if row and not row.caveat and not row.not_applicable]
        rivals += [place for place in self.rank_places if cells[place].text not in ("", NOT_RUN)]
        cells = self._with_best(cells, rivals) | self._beside(k, notes)
        told = [Note(self._about(name, k)) for name in self.settings if len(self.sources.runs(name)) > k]
        if k and len(told) < len(self.settings):
            told.append(Note("Blank: no further alternative was run."))
        title = f"Ours, alternative {k + 1}" if k else "Ours"
        labels = {place: self._label(place, k) for place in self.places}
        return self._grid(f"ours_{k + 1}" if k else "ours", title, cells, labels, (*notes.notes, *told))

    def notes(self, grids: Sequence[Grid]) -> Iterator[str]:
        """What is to be told of all grids."""
        printed, *ours = ([entry for line in grid.cells for entry in line] for grid in grids)
        yield "Best in bold, of what is printed and of what was measured."
        if any(entry.aside for entry in printed):
            yield "In brackets the mean of the two printed task values, where no rounding explains the printed average."
        if all(entry.text in ("", NOT_RUN) for entries in ours for entry in entries):
            return
        yield "Ours: mean ± half of the 95 % interval. The floor is what a random ranking scores."
        beside = [self._method_title(method) for method in self._methods_beside if method != FLOOR]
        yield f"{' and '.join(['The floor', *beside])} {'are' if beside else 'is'} added by us, and never best."
        for metric in self.results["metric"].unique():
            yield f"Measured: {metric_title(MEASURED_BY[metric])}."
        marks = {mark for entries in ours for entry in entries for mark in entry.mark.split()}
        if told := [f"{mark} {meaning}" for mark, meaning in LEGEND.items() if mark in marks]:
            yield f"Verdicts: {', '.join(told)}; no mark: not comparable."
        elif not self.sources.warning:
            yield "No number has the mark of a verdict: none is comparable with what is printed."
        yield from explained([caveat for caveat, mark in MARKS.items() if mark in marks])

    def records(self) -> Iterator[dict[str, Any]]:
        """Rows of `COLUMNS`: a printed number, or a number of a method beside, in an alternative that was run."""
        numbers = dict(
            zip(self.places, zip(self.results["printed"], self.results["recomputed"], strict=True), strict=True)
        )
        for place in [*self.places, *self._places_beside]:
            name, setting = self.sources.setting_of(place.dataset, place.features), self.setting(place)
            published, recomputed = numbers.get(place, ("", ""))
            whole = {"paper": self.sources.paper["id"], "table": self._table, **place._asdict(), "setting": name}
            whole |= {"published": published, "recomputed": recomputed}
            rows = [(number, self._row(place, k)) for k, number in enumerate(self.sources.runs(name))]
            if published and not any(row for _, row in rows):
                yield whole | {"verdict": self._verdict(place), "missing": self._lacking(place)}
            for k, (number, row) in enumerate(rows):
                if row:
                    exact = setting["alternatives"][number]["exact"]
                    whole |= {"alternative": number, "exact": str(exact).lower(), "measured_on": row.dataset}
                    own = {column: getattr(row, column) for column in _OF_MEASURED}
                    yield whole | own | {"verdict": self._verdict(place) if published and not k else ""}

    @property
    def _table(self) -> str:
        return self.results["table"].iloc[0]

    def _verdict(self, place: Place) -> str:
        key = place._asdict() | {"table": self._table}
        return self.sources.verdict(tuple(key[name] for name in VERDICT))

    def _row(self, place: Place, k: int) -> Any:
        """What was measured of a place in the alternative of number `k` among those that were run; None: nothing."""
        name, setting = self.sources.setting_of(place.dataset, place.features), self.setting(place)
        runs = self.sources.runs(name)
        if k >= len(runs) or place.method not in {*setting["methods"], *setting["also"]}:
            return None
        task = measured_task(place.task, list(self.results["task"].unique()))
        return self.sources.measured(name, runs[k], place.method, task, MEASURED_BY[place.metric])

    def _measured(self, place: Place, k: int, notes: Footnotes) -> Entry:
        if row := self._row(place, k):
            judged = not k and not self.sources.warning
            return self._entry(place, row, MARK_OF.get(self._verdict(place), "") if judged else "", notes)
        return Entry() if k else Entry(NOT_RUN, footnote=notes.letter(f"Not run: {self._lacking(place)}."))

    def _entry(self, place: Place, row: Any, verdict: str, notes: Footnotes) -> Entry:
        """A measured number, with its marks, and footnotes on what is not as its row and column say."""
        setting, title, cell = (
            self.setting(place),
            self.sources.method_title,
            Cell(row.measured, row.low, row.high, row.n_splits),
        )
        one, ours = setting["alternatives"][row.alternative], setting["methods"].get(place.method, place.method)
        said = []
        if row.not_applicable:
            partly = "" if cell.printed == NOT_APPLICABLE else " on splits that the number leaves out"
            said.append(f"{NOT_APPLICABLE}{partly}: {row.not_applicable.rstrip('.')}.")
        if row.run_method != ours:
            said.append(f"{title(row.run_method)} stands in for {title(ours)}.")
        sides = {"image": row.image_view, "text": row.text_view}
        if others := [f"{side}s as {view}" for side, view in sides.items() if view != one[f"{side}_view"]]:
            said.append(f"{title(row.run_method)}: {', '.join(others)}.")
        marks = " ".join(filter(None, (MARKS.get(row.caveat, ""), verdict)))
        aside = f"± {cell.half_width}" if cell.half_width else ""
        way = f"{self.sources.setting_of(place.dataset, place.features)}/{row.alternative}/{place.method}"
        return Entry(cell.printed, aside, marks, ",".join(map(notes.letter, said)), cell=way)

    def _lacking(self, place: Place) -> str:
        """Why nothing was measured of a place."""
        setting = self.setting(place)
        if setting["alternatives"] and place.method not in setting["methods"]:
            return f"no method of ours stands for {place.method}"
        substitutes = [one["missing"] for one in setting["alternatives"][1:]]
        return " or, for a substitute, ".join([f"needs {needs(setting)}", *map(", ".join, substitutes)])

    def _measured_rank(self, place: Place, k: int, notes: Footnotes) -> Entry:
        if k:
            return Entry()
        methods = list(self.ranks["method"].unique())
        ranks = self.sources.measured_ranks(place.metric, methods)
        if ranks is None:
            return Entry(NOT_RUN, footnote=notes.letter(self.sources.why_no_ranks(place.metric, methods)))
        return Entry(f"{ranks.mean(axis=0)[methods.index(place.method)]:.3f}")

    @property
    def _methods_beside(self) -> list[str]:
        also = {method for name in self.settings for method in self.sources.settings[name]["also"]}
        return [method for method in BESIDE if method in also and method not in set(self.results["method"])]

    @property
    def _places_beside(self) -> list[Place]:
        """Of the methods that the table does not have: as many as for each of its own."""
        rest = self.results[list(KEYS)[1:]].drop_duplicates()
        return [Place(method, *values) for method in self._methods_beside for values in rest.itertuples(index=False)]

    def _beside(self, k: int, notes: Footnotes) -> Cells:
        """Cells of the methods that the table does not have.

        Where settings share a cell, since rows and columns do not tell them apart, the first stands there. What
        another prints differently stands in a row or column of its own, which names that setting's features.
        """
        cells: Cells = {}
        axes = (*self.rows, *self.columns)
        first: dict[tuple[Any, ...], Entry] = {}
        for place in self._places_beside:
            if row := self._row(place, k):
                entry = self._entry(place, row, "", notes)
                shown = first.setdefault(self._at(place, axes), entry)
                if shown is entry:
                    cells[place] = entry
                elif shown != entry:
                    cells[place._replace(beside=self.title("features", place.features))] = entry
        return cells

    def _with_best(self, cells: Cells, rivals: Iterable[Place]) -> Cells:
        """The best of each group of rivals marked, those that print the same alike; of ranks the lowest is the best.

        Rivals differ by nothing that the table shows but their method.
        """
        keys = [key for key in (*self.rows, *self.columns) if key != "method"]
        worth = {place: float(cells[place].text) * (-1 if place.task == RANK else 1) for place in rivals}
        top: dict[tuple[Any, ...], float] = {}
        for place, value in worth.items():
            at = self._at(place, keys)
            top[at] = max(value, top.get(at, value))
        best = {place for place, value in worth.items() if value == top[self._at(place, keys)]}
        return {place: replace(entry, best=place in best) for place, entry in cells.items()}

    def _at(self, place: Place, keys: Sequence[str]) -> tuple[Any, ...]:
        """Where a place stands on an axis that these keys span."""
        return tuple((place.method, place.beside) if key == "method" else getattr(place, key) for key in keys)

    def _nested(self, keys: Sequence[str], places: Iterable[Place]) -> list[tuple[Any, ...]]:
        """The rows or columns of places, by first appearance, those that share their outer values together."""
        first: dict[tuple[Any, ...], int] = {}
        distinct = dict.fromkeys(self._at(place, keys) for place in places)
        for i, entry in enumerate(distinct):
            for length in range(1, len(entry) + 1):
                first.setdefault(entry[:length], i)
        return sorted(distinct, key=lambda entry: [first[entry[: length + 1]] for length in range(len(entry))])

    def _as_read(self, places: Sequence[Place]) -> list[Place]:
        """Places line by line."""
        sides = [
            (keys, {at: i for i, at in enumerate(self._nested(keys, places))}) for keys in (self.rows, self.columns)
        ]
        return sorted(places, key=lambda place: [order[self._at(place, keys)] for keys, order in sides])

    def title(self, key: str, value: Any) -> str:
        """What a reader calls the value of a key."""
        match key:
            case "method":
                method, beside = value
                return f"{self._method_title(method)}, {beside}" if beside else self._method_title(method)
            case "dataset":
                return self.sources.dataset_title(value)
            case "features":
                return FEATURES.get(value, value)
            case "metric":
                return metric_name(MEASURED_BY[value])
            case _:
                return {AVERAGE: "Average", RANK: "Average rank", **TASK_TITLES}[value]

    def _method_title(self, method: str) -> str:
        """That of the method of ours that stands for a published one."""
        ours = {
            name: own for setting in self.settings for name, own in self.sources.settings[setting]["methods"].items()
        }
        return f"{self.sources.method_title(ours.get(method, method))}{' (floor)' if method == FLOOR else ''}"

    def _label(self, place: Place, k: int) -> str:
        """What the numbers of a place were measured on, for a header."""
        setting, runs = self.setting(place), self.sources.runs(self.sources.setting_of(place.dataset, place.features))
        if k >= len(runs):
            return UNRUN[min(k, 1)]
        one = setting["alternatives"][runs[k]]
        own = one["dataset"] == setting["of"]["dataset"]
        dataset = "" if own else f"{self.sources.dataset_title(one['dataset'])}, "
        return f"{dataset}{one['image_view']} + {one['text_view']}: {'as printed' if one['exact'] else 'substitute'}"

    def _about(self, name: str, k: int) -> str:
        """What a setting was measured on, in full."""
        setting, title = self.sources.settings[name], self.sources.method_title
        one, first = setting["alternatives"][self.sources.runs(name)[k]], setting["alternatives"][0]
        own = [place for place in self.places if self.setting(place) is setting]
        methods = dict.fromkeys(place.method for place in own)
        shown = {method: setting["methods"][method] for method in methods if method in setting["methods"]}
        every = len(shown) == self.results["method"].nunique()
        of = "" if every else f" ({', '.join(map(title, shown.values()))})"
        splits = one["splits"]
        named = splits[0] if len(splits) == 1 else f"{len(splits)} splits ({splits[0]} to {splits[-1]})"
        dataset = self.sources.dataset_title(one["dataset"])
        told = [f"{dataset}, {named}, images as {one['image_view']}, texts as {one['text_view']}"]
        rows = [self._row(place, k) for place in own]
        intervals = dict.fromkeys(row.interval for row in rows if row and row.interval)
        told += [f"intervals over {' or '.join(intervals)}"] if intervals else []
        kind = "as printed" if one["exact"] else "a substitute"
        sentences = [f"{setting['title']}{of}, {kind}: {'; '.join(told)}."]
        sentences += [f"Not as printed: {'; '.join(one['differs'])}."] if one["differs"] else []
        sentences += [f"As printed it needs {needs(setting)}."] if first["exact"] and first["missing"] else []
        return " ".join(sentences)

    def _grid(
        self,
        name: str,
        title: str,
        cells: Cells,
        labels: Mapping[Place, str] | None = None,
        notes: tuple[Note, ...] = (),
    ) -> Grid:
        """Cells in rows and columns, with what they were measured on in the title or on the axis that tells it."""
        order = [place for place in (*self.places, *self.rank_places, *cells) if place in cells]
        rows, columns = self._nested(self.rows, order), self._nested(self.columns, order)
        at = {(self._at(place, self.rows), self._at(place, self.columns)): entry for place, entry in cells.items()}
        of_rows, of_columns = self._axis(self.rows, rows), self._axis(self.columns, columns)
        if labels:
            if len(kinds := set(labels.values())) == 1:
                title = f"{title}, {kinds.pop()}"
            elif told := self._shared(self.columns, labels):
                of_columns = _with_level(of_columns, [told.get(entry, "") for entry in columns])
            elif told := self._shared(self.rows, labels):
                of_rows = _with_level(of_rows, [told.get(entry, "") for entry in rows])
            else:
                title = f"{title}, on what is told below"
        beside = []
        if "method" in self.rows:
            at_method = self.rows.index("method")
            beside = [(i, row[at_method][0]) for i, row in enumerate(rows) if row[at_method][0] in self._methods_beside]
        return Grid(
            name=name,
            title=title,
            rows=of_rows,
            columns=of_columns,
            cells=tuple(tuple(at.get((row, column), Entry()) for column in columns) for row in rows),
            notes=notes,
            begins=frozenset(i for i, _ in beside) - frozenset(i + 1 for i, _ in beside),
            floors=frozenset(i for i, method in beside if method == FLOOR),
        )

    def _axis(self, keys: Sequence[str], entries: Sequence[tuple[Any, ...]]) -> Axis:
        titles = tuple(tuple(map(self.title, keys, entry)) for entry in entries)
        return Axis(tuple(KEYS[key] for key in keys), titles)

    def _shared(self, keys: Sequence[str], labels: Mapping[Place, str]) -> dict[tuple[Any, ...], str]:
        """Rows or columns -> the label of all their cells that were run; nothing where those of any have several."""
        found: dict[tuple[Any, ...], dict[str, None]] = {}
        for place, label in labels.items():
            found.setdefault(self._at(place, keys), {})[label] = None
        told = {entry: [label for label in own if label not in UNRUN] or list(own) for entry, own in found.items()}
        return {} if any(len(own) > 1 for own in told.values()) else {entry: own[0] for entry, own in told.items()}


def _with_level(axis: Axis, labels: Sequence[str]) -> Axis:
    """One level more: what was measured on, over the innermost level, or under the only one."""
    place = max(len(axis.names) - 1, 1)
    entries = zip(axis.entries, labels, strict=True)
    titles = tuple((*entry[:place], label, *entry[place:]) for entry, label in entries)
    return Axis((*axis.names[:place], "Measured on", *axis.names[place:]), titles)
