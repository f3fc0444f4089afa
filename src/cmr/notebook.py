"""Any method on arrays of one's own, for notebooks: `from cmr import pairs, fit, score, curve`.

What fits and scores is what the workflow fits and scores with; nothing is computed in another way here.

    train, test = pairs(images[:500], texts[:500], labels[:500]), pairs(images[500:], texts[500:], labels[500:])
    model = fit("cca", train, n_components=20)
    score(model, test)
    curve(model, test)
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from cmr import training
from cmr.catalogue import Catalogue, Settings
from cmr.compute import Compute
from cmr.configuration import check_name
from cmr.construct import METHODS, build
from cmr.drawing.scores import precision_recall
from cmr.errors import UserError
from cmr.evaluation import TASKS, evaluate
from cmr.figure_style import INK, theme
from cmr.methods import FLOOR
from cmr.methods.base import Array, Method, Model, Pairs, PerTask, Task, embed_sides, spaces
from cmr.methods.random import RandomRanking
from cmr.progress import Progress
from cmr.results import MEANS, TASK_TITLES, Study
from cmr.retrieval import Similarity
from cmr.rows import Rows

SIDES = {"image": "images", "text": "texts"}


@dataclass(frozen=True, eq=False)
class Fitted:
    """A method that has been fitted to pairs.

    Attributes
    ----------
    name, title : of the method; the title as tables have it.
    trained : the model, and how its hyper-parameters were chosen.
    widths : numbers a row of the images and of the texts that it was fitted to.
    """

    name: str
    title: str
    trained: training.Trained
    widths: dict[str, tuple[int, ...]]

    def __repr__(self) -> str:
        values = ", ".join(f"{key}={value!r}" for key, value in self.hyperparameters.items())
        return f"{self.title}: {self.name}({values})"

    @property
    def model(self) -> Model | PerTask:
        return next(iter(self.trained.models.values()))

    @property
    def similarity(self) -> Similarity:
        """How its embeddings are compared, for `cmr.retrieval.top`."""
        return self.trained.method.similarity

    @property
    def hyperparameters(self) -> dict[str, Any]:
        """The values that it was fitted with."""
        return self.trained.selection["chosen"]

    @property
    def candidates(self) -> pd.DataFrame:
        """One row a candidate: its hyper-parameters, `valid_map` (NaN without a valid part), `infeasible` if it was."""
        rows = self.trained.selection["candidates"]
        return pd.DataFrame([{**row["hyperparameters"], **row} for row in rows]).drop(columns="hyperparameters")

    @property
    def history(self) -> pd.DataFrame:
        """Columns seed, step, quantity, value; no row of a method in closed form."""
        return training.histories(self.trained)

    def embed_images(self, images: ArrayLike, task: Task | None = None) -> Array:
        """(n, d_x) -> (n, k), from the images alone; `task` where a method has a space for each task."""
        return self._space(task).embed_images(self._checked("images", images))

    def embed_texts(self, texts: ArrayLike, task: Task | None = None) -> Array:
        """(n, d_y) -> (n, k), likewise."""
        return self._space(task).embed_texts(self._checked("texts", texts))

    def _space(self, task: Task | None) -> Model:
        if not isinstance(self.model, PerTask):
            return self.model
        if task is None:
            raise UserError(
                f'{self.name} has one space for image queries and one for text queries: give task="img2txt"'
            )
        check_name(task, TASKS, f"embeddings of {self.name}", "task")
        return self.model.of(task)

    def _checked(self, side: str, rows: ArrayLike) -> Array:
        """Rows as the model takes them; other kinds than vectors as they come."""
        rows = _vectors(side, rows) if len(self.widths[side]) == 1 else np.asarray(rows)
        _check_width(side, rows, self.widths[side], self.name)
        return rows


def pairs(
    images: ArrayLike,
    texts: ArrayLike,
    labels: ArrayLike | None = None,
    *,
    groups: ArrayLike | None = None,
    texts_are_counts: bool = False,
) -> Pairs:
    """n image-text pairs, from arrays: row i of `images` and row i of `texts` belong together.

    Parameters
    ----------
    images, texts : (n, d_x) and (n, d_y), finite numbers, held as float32.
    labels : (n,) class numbers or names; or (n, c) of 0 and 1, a column a class; or None: no classes, and what is
        relevant to a query is its own other side.
    groups : (n,), equal for items that belong together, such as the captions of one image: without classes they are
        relevant to each other.
    texts_are_counts : the texts are counts of words, which some methods model as such.

    Raises UserError for shapes that do not fit, and for values that are no finite numbers.
    """
    images, texts = _vectors("images", images), _vectors("texts", texts)
    if groups is not None:
        groups = np.unique(_column("groups", groups), return_inverse=True)[1]
        if len(groups) != len(images):
            raise UserError(f"groups: there are {len(groups)} for {len(images)} images; give one a pair")
    return Pairs(images, texts, _multi_hot(labels, len(images)), texts_are_counts, groups)


def fit(
    method: str | type[Method],
    train: Pairs,
    valid: Pairs | None = None,
    *,
    test: Pairs | None = None,
    grid: bool = False,
    seed: int = 0,
    device: str = "cpu",
    progress: bool = False,
    **hyperparameters: Any,
) -> Fitted:
    """Fit a method as the workflow does.

    Parameters
    ----------
    method : a name of `python -m cmr methods`, or a class of your own, see docs/add-a-method.md.
    train : what it learns from.
    valid : pairs by which candidates are chosen and networks stop early; the quality is mAP, mean of both directions.
    test : looked at by transductive methods (features alone) and by those that are selected on test; by no other.
    grid : choose whatever is not given among the candidates of config/methods, as the workflow does; otherwise it is at
        its default.
    seed : of whatever is random.
    device : auto, cpu, cuda or cuda:1, for methods that use torch.
    progress : show bars.
    hyperparameters : by name; a value, or a list of candidates to choose among by `valid`.

    Raises UserError for unknown names, values that are not allowed, and data that the method is not defined for.
    """
    if not isinstance(method, str | type):
        raise UserError(
            f"fit: {type(method).__name__} is neither the name of a method nor a class; give one of these, and "
            'hyper-parameters by name, as in fit("cca", train, n_components=20)'
        )
    own = isinstance(method, type)
    values = {key: _plain(value) for key, value in hyperparameters.items()}
    name = method.__name__ if own else method
    _check_pairs(name, train=train, valid=valid, test=test)
    settings = _own(method, values) if own else _registered(name, values, grid)
    if not own:
        _check_kinds(name, train)
    parts = {part: given for part, given in (("train", train), ("valid", valid), ("test", test)) if given is not None}
    _check_parts(name, settings, parts)
    trained = training.train(
        settings["implementation"],
        settings["fixed"],
        settings["grid"],
        parts,
        [seed],
        Compute(_device(device)),
        Progress(quiet=not progress),
        settings.get("selects_on", "valid"),
    )
    if trained.not_applicable:
        raise UserError(trained.not_applicable)
    return Fitted(name, settings["title"], trained, {side: getattr(train, side).shape[1:] for side in SIDES.values()})


def score(fitted: Fitted, test: Pairs) -> pd.DataFrame:
    """The workflow's metrics of a fitted method, and beside each what a random ranking is expected to reach.

    Returns index (metric, task), columns `score` and `random`. Tasks are those of `cmr.evaluation`, `mean` of img2txt
    and txt2img, and `mean_all` of img2all and txt2all; `score(model, test).loc["map_all"]` are the mAPs.
    """
    _check_test(fitted, test)
    floor = RandomRanking()
    tables = {
        "score": _evaluated(fitted.trained.method, fitted.model, test)[0],
        FLOOR: _evaluated(floor, floor.fit(test), test)[0],
    }
    wide = {name: table.pivot(index="metric", columns="task", values="value") for name, table in tables.items()}
    for table in wide.values():
        for mean, tasks in MEANS.items():
            table[mean] = table[tasks].mean(axis=1)
    order = tables["score"]["metric"].unique()
    return pd.DataFrame({name: table.loc[order, [*TASK_TITLES]].stack() for name, table in wide.items()})


def curve(fitted: Fitted | Sequence[Fitted], test: Pairs, task: Task = "img2txt") -> alt.LayerChart:
    """Precision against recall of fitted methods and of a random ranking, as the workflow draws it.

    An Altair chart: a notebook shows it, and `.save("curve.html")` keeps it. The pointer gets values, a click into the
    legend brings out one method, shift and wheel zoom.
    """
    check_name(task, TASKS, "curve", "task")
    several = [*fitted] if isinstance(fitted, list | tuple) else [fitted]
    for one in several:
        _check_test(one, test)
    floor = RandomRanking()
    curves, methods = {FLOOR: _evaluated(floor, floor.fit(test), test)[1]}, {FLOOR: {"title": "Random"}}
    for number, one in enumerate(several, start=1):
        # Of one method fitted twice, the title alone does not tell which.
        name = one.name if one.name not in curves else f"{one.name} {number}"
        curves[name] = _evaluated(one.trained.method, one.model, test)[1]
        methods[name] = {"title": one.title}
    run = {"dataset": "", "split": "", "image_view": "", "text_view": ""}
    runs = [{**run, "method": name} for name in curves]
    frame = pd.concat([table.assign(**run, method=name, part="test") for name, table in curves.items()])
    study = Study(
        scores=pd.DataFrame(),
        curves=frame,
        history=pd.DataFrame(),
        facts={"study": "", "config": {}, "methods": methods, "runs": runs, "not_applicable": []},
    )
    return precision_recall(study, {"task": task}).properties(config=theme(INK, "white"))


def _evaluated(method: Method, model: Model | PerTask, test: Pairs) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Scores and curves as of `cmr.evaluation.evaluate`, each task's in the space in which it is solved."""
    parts = []
    for solved, space in spaces(model).items():
        tables = evaluate(*embed_sides(method, space, test), test.relevance, method.similarity)
        parts.append([table[table["task"].str.startswith(solved.partition("2")[0])] for table in tables])
    scores, curves = (pd.concat(tables, ignore_index=True) for tables in zip(*parts, strict=True))
    return scores, curves


