"""The report of a study: one page for people, which needs no other file and no network."""

import statistics
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from cmr import figures, tables
from cmr.datasets.pairs import PARTS
from cmr.drawing.datasets import size_in_words
from cmr.figures import Drawing
from cmr.gallery import Gallery, templates
from cmr.papers.page import PaperPage, make_page
from cmr.papers.published import Published
from cmr.results import MARKS, Study, budget_of, span
from cmr.statistics import mean_interval
from cmr.tables import Row, Table
from cmr.ways import Way, value_in_words, ways


@dataclass(frozen=True)
class Featureless:
    """A view that has nothing but zeros for some items."""

    side: str  # "images" or "texts"
    view: str
    shares: dict[str, float]  # part -> share of its items, averaged over splits


@dataclass(frozen=True)
class SplitRow:
    """A line of the table of data sets: a split, or the splits that are drawn alike; ranges where they differ."""

    dataset: tuple[str, ...]  # title and facts of the data set, empty but in its first line
    split: tuple[str, ...]


@dataclass(frozen=True)
class Dataset:
    """What is told of a data set.

    Attributes
    ----------
    facts : what it holds, each under a name.
    warnings : what a reader of results must know, each under a name.
    featureless : views without features for some items.
    about : notes, source, citation and licence, each under a name.
    """

    title: str
    facts: list[tuple[str, str]]
    warnings: list[tuple[str, str]]
    featureless: list[Featureless]
    about: list[tuple[str, str]]


@dataclass(frozen=True)
class Hyperparameter:
    name: str
    tried: str
    chosen: str
    description: str


@dataclass(frozen=True)
class MethodFacts:
    title: str
    description: str
    source: str
    budget: str
    candidates: str
    seconds: str
    device: str
    hyperparameters: tuple[Hyperparameter, ...]


@dataclass(frozen=True)
class Report:
    """What the page shows, in the words that it shows."""

    name: str
    title: str
    description: str
    counts: list[tuple[str, int]]
    finding: str
    tables: list[Table]
    ways: list[Way]
    ways_of_tables: dict[str, dict[str, str]]  # table -> method -> name of a way
    way_names: dict[str, str]  # key of a paper's cell -> name of a way
    figures: list[Drawing]
    paper: PaperPage | None
    gallery: Gallery | None
    views: str
    splits: list[SplitRow]
    data_figures: list[Drawing]
    datasets: list[Dataset]
    without_classes: list[str]
    has_ready_views: bool
    methods: list[MethodFacts]
    not_applicable: list[tuple[str, list[str]]]
    transductive: list[str]
    sees_pairs: list[str]
    selected_on_test: list[str]
    runs: int
    image_views: list[str]
    text_views: list[str]
    seeds: list[int]
    versions: dict[str, list[str]]
    command: str


