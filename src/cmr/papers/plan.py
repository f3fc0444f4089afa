"""What of a paper can be run here: its file below `config/papers/` becomes the config of an ordinary study.

A paper prints numbers on pairs of a data set and a kind of features, its *settings*. The file says for each of them on
which data, split and views of ours it is run as printed, and what stands in where files are missing (*substitutes*).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cmr.methods import FLOOR

Settings = dict[str, Any]
VIEWS = ("image_view", "text_view")
# What an item of a paper says of the runs that it shows; all else is told to whoever draws it.
_OF_RUNS = ("settings", "methods")


@dataclass(frozen=True)
class Rehearsal:
    """A data set on which a study is run instead of the paper's own, to see all of it once.

    Attributes
    ----------
    splits : names of its splits, of which as many are taken as the paper's setting has.
    views_of : method -> views, for methods that do not take the usual ones.
    """

    dataset: str
    splits: Sequence[str]
    image_view: str
    text_view: str
    views_of: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def study_of(
    name: str,
    paper: Mapping[str, Any],
    printed: Mapping[tuple[str, str], Sequence[str]],
    missing: Callable[[Mapping[str, str]], list[str]],
    missing_texts: Callable[[str], list[str]],
    rehearsal: Rehearsal | None = None,
) -> Settings:
    """The config of the study, with the block `paper` that tells of every setting what is run and what is missing.

    Parameters
    ----------
    name : the paper's id.
    paper : its file.
    printed : (data set, features) -> methods of which the paper prints numbers, in its order.
    missing : of a run, the outside files that are not to be had here.
    missing_texts : of a data set, those that its texts need.
    rehearsal : run everything on this data set instead.
    """
    settings = {
        key: _setting(paper, setting, printed, missing, rehearsal) for key, setting in paper["settings"].items()
    }
    items = {
        kind: {key: _item(settings, spec, missing_texts) for key, spec in paper.get(kind, {}).items()}
        for kind in ("tables", "figures")
    }
    gallery = _gallery(settings, paper.get("gallery"))
    return {
        "title": paper["title"],
        "description": paper["description"],
        "runs": [block for setting in settings.values() for block in _blocks(setting, paper["seeds"])],
        **items,
        **({"gallery": gallery} if gallery else {}),
        "paper": {
            "id": name,
            "citation": paper["citation"],
            "tolerance": paper["tolerance"],
            "rehearsal": rehearsal.dataset if rehearsal else None,
            "settings": settings,
            **({"left_out": {"gallery": paper["gallery"]}} if "gallery" in paper and not gallery else {}),
        },
    }


def first_run(setting: Mapping[str, Any]) -> Settings | None:
    """The first alternative of a setting that is run here."""
    return next((one for one in setting["alternatives"] if not one["missing"]), None)


def alternatives_run(settings: Mapping[str, Settings]) -> Iterator[tuple[str, int, Settings, Settings]]:
    """Every alternative that is run here: the name of its setting, its number there, the setting, the alternative."""
    for name, setting in settings.items():
        for number, alternative in enumerate(setting["alternatives"]):
            if not alternative["missing"]:
                yield name, number, setting, alternative


def methods_run(setting: Mapping[str, Any], alternative: Mapping[str, Any]) -> dict[str, str]:
    """Name in the paper, or ours where the paper has none -> the method that an alternative runs."""
    named = {**setting["methods"], **{method: method for method in setting["also"] if method not in setting["methods"]}}
    return {name: alternative["instead"].get(method, method) for name, method in named.items()}


def views_run(alternative: Mapping[str, Any], method: str) -> tuple[str, str]:
    """The image and the text view on which an alternative runs a method."""
    own = alternative["views_of"].get(method, {})
    return tuple(own.get(view, alternative[view]) for view in VIEWS)


def _setting(
    paper: Mapping[str, Any],
    setting: Mapping[str, Any],
    printed: Mapping[tuple[str, str], Sequence[str]],
    missing: Callable[[Mapping[str, str]], list[str]],
    rehearsal: Rehearsal | None,
) -> Settings:
    of = (setting["of"]["dataset"], setting["of"]["features"])
    names = setting.get("methods", printed.get(of, []))
    also = list(dict.fromkeys([*paper["also"], *setting.get("also", [])]))
    ours = {**paper.get("ours", {}), **setting.get("ours", {})}
    whole: Settings = {
        "of": setting["of"],
        "title": setting["title"],
        "methods": {name: ours.get(name, name) for name in names},
        "also": also,
        **({"no_target": setting["no_target"]} if "no_target" in setting else {}),
    }
    named = [(True, setting["as_printed"])] if "as_printed" in setting else []
    named += [(False, substitute) for substitute in setting.get("substitutes", [])]
    alternatives = [
        {"views_of": {}, "instead": {}, "differs": [], "reading": [], **one, "exact": exact} for exact, one in named
    ]
    if rehearsal:
        repeats = max((len(one["splits"]) for one in alternatives), default=1)
        alternatives = [_rehearsed(rehearsal, repeats)]
    for one in alternatives:
        run = set(methods_run(whole, one).values())
        one["views_of"] = {method: views for method, views in one["views_of"].items() if method in run}
        one["missing"] = _missing_of(whole, one, missing)
    as_printed = [one for one in alternatives if one["exact"] and not one["missing"]]
    return whole | {"alternatives": as_printed or alternatives}  # where nothing is missing, nothing stands in


def _rehearsed(rehearsal: Rehearsal, repeats: int) -> Settings:
    return {
        "dataset": rehearsal.dataset,
        "splits": list(rehearsal.splits[:repeats]),
        "image_view": rehearsal.image_view,
        "text_view": rehearsal.text_view,
        "views_of": {method: dict(views) for method, views in rehearsal.views_of.items()},
        "instead": {},
        "differs": ["a rehearsal on another data set"],
        "reading": [],
        "exact": False,
    }


def _missing_of(
    setting: Mapping[str, Any], alternative: Mapping[str, Any], missing: Callable[[Mapping[str, str]], list[str]]
) -> list[str]:
    """What the runs of an alternative lack, all methods together: it is run with all of them or not at all."""
    lacking: dict[str, None] = {}
    for method in dict.fromkeys(methods_run(setting, alternative).values()):
        image_view, text_view = views_run(alternative, method)
        run = {"dataset": alternative["dataset"], "split": alternative["splits"][0], "method": method}
        lacking |= dict.fromkeys(missing(run | {"image_view": image_view, "text_view": text_view}))
    return list(lacking)


def _blocks(setting: Mapping[str, Any], seeds: Sequence[int]) -> Iterable[Settings]:
    """Blocks of runs of all alternatives of a setting that can be run, a block a pair of views."""
    for one in setting["alternatives"]:
        if one["missing"]:
            continue
        by_views: dict[tuple[str, str], list[str]] = {}
        for method in dict.fromkeys(methods_run(setting, one).values()):
            by_views.setdefault(views_run(one, method), []).append(method)
        for (image_view, text_view), methods in by_views.items():
            yield {
                "datasets": [one["dataset"]],
                "splits": one["splits"],
                "image_views": [image_view],
                "text_views": [text_view],
                "methods": methods,
                "seeds": list(seeds),
            }


def _item(
    settings: Mapping[str, Settings], spec: Mapping[str, Any], missing_texts: Callable[[str], list[str]]
) -> Settings:
    """A table or figure with the data set and views that it shows, or what makes it `unavailable`."""
    if "settings" in spec:
        return _item_of_runs(settings, spec)
    return _item_of_texts(spec, missing_texts) if "datasets" in spec else dict(spec)


def _item_of_texts(spec: Mapping[str, Any], missing_texts: Callable[[str], list[str]]) -> Settings:
    lacking = {dataset: missing for dataset in spec["datasets"] if (missing := missing_texts(dataset))}
    told = [f"{dataset} needs {', '.join(missing)}" for dataset, missing in lacking.items()]
    shown = [dataset for dataset in spec["datasets"] if dataset not in lacking]
    if not shown:
        return {**spec, "unavailable": "; ".join(told)}
    caption = " ".join([spec["caption"], *(f"Not run: {words}." for words in told)])
    return {**spec, "datasets": shown, "caption": caption}


def _item_of_runs(settings: Mapping[str, Settings], spec: Mapping[str, Any]) -> Settings:
    own = {key: value for key, value in spec.items() if key not in _OF_RUNS}
    wanted = {name: settings[name] for name in spec["settings"]}
    run = {name: (setting, first_run(setting)) for name, setting in wanted.items()}
    run = {name: pair for name, pair in run.items() if pair[1] is not None}
    lacking = {name: setting for name, setting in wanted.items() if name not in run}
    if not run:
        return own | {"unavailable": "; ".join(f"{one['title']} needs {needs(one)}" for one in lacking.values())}
    first = next(iter(run.values()))[1]
    shown: list[str] = [FLOOR] if spec.get("floor", True) else []
    views_of: Settings = {}
    for setting, alternative in run.values():
        by_name = methods_run(setting, alternative)
        names = spec.get("methods", list(setting["methods"]))
        for method in (by_name[name] for name in names if name in by_name):
            shown.append(method)
            views = dict(zip(VIEWS, views_run(alternative, method), strict=True))
            if views != {view: first[view] for view in VIEWS}:
                views_of[method] = views
    told = [f"Not run: {setting['title']}, which needs {needs(setting)}." for setting in lacking.values()]
    if not first["exact"]:
        told.append(f"Not on the paper's features: {'; '.join(first['differs'])}.")
    own = {key: value for key, value in own.items() if key != "floor"}
    place = {"dataset": first["dataset"], **{view: first[view] for view in VIEWS}, "views_of": views_of}
    if own["kind"] == "class_bars":  # of one split, as all that shows single items
        place["split"] = first["splits"][0]
    return own | place | {"methods": list(dict.fromkeys(shown)), "caption": " ".join([own["caption"], *told])}


def needs(setting: Mapping[str, Any]) -> str:
    """What is missing for a setting as printed, in words; or that nothing of ours stands for it."""
    if not setting["alternatives"]:
        return "data that no configuration of ours describes"
    return ", ".join(setting["alternatives"][0]["missing"])


def _gallery(settings: Mapping[str, Settings], spec: Mapping[str, Any] | None) -> Settings | None:
    """Example retrievals of the first alternative of a setting, on its first split; None where nothing is run."""
    alternative = first_run(settings[spec["setting"]]) if spec else None
    if alternative is None:
        return None
    by_name = methods_run(settings[spec["setting"]], alternative)
    classes = spec["classes"]
    if not alternative["exact"] and isinstance(classes, list):
        classes = len(classes)  # those of another data set have other names
    own = {key: value for key, value in spec.items() if key not in ("setting", "methods", "classes")}
    place = {"dataset": alternative["dataset"], "split": alternative["splits"][0]}
    place |= {view: alternative[view] for view in VIEWS}
    return own | place | {"methods": [by_name[name] for name in spec["methods"]], "classes": classes}