def _check_test(fitted: Fitted, test: Pairs) -> None:
    if not isinstance(fitted, Fitted):
        raise UserError(f"{fitted!r} is no fitted method: give what fit(...) returned")
    _check_pairs(fitted.name, test=test)
    for side, width in fitted.widths.items():
        _check_width(f"test: {side}", getattr(test, side), width, fitted.name)


def _check_width(where: str, rows: Rows, width: tuple[int, ...], name: str) -> None:
    if rows.shape[1:] != width:
        raise UserError(
            f"{where}: {name} was fitted to rows of {_shape(width)}, but these are of {_shape(rows.shape[1:])}; give "
            "the same features"
        )


def _check_pairs(name: str, **parts: Pairs | None) -> None:
    for part, given in parts.items():
        if given is not None and not isinstance(given, Pairs):
            raise UserError(
                f"{name}: {part} is {type(given).__name__}, not pairs; give pairs(images, texts, labels) of `from cmr "
                "import pairs`"
            )


def _registered(name: str, values: Settings, grid: bool) -> Settings:
    """Settings of a method of the registry, with `fixed` and `grid` as `Catalogue.method` has them."""
    catalogue, where = _catalogue(_checkout()), f'fit("{name}")'
    check_name(name, catalogue.methods, where, "method")
    catalogue.check_values(name, values, where)
    if not grid:
        schemas = catalogue.methods[name]["hyperparameters"]
        values = {key: schema["default"] for key, schema in schemas.items()} | values
    return replace(catalogue, config=catalogue.config | {"methods": {name: values}}).method(name)