def make_report(
    study: Study,
    gallery: Gallery | None,
    command: str,
    published: Published | None = None,
    settings: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """The page as HTML.

    gallery : example retrievals, where the study's config asks for them.
    command : what a reader types to make the study.
    published : what papers print, for the study of one.
    settings : of the configuration that commands for numbers repeat, as `cmr.ways.command` takes them.
    """
    paper = make_page(study, published) if published else None
    all_runs, study = study.facts["runs"], study.reported
    facts, config, runs = study.facts, study.config, study.facts["runs"]
    drawn = [] if paper else [tables.make_table(study, name) for name in config["tables"]]
    known = {} if paper else ways(study, settings)
    datasets = facts["datasets"].values()
    of_data = [name for name, spec in config["figures"].items() if spec["kind"] == "dataset_statistics"]
    report = Report(
        name=facts["study"],
        title=config["title"],
        description=config["description"],
        counts=counts_of(study),
        finding=paper.finding if paper else finding_of(study, drawn[0]) if drawn else "",
        tables=drawn,
        ways=list((paper.ways if paper else known).values()),
        way_names={key: way.name for key, way in paper.ways.items()} if paper else {},
        ways_of_tables={table.name: _ways_of(study, table, known) for table in drawn},
        figures=[_figure(study, name) for name in config["figures"] if name not in of_data],
        paper=paper,
        gallery=gallery,
        views=_views(study, len(all_runs) - len(runs)) if "view_comparison" in config else "",
        splits=[row for dataset in datasets for row in _split_rows(dataset)],
        data_figures=[_figure(study, name) for name in of_data],
        datasets=[
            _dataset(dataset, [run for run in runs if run["dataset"] == name])
            for name, dataset in facts["datasets"].items()
        ],
        without_classes=[dataset["title"] for dataset in datasets if not dataset["classes"]],
        has_ready_views=any(dataset["ready_views"] for dataset in datasets),
        methods=[_method(study, method) for method in study.methods if method in {run["method"] for run in runs}],
        not_applicable=[
            (study.method_title(method), sorted({study.reason_of(method, run["reason"]) for run in left_out}))
            for method in study.methods
            if (left_out := [run for run in facts["not_applicable"] if run["method"] == method])
        ],
        **{
            caveat: [study.method_title(method) for method in study.methods if study.caveats.get(method) == caveat]
            for caveat in MARKS
        },
        runs=len(runs),
        image_views=sorted({run["image_view"] for run in runs}),
        text_views=sorted({run["text_view"] for run in runs}),
        seeds=sorted(int(seed) for seed in study.scores["seed"].unique()),
        versions=facts["versions"],
        command=command,
    )
    return templates().get_template("report.html.j2").render(report=report)


def _figure(study: Study, name: str) -> Drawing:
    spec = study.config["figures"][name]
    caveats = [] if "unavailable" in spec else tables.caveats(study, spec)  # of methods that are drawn
    caption = " ".join([spec["caption"], *caveats])
    words = figures.describe(study, name)
    return figures.in_page(figures.draw(study, name), name, caption, words, spec.get("item", ""))


def _ways_of(study: Study, table: Table, known: Mapping[tuple[str, ...], Way]) -> dict[str, str]:
    """Method -> name of the way to the numbers of its row."""
    spec = study.item("tables", table.name)
    keys = {row.method: (row.method, *study.setting_of(row.method, spec).values()) for row in table.rows}
    return {method: known[key].name for method, key in keys.items() if key in known}


def counts_of(study: Study) -> list[tuple[str, int]]:
    """How much a study is of, each number under a name."""
    facts, runs = study.facts, study.facts["runs"]
    datasets = facts["datasets"].values()
    return [
        ("image-text pairs", sum(dataset["pairs"] for dataset in datasets)),
        ("classes", sum(len(dataset["classes"]) for dataset in datasets)),
        ("methods", len({run["method"] for run in [*runs, *facts["not_applicable"]]})),
        ("splits", sum(len(dataset["splits"]) for dataset in datasets)),
        ("runs", len(runs)),
        ("candidates fitted", sum(run["candidates"] - run["infeasible"] for run in runs)),
    ]


def finding_of(study: Study, table: Table) -> str:
    """A table in a sentence: its best method, with the floor beside it."""
    column = table.columns.index("mean") if "mean" in table.columns else 0
    best = [row for row in table.rows if row.cells[column].best]
    if not best:
        return ""
    names, verb = _in_words([row.title for row in best]), "has" if len(best) == 1 else "have"
    where = "mean of both directions" if table.columns[column] == "mean" else table.headers[column].lower()
    spec = study.item("tables", table.name)
    among = f" ({tables.setting_title(study, spec)})" if study.has_several_settings else ""
    sentence = f"{names} {verb} the highest {table.measure}{among}: {best[0].cells[column].printed}, {where}."
    if rivals := _not_told_apart(study, table, table.columns[column], best):
        over = study.values_of(spec).index.names[1]
        sentence += f" Its lead over {_in_words(rivals)} is smaller than its 95 % interval over {over}s."
    floor = [f" A random ranking scores {row.cells[column].printed}." for row in table.rows if row.is_floor]
    return sentence + "".join(floor)


def _in_words(names: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`; `a, x; b and c` where a comma is part of a name."""
    between = "; " if any("," in name for name in names) and len(names) > 2 else ", "
    return " and ".join(filter(None, [between.join(names[:-1]), names[-1]]))


def _not_told_apart(study: Study, table: Table, column: str, best: list[Row]) -> list[str]:
    """Titles of comparable methods that the best one leads by less than the interval of the paired difference."""
    scores = study.values_of(study.item("tables", table.name))[column]
    rivals = []
    for row in table.rows:
        if not row.is_floor and row.comparable and row not in best:
            lead = (scores[best[0].method] - scores[row.method]).dropna()  # in splits, or seeds, that both have
            if len(lead) and mean_interval(lead)[1] <= 0:
                rivals.append(row.title)
    return rivals


def _views(study: Study, further_runs: int) -> str:
    """What the page that compares views is about."""
    spec = study.config["view_comparison"]
    methods = _in_words([study.method_label(method) for method in spec["methods"]])
    image_views, text_views = (
        _number([len(spec[f"{modality}_views"])], f"{modality} view") for modality in ("image", "text")
    )
    elsewhere = f" {_number([further_runs], 'run')} of that comparison are not counted here." if further_runs else ""
    dataset = study.facts["datasets"][spec["dataset"]]["title"]
    return f"{methods} with every one of {image_views} and {text_views} on {dataset}.{elsewhere}"


def _split_rows(dataset: Mapping[str, Any]) -> list[SplitRow]:
    """Titles of the columns stand in the template."""
    words = dataset["texts"].get("words")
    of_dataset = (
        dataset["title"],
        str(dataset["pairs"]),
        str(len(dataset["classes"]) or "none"),
        f"{dataset['labels']['mean']:.2f}".removesuffix(".00") if dataset["classes"] else "",
        f"{words['mean']:.1f}" if words else "",
        _duplicates(dataset),
    )
    of_splits = [
        (
            title,
            " / ".join(span([split[part] for split in splits]) for part in PARTS),
            span([split["left_out"] for split in splits]),
            span([f"{split['random_map']:.3f}" for split in splits]),
            _kinds(_overlaps(splits, "overlaps")) + _not_compared(dataset),
        )
        for title, splits in _alike(dataset["splits"]).items()
    ]
    return [SplitRow(("",) * len(of_dataset) if i else of_dataset, cells) for i, cells in enumerate(of_splits)]


def _alike(splits: Mapping[str, dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Facts of the splits that differ by their last number only, under a common title."""
    repeats: dict[str, list[int]] = {}
    for name in sorted(splits):
        stem, dash, number = name.partition("-")
        repeats.setdefault(stem, []).extend([int(number)] if dash else [])
    found = {}
    for stem, numbers in repeats.items():
        numbers.sort()
        names = [f"{stem}-{number}" for number in numbers] or [stem]
        in_a_row = len(names) > 2 and numbers[-1] - numbers[0] == len(numbers) - 1
        title = f"{names[0]} to {names[-1]}" if in_a_row else ", ".join(names)
        found[title] = [splits[name] for name in names]
    return found


def _overlaps(splits: Iterable[Mapping[str, Any]], key: str) -> dict[str, list[int]]:
    """Kind (group, text, image) -> the number of each split."""
    kinds: dict[str, list[int]] = {}
    for split in splits:
        for kind, number in split[key].items():
            kinds.setdefault(kind, []).append(number)
    return kinds


def _kinds(numbers: Mapping[str, Sequence[int]]) -> str:
    """`3 texts, 0 to 1 images`; `none` where all are zero."""
    return ", ".join(_number(some, kind) for kind, some in numbers.items() if any(some)) or "none"


def _duplicates(dataset: Mapping[str, Any]) -> str:
    """`60 pairs by text, 2 by image`; `none` where there are none."""
    found = [f"{number} by {kind}" for kind, number in dataset["duplicates"].items() if number]
    return (", ".join(found) or "none") + _not_compared(dataset)


def _not_compared(dataset: Mapping[str, Any]) -> str:
    unknown = [] if dataset["texts"]["number"] else ["texts"]
    unknown += [] if "image" in dataset["duplicates"] else ["images"]
    return f"; {' and '.join(unknown)} not compared" if unknown else ""


def _number(numbers: Sequence[int], noun: str) -> str:
    text = span(numbers)
    return f"{text} {noun}" if text == "1" else f"{text} {noun}s"


def _dataset(dataset: Mapping[str, Any], runs: Sequence[Mapping[str, Any]]) -> Dataset:
    return Dataset(
        title=dataset["title"],
        facts=list(_data_facts(dataset)),
        warnings=list(_data_warnings(dataset, runs)),
        featureless=_featureless(runs),
        about=[
            (key.capitalize(), dataset[key]) for key in ("notes", "source", "citation", "licence") if key in dataset
        ],
    )


def _data_facts(dataset: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    pairs, dropped, classes, labels = (dataset[key] for key in ("pairs", "dropped", "classes", "labels"))
    yield "Pairs", f"{pairs}; {dropped} more could not be used and were left out" if dropped else str(pairs)
    if dataset["groups"] < pairs:
        yield "Groups", f"{dataset['groups']}, of {pairs / dataset['groups']:.1f} pairs on average"
    if classes:
        several = f"{labels['mean']:.2f} a pair, {labels['max']} at most" if labels["max"] > 1 else "one a pair"
        yield "Classes", f"{len(classes)}, of {span(list(classes.values()))} pairs; {several}"
    else:
        yield "Classes", "none: a pair is relevant to itself and to the pairs of its group"
    yield "Texts", _about_texts(dataset["texts"], pairs)
    yield "Images", _about_images(dataset["images"], pairs)
    shared = {kind: number for kind, number in dataset["duplicates"].items() if number}
    kinds = [f"{number} pairs have the {kind} of another pair" for kind, number in shared.items()]
    yield "Duplicates", "; ".join(kinds or ["none"]) + _not_compared(dataset)


def _about_texts(texts: Mapping[str, Any], pairs: int) -> str:
    if "words" not in texts:
        return "none in this copy: text features come with the data set, and examples cannot be read"
    words, some = texts["words"], "" if texts["number"] == pairs else f"of {texts['number']} pairs; "
    return (
        f"{some}{words['mean']:.1f} words on average, median {words['median']:g}, "
        f"from {words['least']} to {words['most']}; a word ends at a blank"
    )


def _about_images(images: Mapping[str, Any], pairs: int) -> str:
    if not images["number"]:
        return "none are published: image features come with the data set"
    if "size" not in images:
        return "not looked at: image features come with the data set"
    unreadable = f"{images['unreadable']} of {pairs} cannot be used; " if images["unreadable"] else ""
    return unreadable + size_in_words(images["size"])


def _data_warnings(dataset: Mapping[str, Any], runs: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    for title, splits in _alike(dataset["splits"]).items():
        if any(number for split in splits for number in split["overlaps"].values()):
            yield f"Overlap in {title}", _about_overlaps(splits)
    for views, numbers in _left_out(runs).items():
        yield "Left out of runs", f"{numbers} with the views {views}: their image or text cannot be used"
    for view, caution in dataset["cautions"].items():
        yield f"Caution on the view {view}", caution


def _about_overlaps(splits: Sequence[Mapping[str, Any]]) -> str:
    """How much is in several parts, how much of it in train and test, and who has it so."""
    several, train_test = (_kinds(_overlaps(splits, key)) for key in ("overlaps", "overlaps_train_test"))
    whose = (
        "The test part is the source's own and is kept as it is."
        if all(split["test_of_source"] for split in splits)
        else "The split's protocol does not keep them apart."
    )
    return f"In more than one part: {several}. In train and test: {train_test}. {whose}"


def _left_out(runs: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Views -> how many items of each part runs do without; ranges where splits differ."""
    numbers: dict[str, dict[str, list[int]]] = {}
    for run in runs:
        of_views = numbers.setdefault(f"{run['image_view']} and {run['text_view']}", {part: [] for part in PARTS})
        for part in PARTS:
            of_views[part].append(run["left_out"].get(part, 0))
    told = {
        views: ", ".join(f"{span(some)} of {part}" for part, some in parts.items() if any(some))
        for views, parts in sorted(numbers.items())
    }
    return {views: text for views, text in told.items() if text}


def _featureless(runs: Iterable[Mapping[str, Any]]) -> list[Featureless]:
    """Views with items without features, and the share of such items in each part that has some."""
    shares: dict[tuple[str, str], dict[str, dict[str, float]]] = {}  # side and view -> part -> split -> share
    for run in runs:
        for side, view in (("images", run["image_view"]), ("texts", run["text_view"])):
            for part, counts in run["featureless"].items():
                of_part = shares.setdefault((side, view), {}).setdefault(part, {})
                of_part[run["split"]] = counts[side] / run["sizes"][part]
    means = {
        key: {part: statistics.mean(parts[part].values()) for part in PARTS if part in parts}
        for key, parts in sorted(shares.items())
    }
    kept = {key: {part: share for part, share in parts.items() if share} for key, parts in means.items()}
    return [Featureless(side, view, parts) for (side, view), parts in kept.items() if parts]


def _method(study: Study, method: str) -> MethodFacts:
    config = study.facts["methods"][method]
    runs = [run for run in study.facts["runs"] if run["method"] == method]
    return MethodFacts(
        title=study.method_label(method),
        description=config["description"],
        source="" if config["source"] == "none" else config["source"],
        budget=budget_of(config),
        candidates=_candidates(runs),
        seconds=f"{statistics.median(run['seconds'] for run in runs):.1f}",
        device=" and ".join(sorted({run["device"] for run in runs})),
        hyperparameters=tuple(
            Hyperparameter(
                name,
                ", ".join(map(value_in_words, config["grid"][name])) if name in config["grid"] else "fixed",
                _tally(_chosen(run["chosen"][name], config["grid"].get(name, []), spec) for run in runs),
                spec["description"],
            )
            for name, spec in config["hyperparameters"].items()
        ),
    )


def _candidates(runs: list[dict[str, Any]]) -> str:
    """`40`, or `40 (3 infeasible)`; ranges where runs differ."""
    text, infeasible = (span([run[key] for run in runs]) for key in ("candidates", "infeasible"))
    return text if infeasible == "0" else f"{text} ({infeasible} infeasible)"


def _chosen(value: Any, grid: Sequence[Any], schema: Mapping[str, Any]) -> str:
    """The value, marked where a wider grid might do better: at an end of three numbers or more.

    Beyond the least and greatest value that the method's config allows no grid reaches.
    """
    numeric = all(isinstance(one, int | float) and not isinstance(one, bool) for one in grid)
    at_edge = numeric and len(grid) >= 3 and value in (min(grid), max(grid))
    at_edge = at_edge and value not in (schema.get("minimum"), schema.get("maximum"))
    # Zero components are as many as there can be: no number of them is the greatest.
    at_edge = at_edge and not (0 in grid and schema["type"] == "integer" and value == max(grid))
    return f"{value_in_words(value)} (edge of its grid)" if at_edge else value_in_words(value)


def _tally(values: Iterable[str]) -> str:
    """`10`, or `10 in 3 runs, 40 in 2` where runs differ; the most frequent first."""
    counts = Counter(values).most_common()
    if len(counts) == 1:
        return counts[0][0]
    (value, times), *others = counts
    return ", ".join([f"{value} in {times} runs", *(f"{value} in {times}" for value, times in others)])
