"""Cells: the way to every measured number of a paper, from digests of what went in to the command that repeats it."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from cmr.papers.measured import on, paper_of, runs_of, spec_of
from cmr.papers.plan import alternatives_run, methods_run
from cmr.results import Study
from cmr.ways import command


def cells(study: Study, settings: Mapping[str, str] = MappingProxyType({})) -> dict[str, dict[str, Any]]:
    """What made each cell: `<setting>/<alternative>/<method>` -> facts, for every alternative that is run.

    settings : of the configuration that commands repeat, as `cmr.ways.command` takes them.

    A cell holds `setting`, `alternative`, `exact`, `differs`, `reading`, `dataset`, `splits`, `image_view`,
    `text_view`, `method` (name in the paper), `run_method` (ours), `seeds`, `command`, `versions` of packages, and
    `runs`: for each split the hyper-parameters `chosen`, how (`selected_on`, `candidates`, `infeasible`, the best `map`
    there), `sizes` of the parts, `device`, `commit`, and the digests of the `inputs`. A method that is not applicable
    to some splits has no runs there and tells `not_applicable`.
    """
    return {
        f"{name}/{number}/{method}": {"setting": name, "alternative": number}
        | _cell(on(study, alternative), alternative, method, run_method, settings)
        for name, number, setting, alternative in alternatives_run(paper_of(study)["settings"])
        for method, run_method in methods_run(setting, alternative).items()
    }


def _cell(
    study: Study, alternative: Mapping[str, Any], method: str, run_method: str, settings: Mapping[str, str]
) -> dict[str, Any]:
    spec, runs = spec_of(alternative, run_method), runs_of(alternative, run_method)
    scores = study.scores
    for key in ("image_view", "text_view"):
        scores = scores[scores[key] == spec[key]]
    facts = dict(zip(study.runs, study.facts["runs"], strict=True))
    reasons = study.not_applicable(spec)
    return {
        **{key: alternative[key] for key in ("exact", "differs", "reading", "dataset", "splits")},
        **{key: spec[key] for key in ("image_view", "text_view")},
        "method": method,
        "run_method": run_method,
        "seeds": sorted(map(int, scores[scores["method"] == run_method]["seed"].unique())),
        **({"not_applicable": reasons[run_method]} if run_method in reasons else {}),
        "command": command(runs, settings),
        "runs": {run.split: _run(facts[run]) for run in runs if run in facts},
        "versions": study.facts["versions"],
    }


def _run(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "chosen": facts["chosen"],
        "selected_on": "test" if facts["selected_on_test"] else "valid",
        "candidates": facts["candidates"],
        "infeasible": facts["infeasible"],
        "map": facts["valid_map"],
        **{key: facts[key] for key in ("sizes", "device", "commit", "inputs")},
    }