def _own(method: type[Method], values: Settings) -> Settings:
    """The same of a class, for which lists are candidates."""
    return {
        "implementation": f"{method.__module__}.{method.__qualname__}",
        "title": method.__name__,
        "fixed": {key: value for key, value in values.items() if not isinstance(value, list)},
        "grid": {key: value for key, value in values.items() if isinstance(value, list)},
    }


def _checkout() -> Path:
    """The checkout whose registry names methods: the library's own, or the one that the notebook lies in."""
    places = [Path(__file__).resolve().parents[2], Path.cwd(), *Path.cwd().parents]
    for place in places:
        if (place / "config/config.yaml").is_file() and (place / "workflow/schemas/method.schema.yaml").is_file():
            return place
    raise UserError(
        "names of methods stand in config/methods of a checkout, and neither this installation of cmr nor the current "
        "folder is in one: install it by `pip install --editable CHECKOUT`, start the notebook in a checkout, or give "
        "a class instead of a name, e.g. `from cmr.methods.linear.cca import CCA` and fit(CCA, ...)"
    )


@cache
def _catalogue(checkout: Path) -> Catalogue:
    return Catalogue.read(checkout)


def _check_kinds(name: str, train: Pairs) -> None:
    """Refuse pairs of a kind that the registry says the method does not take."""
    methods = _catalogue(_checkout()).methods
    found = {side: getattr(train, f"{side}_kind") for side in SIDES}
    needed = {side: _kinds(methods[name], side) for side in SIDES}
    if all(found[side] in needed[side] for side in SIDES):
        return
    base = methods[name].get("variant_of", name)
    others = [
        other
        for other, settings in methods.items()
        if base in (other, settings.get("variant_of")) and all(found[side] in _kinds(settings, side) for side in SIDES)
    ]
    takes = ", ".join(f"{SIDES[side]} as {' or '.join(kinds)}" for side, kinds in needed.items())
    these = ", ".join(f"{SIDES[side]} as {kind}" for side, kind in found.items())
    raise UserError(
        f'fit("{name}"): it takes {takes}, but is given {these}. '
        + (f'Fit "{others[0]}", which takes these; or make ' if others else "Make ")
        + "cmr.methods.base.Pairs of what it takes (their documentation tells the shapes), or run it by the workflow "
        "on views of these kinds (`python -m cmr views`)"
    )


