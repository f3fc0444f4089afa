"""The way to a number: the runs that it is a mean of, what they chose, and the command that makes them again."""

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from cmr.results import MEANS, RUN, SETTING, Run, Study
from cmr.tables import DIGITS

RUNS = Path("runs")  # below the folder of results


@dataclass(frozen=True)
class Step:
    """One run of a way, in the words that a page shows: its folder is that of the results, `runs/...`."""

    folder: str
    split: str
    chosen: str
    valid: str
    test: str


@dataclass(frozen=True)
class Way:
    """What a page tells of how a number came about.

    Attributes
    ----------
    name : of the way, unique in its page, fit for an HTML id.
    facts : further things worth telling, each under a name.
    """

    name: str
    title: str
    steps: tuple[Step, ...]
    command: str
    facts: tuple[tuple[str, str], ...] = ()


def command(runs: Iterable[Run], settings: Mapping[str, str] = MappingProxyType({})) -> str:
    """The command that trains and evaluates these runs again, and nothing else that is there already.

    settings : of the configuration that the command repeats, for without them it would make other runs: key -> value as
        it is typed. `results` is the folder of results, where it is another one than `results`.
    """
    folder = Path(settings.get("results", "results")) / RUNS
    targets = [str(run.folder(folder) / "metrics.parquet") for run in runs]
    config = ["--config", *(f"{key}={value}" for key, value in settings.items())] if settings else []
    return shlex.join(["snakemake", "--cores", "2", *config, "--forcerun", "train", "evaluate", "--", *targets])


def ways(study: Study, settings: Mapping[str, str] = MappingProxyType({})) -> dict[tuple[str, ...], Way]:
    """(method, data set, image view, text view) -> the way to the scores of that method there.

    settings : as `command` takes them.
    """
    runs: dict[tuple[str, ...], list[Run]] = {}
    for run in study.runs:
        runs.setdefault((run.method, *(getattr(run, key) for key in SETTING)), []).append(run)
    steps = steps_of(study)
    return {
        key: Way(
            name=f"way-{number}",
            title=f"{study.method_label(key[0])} on {study.facts['datasets'][key[1]]['title']}, {key[2]} and {key[3]}",
            steps=tuple(steps[run] for run in own),
            command=command(own, settings),
        )
        for number, (key, own) in enumerate(runs.items(), start=1)
    }


def steps_of(study: Study) -> dict[Run, Step]:
    """Every run of a study as a step."""
    scores = study.scores
    rows = scores[(scores["part"] == "test") & (scores["metric"] == "map_all") & scores["task"].isin(MEANS["mean"])]
    means = rows.groupby(RUN)["value"].mean()
    steps = {}
    for run, facts in zip(study.runs, study.facts["runs"], strict=True):
        valid = "none" if facts["valid_map"] is None else f"{facts['valid_map']:.{DIGITS}f}"
        test = f"{means[tuple(getattr(run, key) for key in RUN)]:.{DIGITS}f}"
        steps[run] = Step(str(run.folder(RUNS)), run.split, in_words(facts["chosen"]), valid, test)
    return steps


def in_words(chosen: Mapping[str, Any]) -> str:
    """Hyper-parameters, `ridge 0.1, n_components 10`; `none` where a method has none."""
    return ", ".join(f"{name} {value_in_words(value)}" for name, value in chosen.items()) or "none"


def value_in_words(value: Any) -> str:
    """Of one hyper-parameter, without the digits that only a computer needs."""
    return f"{value:g}" if isinstance(value, float) else str(value)