def _kinds(settings: Settings, side: str) -> list[str]:
    return ["patches"] if settings.get("patches") else settings.get(f"{side}_kinds", ["vectors"])


def _check_parts(name: str, settings: Settings, parts: Mapping[str, Pairs]) -> None:
    """Refuse to choose without a part to choose by, and to do without the test part where a method looks at it."""
    by = settings.get("selects_on", "valid")
    if by == "test" and "test" not in parts:
        raise UserError(
            f'fit("{name}"): it chooses by the test part, labels included, which is no fair score; give test=..., or '
            f'fit "{settings["variant_of"]}"'
        )
    if math.prod(map(len, settings["grid"].values())) > 1 and by not in parts:
        raise UserError(
            f'fit("{name}"): there are candidates of {", ".join(settings["grid"])} to choose among; give valid=..., '
            "pairs to choose by, or one value of each"
        )
    candidate = settings["fixed"] | {key: candidates[0] for key, candidates in settings["grid"].items()}
    if getattr(build(settings["implementation"], candidate, METHODS), "transductive", False) and "test" not in parts:
        raise UserError(
            f'fit("{name}"): it is transductive, and learns from the features of the items that are to be retrieved; '
            "give test=..., whose labels it does not see"
        )


def _device(name: str) -> str:
    if name == "cpu":
        return name
    from cmr.device import resolve_device  # imports torch, which methods in closed form do without

    return str(resolve_device(name))


def _vectors(side: str, rows: ArrayLike) -> NDArray[np.float32]:
    """(n, d) float32."""
    rows = _array(side, rows)
    if rows.dtype.kind not in "fiub" or rows.ndim != 2 or not rows.size:
        found = f"of shape {rows.shape}" if rows.dtype.kind in "fiub" else f"of {rows.dtype}"
        raise UserError(f"{side}: an array (n, d) of numbers is needed, a row a pair; this one is {found}")
    return rows.astype(np.float32)


def _multi_hot(labels: ArrayLike | None, n: int) -> NDArray[np.bool_]:
    """(n, c) bool."""
    if labels is None:
        return np.zeros((n, 0), dtype=bool)
    table = _array("labels", labels)
    if table.ndim != 2:
        column = _column("labels", labels)
        return column[:, None] == np.unique(column)
    if table.dtype.kind not in "fiub" or not np.isin(table, (0, 1)).all():
        raise UserError(
            f"labels: an array (n, c) must hold 0 and 1, a column a class; this one, of shape {table.shape}, holds "
            "others. Class numbers or names are an array (n,)"
        )
    return table.astype(bool)


def _column(what: str, values: ArrayLike) -> NDArray:
    """(n,) whole numbers or names."""
    column = _array(what, values)
    if column.dtype.kind == "O" and all(isinstance(value, str) for value in column):
        column = column.astype(str)
    if column.dtype.kind == "f" and np.isfinite(column).all() and (column == np.round(column)).all():
        column = column.astype(np.int64)
    if column.ndim != 1 or column.dtype.kind not in "iubU":
        raise UserError(
            f"{what}: an array (n,) of whole numbers or of names is needed, none of them missing; this one is of "
            f"{column.dtype}, of shape {column.shape}"
        )
    return column


def _array(what: str, values: ArrayLike) -> NDArray:
    try:
        return np.asarray(values)
    except ValueError as error:
        raise UserError(f"{what}: it is no array: {error}") from error


def _plain(value: Any) -> Any:
    """A value as a configuration file would have it."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    return [_plain(one) for one in value] if isinstance(value, list | tuple | range) else value


def _shape(width: tuple[int, ...]) -> str:
    return " x ".join(map(str, width)) + (" numbers" if len(width) == 1 else "")
